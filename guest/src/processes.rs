//! The processes of a step: all descendants of this one, found in `/proc`.

use crate::sys;
use crate::text::{Text, read_number};

/// The size of the table.
const MOST: usize = 2048;

/// One process.
#[derive(Clone, Copy)]
struct Process {
    pid: i32,
    parent: i32,
    mine: bool,
}

/// A table of processes. It is large, so the only one is static.
pub(crate) struct Processes {
    all: [Process; MOST],
    count: usize,
}

impl Processes {
    #[expect(
        clippy::large_stack_arrays,
        reason = "evaluated at compile time, for a static"
    )]
    pub(crate) const fn new() -> Self {
        Self {
            all: [Process {
                pid: 0,
                parent: 0,
                mine: false,
            }; MOST],
            count: 0,
        }
    }

    /// Reads all processes and marks our descendants. Returns how many are alive.
    pub(crate) fn look(&mut self) -> usize {
        self.count = 0;
        let Ok(directory) = sys::open(b"/proc\0", sys::READ_ONLY | sys::DIRECTORY) else {
            return 0;
        };
        let mut entries = Entries::new();
        while let Some(name) = entries.next(directory) {
            let Some(pid) = read_number(name) else { continue };
            let mut bytes = [0; 512];
            let Some(stat) = Stat::read(pid, &mut bytes) else {
                continue;
            };
            // Zombies no longer run.
            if self.count == MOST || stat.state == b'Z' || stat.state == b'X' {
                continue;
            }
            self.all[self.count] = Process {
                pid: pid as i32,
                parent: stat.parent,
                mine: false,
            };
            self.count += 1;
        }
        sys::close(directory);
        self.mark()
    }

    fn mark(&mut self) -> usize {
        let own = sys::own_pid();
        let (mut found, mut before) = (0, usize::MAX);
        // A parent may come after its child in the table.
        while found != before {
            before = found;
            for index in 0..self.count {
                let Process { parent, mine, .. } = self.all[index];
                if !mine && (parent == own || self.has(parent)) {
                    self.all[index].mine = true;
                    found += 1;
                }
            }
        }
        found
    }

    /// Whether a process is one of them.
    pub(crate) fn has(&self, pid: i32) -> bool {
        self.all[..self.count]
            .iter()
            .any(|process| process.pid == pid && process.mine)
    }

    /// Sends a signal to all of them.
    pub(crate) fn signal(&self, signal: i32) {
        for process in self.all[..self.count].iter().filter(|process| process.mine) {
            sys::kill(process.pid, signal);
        }
    }

    /// Describes what each of them does, one line each: PID, parent, state, kernel function, input, command line.
    pub(crate) fn describe<const N: usize>(&self, into: &mut Text<N>) {
        for process in self.all[..self.count].iter().filter(|process| process.mine) {
            if into.room() < 400 {
                into.push(b"...\n");
                return;
            }
            describe(process.pid, into);
        }
    }
}

fn describe<const N: usize>(pid: i32, into: &mut Text<N>) {
    let pid = pid as u64;
    let mut bytes = [0; 512];
    let Some(stat) = Stat::read(pid, &mut bytes) else {
        return;
    };
    into.push(b"pid ")
        .number(pid)
        .push(b", parent ")
        .number(stat.parent as u64)
        .push(b", ");
    into.push(match stat.state {
        b'R' => b"runs",
        b'S' => b"sleeps",
        b'D' => b"in the kernel, uninterruptible",
        b'T' | b't' => b"stopped",
        _ => b"in another state",
    });
    let mut bytes = [0; 64];
    let channel = sys::file(path(pid, b"/wchan\0").bytes(), &mut bytes);
    if channel.len() > 1 {
        into.push(b" in ").push(clean(channel).bytes());
    }
    reading(pid, into);
    into.push(b": ");
    let mut bytes = [0; 160];
    let command = sys::file(path(pid, b"/cmdline\0").bytes(), &mut bytes);
    into.push(clean(command).bytes().trim_ascii_end());
    into.push(b"\n");
}

/// The input that it waits for: `/proc/PID/syscall` is `0 0x0 ...` for a read of standard input.
fn reading<const N: usize>(pid: u64, into: &mut Text<N>) {
    let mut bytes = [0; 64];
    let call = sys::file(path(pid, b"/syscall\0").bytes(), &mut bytes);
    let Some(rest) = call.strip_prefix(b"0 0x") else {
        return;
    };
    let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(0);
    let Some(fd) = rest[..end].iter().try_fold(0_u64, |number, byte| {
        Some(number * 16 + u64::from((*byte as char).to_digit(16)?))
    }) else {
        return;
    };
    let mut name = Text::<64>::new();
    name.push(b"/fd/").number(fd).push(&[0]);
    let mut bytes = [0; 80];
    let target = sys::read_link(path(pid, name.bytes()).bytes(), &mut bytes);
    into.push(if fd == 0 {
        b", reads standard input ("
    } else {
        b", reads ("
    });
    into.push(clean(target).bytes()).push(b")");
}

/// A path below the directory of a process; `rest` ends with a zero.
pub(crate) fn path(pid: u64, rest: &[u8]) -> Text<128> {
    let mut path = Text::new();
    path.push(b"/proc/").number(pid).push(rest);
    path
}

/// Replaces control characters: the text is shown on a terminal.
fn clean(bytes: &[u8]) -> Text<160> {
    let mut text = Text::new();
    for byte in bytes {
        text.push(&[if (0x20..0x7f).contains(byte) { *byte } else { b' ' }]);
    }
    text
}

/// What `/proc/PID/stat` says of a process: `proc_pid_stat(5)`.
pub(crate) struct Stat<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) state: u8,
    pub(crate) parent: i32,
    pub(crate) flags: u64,
    /// CPU time in user mode and in the kernel, in clock ticks.
    pub(crate) ticks: u64,
    /// When it was started, in clock ticks.
    pub(crate) began: u64,
    /// Pages in memory.
    pub(crate) pages: u64,
}

impl<'a> Stat<'a> {
    pub(crate) fn read(pid: u64, bytes: &'a mut [u8]) -> Option<Self> {
        let text = sys::file(path(pid, b"/stat\0").bytes(), bytes);
        // The name in parentheses may contain anything, even parentheses.
        let begin = text.iter().position(|byte| *byte == b'(')? + 1;
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let mut words = text[end + 1..]
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        let state = *words.next()?.first()?;
        let parent = read_number(words.next()?)? as i32;
        // The number after so many others, which may be negative.
        let mut number = |skipped: usize| words.nth(skipped).and_then(read_number).unwrap_or(0);
        Some(Self {
            name: text.get(begin..end)?,
            state,
            parent,
            flags: number(4),
            ticks: number(4) + number(0),
            began: number(6),
            pages: number(1),
        })
    }
}

/// The names in a directory.
pub(crate) struct Entries {
    bytes: [u8; 2048],
    length: usize,
    at: usize,
}

impl Entries {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; 2048],
            length: 0,
            at: 0,
        }
    }

    /// The next name. A record of `getdents64` is inode, offset, two bytes of length, a type, and the name.
    pub(crate) fn next(&mut self, directory: sys::Fd) -> Option<&[u8]> {
        if self.at >= self.length {
            self.length = sys::entries(directory, &mut self.bytes);
            self.at = 0;
        }
        let record = self.bytes.get(self.at..self.length)?;
        let length = usize::from(u16::from_ne_bytes([*record.get(16)?, *record.get(17)?]));
        if length < 19 {
            return None;
        }
        self.at += length;
        let name = record.get(19..length)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        Some(&name[..end])
    }
}
