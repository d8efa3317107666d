//! What may differ, and what is refused.

use super::super::{Comparison, Difference, Refusal, Side, compare};
use super::fixture::{CALM, options, side, spec};
use crate::base::failure::UserFacing as _;
use crate::measure::Unit;
use crate::workload::Record;

fn with(name: &str, change: impl Fn(&mut Record)) -> Side {
    side(name, &[("t", &CALM)], change)
}

fn assume(record: &mut Record, assumptions: &[(&str, &str)]) {
    for (key, value) in assumptions {
        record.assumptions.insert((*key).into(), (*value).into());
    }
}

fn compared(a: &Side, b: &Side, despite: &[&str]) -> Result<Comparison, Refusal> {
    let mut options = options();
    options.despite = despite.iter().map(|key| (*key).into()).collect();
    compare(a, b, &options, &[])
}

fn keys(differences: &[Difference]) -> Vec<&str> {
    differences
        .iter()
        .map(|difference| difference.key.as_str())
        .collect()
}

#[test]
fn sides_with_equal_assumptions_differ_in_nothing() {
    let assumptions = [
        ("topology", "1"),
        ("host.bm01.kernel", "6.1"),
        ("vcluster", "0.1.0"),
    ];
    let of = |name: &str| with(name, |record| assume(record, &assumptions));
    let comparison = compared(&of("a"), &of("b"), &[]).unwrap();
    assert!(comparison.varied.is_empty() && comparison.despite.is_empty());
}

#[test]
fn a_refusal_lists_all_differences_with_both_values_and_the_flag_for_each() {
    let digests = ["a".repeat(64), "b".repeat(64)];
    let a = with("old", |record| {
        assume(
            record,
            &[
                ("placement", &digests[0]),
                ("host.bm01.kernel", "6.1"),
                ("same", "x"),
            ],
        );
    });
    let b = with("new", |record| {
        assume(
            record,
            &[
                ("placement", &digests[1]),
                ("host.bm02.qemu", "7.2"),
                ("same", "x"),
            ],
        );
        record.sizes.insert("worker".parse().unwrap(), 30);
    });
    let refusal = compared(&a, &b, &[]).unwrap_err();
    let wanted = "\
`old` and `new` differ in more than what was varied:
  group.worker: none in `old`, 30 in `new` (--despite group.worker)
  host.bm01.kernel: 6.1 in `old`, none in `new` (--despite host.bm01.kernel)
  host.bm02.qemu: none in `old`, 7.2 in `new` (--despite host.bm02.qemu)
  placement: aaaaaaaaaaaa... in `old`, bbbbbbbbbbbb... in `new` (--despite placement)";
    assert_eq!(refusal.to_string(), wanted);
    let hint = refusal.hint().unwrap();
    assert!(
        hint.ends_with(": --despite group --despite host --despite placement"),
        "{hint}"
    );
    // What is accepted is no longer refused, and is part of the result.
    let refusal = compared(&a, &b, &["host", "plac"]).unwrap_err();
    assert_eq!(keys(&refusal.differences), ["group.worker", "placement"]);
    let comparison = compared(&a, &b, &["host", "placement", "group.worker"]).unwrap();
    assert_eq!(keys(&comparison.despite).len(), 4);
    assert!(comparison.varied.is_empty());
}

#[test]
fn what_was_varied_may_differ_with_all_that_follows_from_it() {
    let of = |name: &str, rev: &str, size: u32| {
        with(name, move |record| {
            record.variant.insert("rev".into(), rev.into());
            record.variant.insert("nodes.worker".into(), size.to_string());
            record.sizes.insert("worker".parse().unwrap(), size);
            let size = size.to_string();
            assume(
                record,
                &[("vars.rev", rev), ("nodes", &size), ("placement", &size)],
            );
            assume(
                record,
                &[("host.bm01.overcommitment", &size), ("git.commit", rev)],
            );
        })
    };
    let comparison = compared(&of("a", "old", 10), &of("b", "new", 10), &[]).unwrap();
    assert_eq!(
        keys(&comparison.varied),
        ["git.commit", "variant.rev", "vars.rev"]
    );
    let comparison = compared(&of("a", "old", 10), &of("b", "old", 30), &[]).unwrap();
    let wanted = [
        "group.worker",
        "host.bm01.overcommitment",
        "nodes",
        "placement",
        "variant.nodes.worker",
    ];
    assert_eq!(keys(&comparison.varied), wanted);
    // The size of another group was not varied, and a variable that nobody varied was not either.
    let mut other = of("b", "new", 10);
    for run in &mut other.runs {
        run.record.sizes.insert("seed".parse().unwrap(), 3);
        assume(&mut run.record, &[("placement", "other"), ("vars.depth", "2")]);
    }
    let refusal = compared(&of("a", "old", 10), &other, &[]).unwrap_err();
    assert_eq!(
        keys(&refusal.differences),
        ["group.seed", "placement", "vars.depth"]
    );
}

#[test]
fn the_commit_may_always_differ_and_the_version_of_vcluster_may_not() {
    let of = |name: &str, value: &str| {
        with(name, move |record| {
            assume(record, &[("git.commit", value), ("git.dirty", value)]);
        })
    };
    let (a, mut b) = (of("a", "1"), of("b", "2"));
    let comparison = compared(&a, &b, &[]).unwrap();
    assert_eq!(keys(&comparison.varied), ["git.commit", "git.dirty"]);
    for run in &mut b.runs {
        assume(&mut run.record, &[("vcluster", "0.2.0"), ("git.branch", "x")]);
    }
    let refusal = compared(&a, &b, &[]).unwrap_err();
    assert_eq!(keys(&refusal.differences), ["git.branch", "vcluster"]);
}

#[test]
fn a_file_that_was_changed_is_refused_by_its_name_and_what_to_type_is_said() {
    let of = |name: &str, digest: &str| {
        let digest = digest.repeat(64);
        with(name, move |record| {
            record.variant.insert("rev".into(), name.into());
            assume(record, &[("sources.conf/app.py", &digest), ("sources.same", "x")]);
        })
    };
    let (a, b) = (of("old", "a"), of("new", "b"));
    // Also where a variable was varied: it cannot change what is in a file.
    let mut refusal = compared(&a, &b, &[]).unwrap_err();
    assert_eq!(
        refusal.differences[0].to_string(),
        "sources.conf/app.py: aaaaaaaaaaaa... in `old`, bbbbbbbbbbbb... in `new`"
    );
    assert_eq!(keys(&refusal.differences), ["sources.conf/app.py"]);
    refusal.command = Some("vcluster compare old new".into());
    assert_eq!(
        refusal.hint().unwrap(),
        "if these files are what was changed on purpose, say so, which becomes part of the result: vcluster compare \
         old new --despite sources"
    );
    let comparison = compared(&a, &b, &["sources"]).unwrap();
    assert_eq!(keys(&comparison.despite), ["sources.conf/app.py"]);
    // The runs of one side must have brought the same file.
    let mut mixed = of("new", "a");
    for run in &mut mixed.runs[4..] {
        assume(&mut run.record, &[("sources.conf/app.py", "other")]);
    }
    let refusal = compared(&a, &mixed, &[]).unwrap_err();
    assert_eq!(keys(&refusal.differences), ["sources.conf/app.py"]);
}

#[test]
fn a_file_that_a_varied_variable_chooses_may_be_another_one() {
    let of = |name: &str, file: &str, varied: &str| {
        let key = format!("sources.{file}");
        with(name, move |record| {
            record.variant.insert(varied.into(), name.into());
            assume(record, &[(key.as_str(), name)]);
        })
    };
    let (a, b) = (of("old", "old/app", "rev"), of("new", "new/app", "rev"));
    let comparison = compared(&a, &b, &[]).unwrap();
    assert_eq!(
        keys(&comparison.varied),
        ["sources.new/app", "sources.old/app", "variant.rev"]
    );
    // A size chooses no file.
    let (a, b) = (of("1", "a", "nodes.worker"), of("2", "b", "nodes.worker"));
    let refusal = compared(&a, &b, &[]).unwrap_err();
    assert_eq!(keys(&refusal.differences), ["sources.a", "sources.b"]);
}

/// Sides of a variant each, with assumptions of their own.
fn varied_by(name: &str, old: &[(&str, &str)], new: &[(&str, &str)]) -> (Side, Side) {
    let of = |side: &str, assumptions: &[(&str, &str)]| {
        with(side, |record| {
            record.variant.insert(name.into(), side.into());
            assume(record, assumptions);
        })
    };
    (of("old", old), of("new", new))
}

#[test]
fn a_varied_variable_may_size_the_nodes_and_with_them_their_places() {
    let old = [
        ("group.worker.memory", "96 MiB"),
        ("group.worker.vcpus", "1"),
        ("placement", "x"),
        ("host.bm01.overcommitment", "1.00"),
    ];
    let new = [
        ("group.worker.memory", "128 MiB"),
        ("group.worker.vcpus", "2"),
        ("placement", "y"),
        ("host.bm01.overcommitment", "2.00"),
    ];
    let (a, b) = varied_by("size", &old, &new);
    let wanted = [
        "group.worker.memory",
        "group.worker.vcpus",
        "host.bm01.overcommitment",
        "placement",
        "variant.size",
    ];
    assert_eq!(keys(&compared(&a, &b, &[]).unwrap().varied), wanted);
    // Nodes of the same size that are elsewhere are so for another reason, and a number of nodes sizes no node.
    let (a, b) = varied_by("size", &old[2..], &new[2..]);
    let refusal = compared(&a, &b, &[]).unwrap_err();
    assert_eq!(
        keys(&refusal.differences),
        ["host.bm01.overcommitment", "placement"]
    );
    let (a, b) = varied_by("nodes.worker", &old[..1], &new[..1]);
    let refusal = compared(&a, &b, &[]).unwrap_err();
    assert_eq!(keys(&refusal.differences), ["group.worker.memory"]);
    // The size of a group is no size of a node, whatever the group is called.
    let (a, b) = varied_by("size", &[("group.memory", "1")], &[("group.memory", "2")]);
    let refusal = compared(&a, &b, &[]).unwrap_err();
    assert_eq!(keys(&refusal.differences), ["group.memory"]);
}

#[test]
fn a_varied_variable_may_choose_an_image_but_not_change_one() {
    let (a, b) = varied_by("base", &[("image.debian", "1")], &[("image.redis", "2")]);
    let comparison = compared(&a, &b, &[]).unwrap();
    assert_eq!(
        keys(&comparison.varied),
        ["image.debian", "image.redis", "variant.base"]
    );
    let (a, b) = varied_by("base", &[("image.debian", "1")], &[("image.debian", "2")]);
    let refusal = compared(&a, &b, &[]).unwrap_err();
    assert_eq!(keys(&refusal.differences), ["image.debian"]);
    // Without a variable that was varied, another image is another cluster.
    let (a, b) = varied_by("nodes.worker", &[("image.debian", "1")], &[("image.redis", "2")]);
    let refusal = compared(&a, &b, &[]).unwrap_err();
    assert_eq!(keys(&refusal.differences), ["image.debian", "image.redis"]);
}

#[test]
fn the_runs_of_one_side_must_agree_and_the_run_that_does_not_is_named() {
    let a = with("a", |record| assume(record, &[("host.bm01.kernel", "6.1")]));
    let mut b = with("b", |record| assume(record, &[("host.bm01.kernel", "6.1")]));
    for index in [3, 5] {
        assume(&mut b.runs[index].record, &[("host.bm01.kernel", "6.2")]);
    }
    let refusal = compared(&a, &b, &[]).unwrap_err();
    assert_eq!(refusal.differences.len(), 1);
    assert_eq!(
        refusal.differences[0].to_string(),
        "host.bm01.kernel: 6.1 in `b-0`, 6.2 in `b-3`"
    );
    assert!(compared(&a, &b, &["host"]).is_ok());
    // Runs of several variants are no replicates of each other.
    let mut mixed = with("b", |record| assume(record, &[("host.bm01.kernel", "6.1")]));
    for (index, run) in mixed.runs.iter_mut().enumerate() {
        run.record.variant.insert("rev".into(), (index % 2).to_string());
    }
    let refusal = compared(&a, &mixed, &[]).unwrap_err();
    assert_eq!(
        refusal.differences[0].to_string(),
        "variant.rev: 0 in `b-0`, 1 in `b-1`"
    );
}

#[test]
fn units_must_be_equal_where_both_sides_have_the_metric() {
    let of = |name: &str, unit: Option<Unit>| {
        with(name, move |record| {
            record.metrics = vec![spec("t")];
            record.metrics[0].unit.clone_from(&unit);
        })
    };
    let seconds = of("a", Some(Unit::seconds()));
    let refusal = compared(&seconds, &of("b", Some(Unit::bytes())), &[]).unwrap_err();
    assert_eq!(refusal.differences[0].to_string(), "unit.t: s in `a`, B in `b`");
    let refusal = compared(&seconds, &of("b", None), &[]).unwrap_err();
    assert_eq!(
        refusal.differences[0].to_string(),
        "unit.t: s in `a`, none in `b`"
    );
    assert!(compared(&seconds, &with("b", |_| {}), &[]).is_ok());
}
