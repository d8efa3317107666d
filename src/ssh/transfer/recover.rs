//! What is left to do after an archive of a node was unpacked: tar reads a file up to the size that it had at first, which
//! is wrong for files that change, and for those of `/proc` and `/sys`. Some versions of tar then end early. Pure.

use std::collections::HashMap;

use super::entry::{Content, Seen, Sent};
use super::listing::{Kind, Listing, Stat};
use super::local::TOO_LARGE;

/// The difference between the clocks of node and controller over the time of a transfer, and the rounding of both, in
/// seconds: a file that was changed no longer before it may have been changed during it.
const SLACK: i64 = 2;

/// The largest file that is read again only to see whether its size is wrong. Those of `/sys` have a page.
const PAGE_LIMIT: u64 = 1 << 20;

/// The most bytes that are read of a file whose size is reported as 0.
const UNKNOWN_SIZE: u64 = 64 << 20;

/// Why such a file is not complete.
const CUT: &str = "its size is reported as 0, so only its first 64 MiB were read";

/// Why a directory is missing.
const UNREADABLE: &str = "it could not be read";

/// What is known about the archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Archived {
    /// Whether it ended early.
    pub(super) is_cut: bool,
    /// Whether tar may have filled files up with zeros because they became shorter.
    pub(super) is_padded: bool,
    /// Seconds since it was begun.
    pub(super) age: i64,
}

/// A file or symlink to fetch on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) name: Vec<u8>,
    pub(super) stat: Stat,
    /// What was announced before, if it was in the archive.
    sent: Option<Sent>,
    /// Whether all of it was in the archive.
    was_whole: bool,
    /// Whether it was changed since the archive was begun.
    is_touched: bool,
}

impl Want {
    /// The most bytes to send.
    pub(super) fn most(&self) -> u64 {
        match self.stat.size {
            0 => UNKNOWN_SIZE,
            size => size,
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Want {
    /// For tests: a file that was not in the archive.
    pub(super) fn of(name: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            stat: Stat::of(0o100_644, 9, 0),
            sent: None,
            was_whole: false,
            is_touched: false,
        }
    }
}

/// What to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Directories to create, with their modes; parents first.
    pub(super) directories: Vec<(Vec<u8>, u32)>,
    pub(super) wanted: Vec<Want>,
    /// Files that changed, and of which the bytes up to some moment have arrived.
    pub(super) changed: Vec<Vec<u8>>,
    /// Files that did not change and still differ.
    pub(super) corrupt: Vec<Vec<u8>>,
    /// What cannot be fetched, and why.
    pub(super) missing: Vec<(Vec<u8>, &'static str)>,
}

impl Plan {
    /// Leaves out the files that are larger than what is `left` of the limit behind those before them.
    pub(super) fn fit(&mut self, mut left: u64) {
        self.wanted.retain(|want| {
            let size = match want.stat.kind() {
                Kind::File => want.stat.size,
                _ => 0,
            };
            if size > left {
                self.missing.push((want.name.clone(), TOO_LARGE));
                return false;
            }
            left -= size;
            true
        });
    }
}

/// Compares what has arrived with the digests and the files of the node.
pub(super) fn plan(
    seen: &HashMap<Vec<u8>, Seen>,
    digests: &HashMap<Vec<u8>, String>,
    listing: &Listing,
    archived: Archived,
) -> Plan {
    let since = listing.now.map_or(i64::MAX, |now| {
        now.saturating_sub(archived.age).saturating_sub(SLACK)
    });
    let mut plan = Plan::default();
    for (name, stat) in &listing.files {
        let is_new = stat.changed >= since;
        let (sent, was_whole) = match seen.get(name) {
            Some(Seen::Other) => continue,
            Some(Seen::File(_, content)) if digests.get(name) == Some(&content.digest) => continue,
            Some(Seen::File(sent, content)) => match outdated(stat, is_new, sent, content, archived) {
                Outdated::Changed => {
                    plan.changed.push(name.clone());
                    continue;
                }
                Outdated::Corrupt => {
                    plan.corrupt.push(name.clone());
                    continue;
                }
                Outdated::Unclear => (Some(*sent), true),
            },
            Some(Seen::Broken(sent)) => (Some(*sent), false),
            None => (None, false),
        };
        match stat.kind() {
            // Nothing that it contains could be listed either.
            Kind::Directory if !archived.is_cut && !is_new => plan.missing.push((name.clone(), UNREADABLE)),
            Kind::Directory => plan.directories.push((name.clone(), stat.permissions())),
            Kind::File | Kind::Symlink => plan.wanted.push(Want {
                name: name.clone(),
                stat: *stat,
                is_touched: is_new || sent.is_some_and(|sent| differs(stat, &sent)),
                sent,
                was_whole,
            }),
            Kind::Other(what) => plan.missing.push((name.clone(), what)),
        }
    }
    for (name, seen) in seen {
        let is_whole = match seen {
            Seen::File(_, content) => digests.get(name) == Some(&content.digest),
            Seen::Broken(_) => false,
            Seen::Other => true,
        };
        if !is_whole && !listing.files.contains_key(name) {
            plan.changed.push(name.clone());
        }
    }
    plan
}

fn differs(stat: &Stat, sent: &Sent) -> bool {
    stat.modified != sent.modified || stat.size != sent.size
}

/// Why a file differs from what has arrived.
enum Outdated {
    /// It was changed since; what has arrived is its content up to some moment.
    Changed,
    /// It was not changed.
    Corrupt,
    /// What has arrived may be of no use; reading it again shows why it differs.
    Unclear,
}

fn outdated(stat: &Stat, is_new: bool, sent: &Sent, content: &Content, archived: Archived) -> Outdated {
    let is_filled_up = archived.is_padded && content.ends_in_zero;
    let is_usable = sent.size > 0 && stat.size >= sent.size && !is_filled_up;
    if stat.kind() != Kind::File || (is_usable && (is_new || differs(stat, sent))) {
        Outdated::Changed
    } else if is_usable && stat.size > PAGE_LIMIT {
        Outdated::Corrupt
    } else {
        Outdated::Unclear
    }
}

/// What has arrived of a wanted file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Got {
    Content(Content),
    Link,
    /// It is no longer there.
    Gone,
    /// It could not be read.
    Failed(String),
}

/// What that means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    Changed,
    Corrupt,
    Missing(String),
}

/// Judges what has arrived of a wanted file, given the digest that the node reported.
pub(super) fn judge(want: &Want, got: &Got, digest: Option<&String>) -> Verdict {
    let content = match got {
        Got::Content(content) => content,
        Got::Link => return Verdict::Fine,
        Got::Gone => return Verdict::Changed,
        Got::Failed(why) => return Verdict::Missing(why.clone()),
    };
    let is_same = digest == Some(&content.digest);
    let had_no_size = want.stat.size == 0 && want.sent.is_none_or(|sent| sent.size == 0);
    if had_no_size && content.length >= UNKNOWN_SIZE {
        return Verdict::Missing(CUT.to_owned());
    }
    let is_shorter = content.length < want.stat.size;
    if had_no_size || (is_shorter && (is_same || !want.is_touched)) {
        // The size that the node reports means nothing, as for `/proc` and `/sys`.
        return Verdict::Fine;
    }
    match (want.is_touched, want.was_whole) {
        // It was not changed, and what arrived first was something else.
        (false, true) => Verdict::Corrupt,
        (false, false) if digest.is_some() && !is_same => Verdict::Corrupt,
        (true, _) if want.sent.is_some() || !is_same => Verdict::Changed,
        _ => Verdict::Fine,
    }
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
