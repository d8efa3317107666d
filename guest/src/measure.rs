//! What the node measures during a step: its CPU time, its memory, its links, and the processes of watched names. It
//! reads them when the command starts and when it ends, and in between only if processes are watched.

use crate::sys;
use crate::text::{Text, read_number};
use crate::watched::{Names, TICK, Watched};

/// Between scans of the watched processes: at first, so that those of a short step are found, and later. Longer on a slow
/// node, so that scans take at most a 50th of its time.
const FIRST_MS: u64 = 50;
const INTERVAL_MS: u64 = 1000;
const LONGEST_MS: u64 = 10_000;
const SHARE: u64 = 50;

/// Maximum number of links.
const LINKS: usize = 8;

/// A link: bytes and packets received, bytes and packets sent.
struct Link {
    name: Text<15>,
    counts: [u64; 4],
}

/// All links except the loopback.
struct Links {
    all: [Link; LINKS],
    count: usize,
}

impl Links {
    const fn none() -> Self {
        Self {
            all: [const {
                Link {
                    name: Text::new(),
                    counts: [0; 4],
                }
            }; LINKS],
            count: 0,
        }
    }

    fn read() -> Self {
        let mut links = Self::none();
        let mut bytes = [0; 4096];
        let text = sys::file(b"/proc/net/dev\0", &mut bytes);
        for line in text.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let name = line[..colon].trim_ascii();
            let Some(counts) = counts(&line[colon + 1..]) else {
                continue;
            };
            if name == b"lo" || links.count == LINKS {
                continue;
            }
            let link = &mut links.all[links.count];
            for byte in name {
                let shown = if byte.is_ascii_graphic() { *byte } else { b'?' };
                link.name.push(&[shown]);
            }
            link.counts = counts;
            links.count += 1;
        }
        links
    }

    /// Describes what each link has done since then, one line each.
    fn describe<const N: usize>(&self, before: &Self, into: &mut Text<N>) {
        for link in &self.all[..self.count] {
            let is_same = |other: &&Link| other.name.bytes() == link.name.bytes();
            let known = before.all[..before.count].iter().find(is_same);
            if known.is_none() && before.count == LINKS {
                // Perhaps it was there, and had no room.
                continue;
            }
            into.push(b"link ").push(link.name.bytes());
            for (index, count) in link.counts.into_iter().enumerate() {
                let before = known.map_or(0, |known| known.counts[index]);
                // A link that was created again counts from zero.
                into.push(b" ").number(count.checked_sub(before).unwrap_or(count));
            }
            into.push(b"\n");
        }
    }
}

/// The numbers of a link: eight of what was received, beginning with bytes and packets, then those of what was sent.
fn counts(text: &[u8]) -> Option<[u64; 4]> {
    let mut numbers = numbers(text);
    let received = [numbers.next()??, numbers.next()??];
    let sent = [numbers.nth(6)??, numbers.next()??];
    Some([received[0], received[1], sent[0], sent[1]])
}

/// The words of a line, as numbers.
fn numbers(text: &[u8]) -> impl Iterator<Item = Option<u64>> {
    let words = text.split(|byte| *byte == b' ');
    words.filter(|word| !word.is_empty()).map(read_number)
}

/// The readings of a step. They are large, so the only ones are static; all zero, so that the program stays small.
pub(crate) struct Measure {
    ticks: u64,
    /// Most bytes in use.
    memory: u64,
    links: Links,
    watched: Watched,
    /// When the watched processes are read again, and after how long then.
    due: Option<u64>,
    pause: u64,
    text: Text<4096>,
}

static mut MEASURE: Measure = Measure {
    ticks: 0,
    memory: 0,
    links: Links::none(),
    watched: Watched::new(),
    due: None,
    pause: 0,
    text: Text::new(),
};

/// The only one.
pub(crate) fn measure() -> &'static mut Measure {
    let at = &raw mut MEASURE;
    // SAFETY: one thread, and no two borrows at once: each is used within one statement, except for the text, which is
    // written once, before it is first sent.
    unsafe { &mut *at }
}

impl Measure {
    /// The command is about to start.
    pub(crate) fn begin(&mut self, names: &Names) {
        if !names.is_empty() {
            self.watched.scan(names, true);
            self.pause = FIRST_MS;
            self.due = Some(sys::now() + FIRST_MS);
        }
        self.memory = memory();
        self.links = Links::read();
        self.ticks = ticks();
    }

    /// When something is to be read.
    pub(crate) fn due(&self) -> Option<u64> {
        self.due
    }

    /// Reads again, if it is time.
    pub(crate) fn on_time(&mut self, names: &Names) {
        let Some(due) = self.due else { return };
        let began = sys::now();
        if began < due {
            return;
        }
        self.watched.scan(names, false);
        self.memory = self.memory.max(memory());
        let now = sys::now();
        self.pause = (self.pause * 2).min(INTERVAL_MS);
        let least = now.saturating_sub(began) * SHARE;
        self.due = Some(now + self.pause.max(least).min(LONGEST_MS));
    }

    /// A child has ended, and is not reaped yet.
    pub(crate) fn child_ends(&mut self, names: &Names, pid: i32) {
        if !names.is_empty() {
            self.watched.ends(names, pid);
        }
    }

    /// The command has ended.
    pub(crate) fn end(&mut self, names: &Names) {
        let (ticks, links) = (ticks(), Links::read());
        self.memory = self.memory.max(memory());
        if !names.is_empty() {
            self.watched.scan(names, false);
        }
        self.due = None;
        let text = &mut self.text;
        text.push(b"cpu ").number(ticks.saturating_sub(self.ticks) * TICK);
        text.push(b"\nmemory ").number(self.memory).push(b"\n");
        links.describe(&self.links, text);
        self.watched.describe(names, text);
    }

    /// The payload of its frame; empty before the end, and for steps that are not measured.
    pub(crate) fn text(&self) -> &[u8] {
        self.text.bytes()
    }
}

/// CPU time of the node, in ticks: `cpu` and user, nice, system, idle, iowait, irq, softirq. Time that the host took
/// from it is no time of its own.
fn ticks() -> u64 {
    let mut bytes = [0; 256];
    let text = sys::file(b"/proc/stat\0", &mut bytes);
    let words = numbers(text.strip_prefix(b"cpu ").unwrap_or_default());
    let used = words.take(7).enumerate().filter(|(at, _)| *at != 3 && *at != 4);
    used.filter_map(|(_, number)| number).sum()
}

/// Memory of the node that is in use, in bytes.
fn memory() -> u64 {
    let mut bytes = [0; 256];
    let text = sys::file(b"/proc/meminfo\0", &mut bytes);
    let kilobytes = |name: &[u8]| {
        let mut lines = text.split(|byte| *byte == b'\n');
        let rest = lines.find_map(|line| line.strip_prefix(name))?;
        numbers(rest).next().flatten()
    };
    let total = kilobytes(b"MemTotal:").unwrap_or(0);
    let available = kilobytes(b"MemAvailable:").unwrap_or(total);
    total.saturating_sub(available) * 1024
}
