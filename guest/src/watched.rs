//! The processes of watched names: what they use, from one scan of `/proc` to the next. They need not belong to the
//! step. What a process uses after the last scan that finds it is not counted.

use crate::processes::{Entries, Stat, path};
use crate::sys;
use crate::text::{Text, read_number};

/// Maximum number of names.
const NAMES: usize = 16;
/// The longest name of a process: `TASK_COMM_LEN` in `include/linux/sched.h` of Linux, without the zero.
const LONGEST: usize = 15;
/// Maximum number of processes at once.
const MOST: usize = 256;

/// `PF_KTHREAD` in `include/linux/sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// Milliseconds of a clock tick in `/proc`: `USER_HZ` is 100 in `include/asm-generic/param.h`.
pub(crate) const TICK: u64 = 10;
/// Bytes of a page on this architecture.
const PAGE: u64 = 4096;

/// The names of the processes that are watched.
pub(crate) struct Names {
    all: [Text<LONGEST>; NAMES],
    count: usize,
}

impl Names {
    /// Reads `watch=NAME,NAME,...` or `watch=`; `None` for anything else.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let list = text.strip_prefix(b"watch=")?;
        let mut names = Self {
            all: [const { Text::<LONGEST>::new() }; NAMES],
            count: 0,
        };
        if list.is_empty() {
            return Some(names);
        }
        for name in list.split(|byte| *byte == b',') {
            let printable = |byte: &u8| *byte > b' ' && *byte != 0x7f;
            if name.is_empty() || name.len() > LONGEST || !name.iter().all(printable) {
                return None;
            }
            if names.find(name).is_none() {
                names.all.get_mut(names.count)?.push(name);
                names.count += 1;
            }
        }
        Some(names)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        let all = &self.all[..self.count];
        all.iter().position(|known| known.bytes() == name)
    }
}

/// What processes have used: ticks of CPU time, bytes read from and written to disks.
#[derive(Clone, Copy)]
struct Usage {
    ticks: u64,
    read: u64,
    written: u64,
}

impl Usage {
    const NONE: Self = Self {
        ticks: 0,
        read: 0,
        written: 0,
    };

    fn add(&mut self, other: Self) {
        self.ticks += other.ticks;
        self.read += other.read;
        self.written += other.written;
    }

    fn since(self, before: Self) -> Self {
        Self {
            ticks: self.ticks.saturating_sub(before.ticks),
            read: self.read.saturating_sub(before.read),
            written: self.written.saturating_sub(before.written),
        }
    }
}

/// A process that the last scan found, or that has ended since.
#[derive(Clone, Copy)]
struct Tracked {
    pid: u64,
    /// With its PID, this identifies it: a PID is used again.
    began: u64,
    parent: i32,
    name: usize,
    is_there: bool,
    pages: u64,
    before: Usage,
    last: Usage,
}

/// The sums of a name.
#[derive(Clone, Copy)]
struct Total {
    /// By the processes that have ended.
    used: Usage,
    /// Most pages in memory at a scan.
    pages: u64,
    processes: u64,
}

/// A set of small PIDs: those of nearly all kernel threads, because they are started first.
struct Pids([u64; 64]);

impl Pids {
    const fn new() -> Self {
        Self([0; 64])
    }

    fn has(&self, pid: u64) -> bool {
        let word = self.0.get((pid / 64) as usize);
        word.is_some_and(|word| word >> (pid % 64) & 1 == 1)
    }

    fn add(&mut self, pid: u64) {
        if let Some(word) = self.0.get_mut((pid / 64) as usize) {
            *word |= 1 << (pid % 64);
        }
    }
}

/// What a look at a process found.
enum Found {
    KernelThread,
    /// It is watched, but the table is full.
    NoRoom,
    Other,
}

/// The watched processes. It is large, so the only one is static.
pub(crate) struct Watched {
    all: [Tracked; MOST],
    count: usize,
    totals: [Total; NAMES],
    /// Most processes at once for which there was no room.
    left_out: u64,
    /// The kernel threads that the last scan found: the next one does not read them.
    threads: Pids,
}

impl Watched {
    #[expect(
        clippy::large_stack_arrays,
        reason = "evaluated at compile time, for a static"
    )]
    pub(crate) const fn new() -> Self {
        Self {
            all: [Tracked {
                pid: 0,
                began: 0,
                parent: 0,
                name: 0,
                is_there: false,
                pages: 0,
                before: Usage::NONE,
                last: Usage::NONE,
            }; MOST],
            count: 0,
            totals: [Total {
                used: Usage::NONE,
                pages: 0,
                processes: 0,
            }; NAMES],
            left_out: 0,
            threads: Pids::new(),
        }
    }

    /// Looks at all processes. What those of the first scan used before it does not count.
    pub(crate) fn scan(&mut self, names: &Names, is_first: bool) {
        let Ok(directory) = sys::open(b"/proc\0", sys::READ_ONLY | sys::DIRECTORY) else {
            return;
        };
        for process in &mut self.all[..self.count] {
            process.is_there = false;
        }
        let mut threads = Pids::new();
        let mut left_out = 0;
        let mut entries = Entries::new();
        while let Some(name) = entries.next(directory) {
            let Some(pid) = read_number(name) else { continue };
            if self.threads.has(pid) {
                threads.add(pid);
                continue;
            }
            match self.look(names, pid, is_first) {
                Found::KernelThread => threads.add(pid),
                Found::NoRoom => left_out += 1,
                Found::Other => {}
            }
        }
        sys::close(directory);
        self.threads = threads;
        self.left_out = self.left_out.max(left_out);
        self.settle();
    }

    /// Looks at a process that has ended but was not reaped yet: these are its final numbers.
    pub(crate) fn ends(&mut self, names: &Names, pid: i32) {
        self.look(names, pid as u64, false);
    }

    fn look(&mut self, names: &Names, pid: u64, is_first: bool) -> Found {
        let mut bytes = [0; 512];
        let Some(stat) = Stat::read(pid, &mut bytes) else {
            return Found::Other;
        };
        if stat.flags & KERNEL_THREAD != 0 {
            return Found::KernelThread;
        }
        let Some(name) = names.find(stat.name) else {
            return Found::Other;
        };
        let is_it = |known: &Tracked| known.pid == pid && known.began == stat.began && known.name == name;
        let known = self.all[..self.count].iter().position(is_it);
        let at = match known {
            Some(at) => at,
            // One that has ended before the step uses nothing.
            None if is_first && stat.state == b'Z' => return Found::Other,
            None if self.count == MOST => return Found::NoRoom,
            None => {
                self.all[self.count] = Tracked {
                    pid,
                    began: stat.began,
                    parent: stat.parent,
                    name,
                    is_there: true,
                    pages: 0,
                    before: Usage::NONE,
                    last: Usage::NONE,
                };
                self.totals[name].processes += 1;
                self.count += 1;
                self.count - 1
            }
        };
        let process = &mut self.all[at];
        process.is_there = true;
        process.parent = stat.parent;
        process.pages = stat.pages;
        process.last.ticks = stat.ticks;
        if let Some([read, written]) = disk(pid) {
            process.last.read = read;
            process.last.written = written;
        }
        if is_first {
            process.before = process.last;
        }
        Found::Other
    }

    /// After a scan: adds what those have used that are gone, and updates the most memory.
    fn settle(&mut self) {
        let mut pages = [0; NAMES];
        let mut at = 0;
        while at < self.count {
            let process = self.all[at];
            if process.is_there {
                pages[process.name] += process.pages;
                at += 1;
                continue;
            }
            let mut used = process.last.since(process.before);
            // When a process is waited for, the kernel adds its I/O to that of its parent (`wait_task_zombie` in
            // `kernel/exit.c`): a parent of the same name has it already.
            let is_parent = |other: &Tracked| {
                other.is_there && other.name == process.name && other.pid == process.parent as u64
            };
            if self.all[..self.count].iter().any(is_parent) {
                (used.read, used.written) = (0, 0);
            }
            self.totals[process.name].used.add(used);
            self.count -= 1;
            self.all[at] = self.all[self.count];
        }
        for (total, pages) in self.totals.iter_mut().zip(pages) {
            total.pages = total.pages.max(pages);
        }
    }

    /// Describes each name in a line: milliseconds of CPU time, most memory, bytes read and written, number of
    /// processes.
    pub(crate) fn describe<const N: usize>(&self, names: &Names, into: &mut Text<N>) {
        let mut totals = self.totals;
        for process in &self.all[..self.count] {
            totals[process.name].used.add(process.last.since(process.before));
        }
        for (name, total) in names.all[..names.count].iter().zip(totals) {
            into.push(b"watch ").push(name.bytes());
            for number in [
                total.used.ticks * TICK,
                total.pages * PAGE,
                total.used.read,
                total.used.written,
                total.processes,
            ] {
                into.push(b" ").number(number);
            }
            into.push(b"\n");
        }
        if self.left_out > 0 {
            into.push(b"more ").number(self.left_out).push(b"\n");
        }
    }
}

/// The bytes that a process has read from and written to disks; `None` if the kernel does not show them.
fn disk(pid: u64) -> Option<[u64; 2]> {
    let mut bytes = [0; 512];
    let text = sys::file(path(pid, b"/io\0").bytes(), &mut bytes);
    let number = |name: &[u8]| {
        let mut lines = text.split(|byte| *byte == b'\n');
        read_number(lines.find_map(|line| line.strip_prefix(name))?)
    };
    Some([number(b"read_bytes: ")?, number(b"write_bytes: ")?])
}
