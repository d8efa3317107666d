//! What a node measured during a step. The numbers are the node's: it may claim any, so they are bounded, and only names
//! that were asked for are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most links and watched names that a supervisor sends, and the longest name of a link or a process in Linux.
const LINKS: usize = 8;
const WATCHED: usize = 16;
const LONGEST: usize = 15;

/// The first words of the lines that are read.
const KNOWN: [&str; 5] = ["cpu", "memory", "link", "watch", "more"];

/// What a node measured from the start of a step's command to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// CPU time of the whole node, in seconds, without what its host took from it.
    pub cpu_seconds: f64,
    /// Most memory of the node in use at a reading, in bytes. It is read at the start and at the end, and every second if
    /// processes are watched.
    pub memory_bytes: u64,
    /// What its links transferred, by name; all except the loopback, at most 8.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, Link>,
    /// What the watched processes used, by name. A name without any process is there as well.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub watched: BTreeMap<String, Watched>,
    /// Watched processes that are left out: most at once beyond the 256 that a node watches.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

/// What a link transferred during a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
}

/// What the processes of a name used during a step, until the last time that they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// CPU time, in seconds.
    pub cpu_seconds: f64,
    /// Most memory at a reading, in bytes: the sum of their resident sets.
    pub rss_bytes: u64,
    /// Bytes read from disks.
    pub read_bytes: u64,
    /// Bytes written to disks.
    pub written_bytes: u64,
    /// How many there were.
    pub processes: u32,
}

impl Measured {
    /// Reads the payload of a frame; `None` if no supervisor sends it. Unknown lines, and further words of a line, are
    /// ignored: a supervisor of a later release may send them.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut measured = Self::default();
        for line in text.lines() {
            let first = line.split(' ').next().unwrap_or_default();
            if !KNOWN.contains(&first) {
                continue;
            }
            let words: Vec<&str> = line.splitn(8, ' ').collect();
            match words[..] {
                ["cpu", milliseconds, ..] => measured.cpu_seconds = seconds(milliseconds)?,
                ["memory", bytes, ..] => measured.memory_bytes = bytes.parse().ok()?,
                ["link", name, received, received_packets, sent, sent_packets, ..] => {
                    let link = Link {
                        received_bytes: received.parse().ok()?,
                        received_packets: received_packets.parse().ok()?,
                        sent_bytes: sent.parse().ok()?,
                        sent_packets: sent_packets.parse().ok()?,
                    };
                    measured
                        .links
                        .insert(bounded(name)?.chars().map(harmless).collect(), link);
                }
                ["watch", name, milliseconds, rss, read, written, processes, ..] => {
                    let watched = Watched {
                        cpu_seconds: seconds(milliseconds)?,
                        rss_bytes: rss.parse().ok()?,
                        read_bytes: read.parse().ok()?,
                        written_bytes: written.parse().ok()?,
                        processes: processes.parse().ok()?,
                    };
                    measured.watched.insert(bounded(name)?.to_owned(), watched);
                }
                ["more", processes, ..] => measured.left_out = processes.parse().ok()?,
                _ => return None,
            }
            if measured.links.len() > LINKS || measured.watched.len() > WATCHED {
                return None;
            }
        }
        Some(measured)
    }

    /// Without processes that were not asked for.
    pub(super) fn only(mut self, watch: &[String]) -> Self {
        self.watched.retain(|name, _| watch.contains(name));
        self
    }
}

/// Seconds of a number of milliseconds.
fn seconds(milliseconds: &str) -> Option<f64> {
    let milliseconds: u64 = milliseconds.parse().ok()?;
    Some(milliseconds as f64 / 1000.0)
}

/// A name; `None` if it is empty or too long.
fn bounded(name: &str) -> Option<&str> {
    (1..=LONGEST).contains(&name.chars().count()).then_some(name)
}

/// A character that cannot control a terminal.
fn harmless(character: char) -> char {
    if character.is_ascii_graphic() {
        character
    } else {
        '?'
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_supervisor_is_read() {
        let text = "cpu 1230\nmemory 52428800\nlink eth0 1 2 3 4\nlink ens4 0 0 0 18446744073709551615\n\
                    watch redis-server 450 4096 5 6 2\nwatch absent 0 0 0 0 0\nmore 7\n";
        let measured = Measured::read(text).unwrap();
        assert!((measured.cpu_seconds - 1.23).abs() < 1e-9);
        assert_eq!((measured.memory_bytes, measured.left_out), (52_428_800, 7));
        let link = Link {
            received_bytes: 1,
            received_packets: 2,
            sent_bytes: 3,
            sent_packets: 4,
        };
        assert_eq!(measured.links["eth0"], link);
        assert_eq!(measured.links["ens4"].sent_packets, u64::MAX);
        let watched = Watched {
            cpu_seconds: 0.45,
            rss_bytes: 4096,
            read_bytes: 5,
            written_bytes: 6,
            processes: 2,
        };
        assert_eq!(measured.watched["redis-server"], watched);
        assert_eq!(measured.watched["absent"], Watched::default());
    }

    #[test]
    fn what_a_later_supervisor_may_add_is_ignored() {
        let text = "cpu 1000 user 3\nlink eth0 1 2 3 4 5 6 7\npressure 12\n\nwatch a 1 2 3 4 5 6 7 8\n";
        let measured = Measured::read(text).unwrap();
        assert!((measured.cpu_seconds - 1.0).abs() < 1e-9);
        assert_eq!((measured.links.len(), measured.watched["a"].processes), (1, 5));
        assert_eq!(Measured::read(""), Some(Measured::default()));
    }

    #[test]
    fn what_no_supervisor_sends_is_refused() {
        let many =
            |line: &dyn Fn(usize) -> String, count: usize| -> String { (0..count).map(line).collect() };
        let links = |count| many(&|at| format!("link eth{at} 1 1 1 1\n"), count);
        let watched = |count| many(&|at| format!("watch name{at} 1 1 1 1 1\n"), count);
        for text in [
            "cpu",
            "cpu -1",
            "cpu 1.5",
            "cpu 18446744073709551616",
            "memory NaN",
            "link eth0 1 2 3",
            "link  1 2 3 4",
            "link a-name-that-is-too-long 1 2 3 4",
            "watch a 1 2 3 4",
            "watch a 1 2 3 4 4294967296",
            &links(9),
            &watched(17),
        ] {
            assert_eq!(Measured::read(text), None, "{text}");
        }
        for text in [&links(8), &watched(16)] {
            assert!(Measured::read(text).is_some(), "{text}");
        }
    }

    #[test]
    fn names_are_harmless_and_processes_that_were_not_asked_for_are_dropped() {
        let text = "link e\u{1b}[\u{202e}m 1 2 3 4\nwatch wanted 1 2 3 4 5\nwatch other 1 2 3 4 5\n";
        let measured = Measured::read(text).unwrap().only(&["wanted".to_owned()]);
        assert_eq!(measured.links.keys().collect::<Vec<_>>(), ["e?[?m"]);
        assert_eq!(measured.watched.keys().collect::<Vec<_>>(), ["wanted"]);
    }

    #[test]
    fn it_is_the_same_after_it_was_stored() {
        let text = "cpu 10\nmemory 1\nlink eth0 1 2 3 4\nwatch a 1 2 3 4 5\nmore 1\n";
        for measured in [Measured::read(text).unwrap(), Measured::default()] {
            let stored = serde_json::to_string(&measured).unwrap();
            assert_eq!(serde_json::from_str::<Measured>(&stored).unwrap(), measured);
        }
    }
}
