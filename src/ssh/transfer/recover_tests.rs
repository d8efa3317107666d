use super::*;

const NOW: i64 = 1_000_000;
const OLD: i64 = 5000;

impl Want {
    /// A wanted file that was not in the archive.
    fn unseen(size: u64, is_touched: bool) -> Self {
        Self {
            name: b"f".to_vec(),
            stat: stat(0o100_644, size, OLD),
            sent: None,
            was_whole: false,
            is_touched,
        }
    }
}

fn stat(mode: u32, size: u64, changed: i64) -> Stat {
    Stat::of(mode, size, changed)
}

fn file(size: u64, digest: &str) -> Seen {
    let sent = Sent { size, modified: OLD };
    Seen::File(sent, content(size, digest))
}

fn content(length: u64, digest: &str) -> Content {
    Content {
        digest: digest.into(),
        length,
        ends_in_zero: false,
    }
}

/// The plan for a file `f`.
fn planned(seen: Option<Seen>, stat: Option<Stat>, is_padded: bool) -> Plan {
    let seen = seen.map(|seen| (b"f".to_vec(), seen)).into_iter().collect();
    let digests = [(b"f".to_vec(), "node".to_owned())].into();
    let listing = Listing {
        now: Some(NOW),
        files: stat.map(|stat| (b"f".to_vec(), stat)).into_iter().collect(),
    };
    let archived = Archived {
        is_cut: false,
        is_padded,
        age: 10,
    };
    plan(&seen, &digests, &listing, archived)
}

fn names(plan: &Plan) -> (usize, usize, usize, usize) {
    (
        plan.wanted.len(),
        plan.changed.len(),
        plan.corrupt.len(),
        plan.missing.len(),
    )
}

#[test]
fn a_file_that_changed_by_itself_is_kept_and_one_that_did_not_is_corrupt() {
    let big = PAGE_LIMIT + 1;
    let regular = |size, changed| Some(stat(0o100_644, size, changed));
    // Equal; grown; rewritten just now; rotated away; another type by now.
    assert_eq!(
        names(&planned(Some(file(big, "node")), regular(big, OLD), false)),
        (0, 0, 0, 0)
    );
    assert_eq!(
        names(&planned(Some(file(big, "x")), regular(big + 9, NOW), false)),
        (0, 1, 0, 0)
    );
    assert_eq!(
        names(&planned(Some(file(big, "x")), regular(big, NOW - 11), false)),
        (0, 1, 0, 0)
    );
    assert_eq!(names(&planned(Some(file(big, "x")), None, false)), (0, 1, 0, 0));
    let directory = Some(stat(0o040_755, 4096, NOW));
    assert_eq!(
        names(&planned(Some(file(big, "x")), directory, false)),
        (0, 1, 0, 0)
    );
    // Not changed for a long time.
    assert_eq!(
        names(&planned(Some(file(big, "x")), regular(big, OLD), false)),
        (0, 0, 1, 0)
    );
    // Small: its size may be wrong. Shorter, or filled up with zeros: read again.
    assert_eq!(
        names(&planned(Some(file(9, "x")), regular(9, OLD), false)),
        (1, 0, 0, 0)
    );
    assert_eq!(
        names(&planned(Some(file(big, "x")), regular(9, NOW), false)),
        (1, 0, 0, 0)
    );
    assert_eq!(
        names(&planned(Some(file(0, "x")), regular(0, NOW), false)),
        (1, 0, 0, 0)
    );
    let Seen::File(sent, mut zeros) = file(9, "x") else {
        panic!()
    };
    zeros.ends_in_zero = true;
    for (is_padded, expected) in [(false, (0, 1, 0, 0)), (true, (1, 0, 0, 0))] {
        let seen = Seen::File(sent, zeros.clone());
        assert_eq!(names(&planned(Some(seen), regular(9, NOW), is_padded)), expected);
    }
}

#[test]
fn what_did_not_arrive_is_fetched_or_named() {
    let of = |mode| planned(None, Some(stat(mode, 1, OLD)), false);
    assert_eq!(names(&of(0o100_644)), (1, 0, 0, 0));
    assert_eq!(names(&of(0o120_777)), (1, 0, 0, 0));
    assert_eq!(of(0o140_755).missing, [(b"f".to_vec(), "a socket")]);
    assert_eq!(of(0o040_755).missing, [(b"f".to_vec(), UNREADABLE)]);
    let new = planned(None, Some(stat(0o040_750, 1, NOW)), false);
    assert_eq!(new.directories, [(b"f".to_vec(), 0o750)]);
    let cut = Seen::Broken(Sent {
        size: 9,
        modified: OLD,
    });
    assert_eq!(names(&planned(Some(cut.clone()), None, false)), (0, 1, 0, 0));
    assert_eq!(
        names(&planned(Some(cut), Some(stat(0o100_644, 5, NOW)), false)),
        (1, 0, 0, 0)
    );
}

#[test]
fn what_was_read_again_is_judged_by_time_and_size() {
    let node = "node".to_owned();
    let judged =
        |want: &Want, length, digest: &str| judge(want, &Got::Content(content(length, digest)), Some(&node));
    let whole = |size, is_touched| Want {
        sent: Some(Sent { size, modified: OLD }),
        was_whole: true,
        ..Want::unseen(size, is_touched)
    };
    // As in /sys, with and without a time that is always now; as in /proc.
    assert_eq!(judged(&whole(4096, false), 2, "node"), Verdict::Fine);
    assert_eq!(judged(&whole(4096, true), 2, "node"), Verdict::Fine);
    assert_eq!(judged(&whole(0, true), 80, "x"), Verdict::Fine);
    // It may have more, and no size tells.
    assert_eq!(
        judged(&whole(0, true), UNKNOWN_SIZE, "x"),
        Verdict::Missing(CUT.into())
    );
    // A real corruption of the first transfer, or of this one.
    assert_eq!(judged(&whole(9, false), 9, "node"), Verdict::Corrupt);
    assert_eq!(judged(&Want::unseen(9, false), 9, "x"), Verdict::Corrupt);
    assert_eq!(judged(&Want::unseen(9, false), 9, "node"), Verdict::Fine);
    // Truncated, rewritten, or written for the first time.
    assert_eq!(judged(&whole(9, true), 9, "x"), Verdict::Changed);
    assert_eq!(judged(&Want::unseen(9, true), 9, "x"), Verdict::Changed);
    assert_eq!(judged(&Want::unseen(9, true), 9, "node"), Verdict::Fine);
    assert_eq!(judge(&whole(9, true), &Got::Gone, None), Verdict::Changed);
    let failed = Got::Failed("no".into());
    assert_eq!(
        judge(&whole(9, true), &failed, None),
        Verdict::Missing("no".into())
    );
}

#[test]
fn files_are_left_out_that_are_larger_than_what_is_left_behind_those_before_them() {
    let want = |name: &str, mode, size| Want {
        name: name.into(),
        stat: stat(mode, size, OLD),
        ..Want::unseen(size, false)
    };
    let mut plan = Plan {
        wanted: vec![
            want("a", 0o100_644, 600),
            want("b", 0o100_644, 500),
            want("c", 0o120_777, 500),
            want("d", 0o100_644, 400),
            want("e", 0o100_644, 0),
        ],
        ..Plan::default()
    };
    plan.fit(1000);
    let left: Vec<&[u8]> = plan.wanted.iter().map(|want| want.name.as_slice()).collect();
    assert_eq!(left, [b"a", b"c", b"d", b"e"]);
    assert_eq!(plan.missing, [(b"b".to_vec(), TOO_LARGE)]);
}
