use super::*;

fn design(vary: &[(&str, &[&str])], nodes: &[(&str, &[u32])], repeat: u32, order: Order) -> Design {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    Design {
        vary: vary
            .iter()
            .map(|(name, of)| ((*name).to_owned(), values(of)))
            .collect(),
        nodes: nodes
            .iter()
            .map(|(group, sizes)| (group.parse().unwrap(), sizes.to_vec()))
            .collect(),
        repeat,
        order,
        between: Between::Configure,
    }
}

/// The runs as `old1 new1 ...`.
fn shown(runs: &[Planned]) -> String {
    let runs = runs.iter().map(|run| {
        let value = run.variant.vars.values().next();
        format!("{}{}", value.map_or("", String::as_str), run.repetition)
    });
    runs.collect::<Vec<_>>().join(" ")
}

#[test]
fn two_variants_are_interleaved_as_abba_baab() {
    let design = design(&[("rev", &["a", "b"])], &[], 4, Order::Interleaved);
    let blocks = design.blocks();
    assert_eq!(blocks.len(), 1);
    assert_eq!(shown(&blocks[0].runs), "a1 b1 b2 a2 b3 a3 a4 b4");
    assert!(blocks[0].runs.iter().all(|run| !run.confirmation));
}

#[test]
fn three_variants_are_interleaved_back_and_forth() {
    let design = design(&[("rev", &["a", "b", "c"])], &[], 3, Order::Interleaved);
    assert_eq!(shown(&design.blocks()[0].runs), "a1 b1 c1 c2 b2 a2 c3 b3 a3");
}

#[test]
fn in_sequence_one_variant_ends_before_the_next_begins() {
    let design = design(&[("rev", &["a", "b"])], &[], 2, Order::Sequential);
    assert_eq!(shown(&design.blocks()[0].runs), "a1 a2 b1 b2");
}

#[test]
fn a_confirmation_has_the_reverse_order() {
    let design = design(&[("rev", &["a", "b"])], &[], 4, Order::Interleaved);
    let variants = design.blocks().remove(0).variants;
    let runs = design.confirmation(&variants);
    assert_eq!(shown(&runs), "b1 a1 a2 b2 a3 b3 b4 a4");
    assert!(runs.iter().all(|run| run.confirmation));
}

#[test]
fn several_variables_give_every_combination_and_the_first_is_the_baseline() {
    let design = design(
        &[("rev", &["a", "b"]), ("cache", &["on", "off"])],
        &[],
        1,
        Order::Interleaved,
    );
    let words: Vec<String> = design.all_variants().iter().map(Variant::words).collect();
    assert_eq!(
        words,
        [
            "cache=on,rev=a",
            "cache=off,rev=a",
            "cache=on,rev=b",
            "cache=off,rev=b"
        ]
    );
    assert_eq!(design.variant_count(), 4);
}

#[test]
fn sizes_ascend_in_blocks_and_groups_grow_together() {
    let design = design(
        &[("rev", &["a", "b"])],
        &[("worker", &[10, 30, 60]), ("db", &[1, 2, 3]), ("proxy", &[2])],
        1,
        Order::Interleaved,
    );
    let blocks = design.blocks();
    let sizes: Vec<Vec<u32>> = blocks
        .iter()
        .map(|block| block.variants[0].counts.values().copied().collect())
        .collect();
    assert_eq!(sizes, [[10, 1, 2], [30, 2, 2], [60, 3, 2]]);
    for block in &blocks {
        assert_eq!(shown(&block.runs), "a1 b1");
        let same = |run: &Planned| run.variant.counts == block.variants[0].counts;
        assert!(block.runs.iter().all(same));
    }
}

#[test]
fn every_size_has_all_variants_in_turn_and_they_are_known_without_a_size() {
    let design = design(
        &[("rev", &["a", "b"])],
        &[("worker", &[10, 20])],
        2,
        Order::Interleaved,
    );
    let blocks = design.blocks();
    let runs: Vec<String> = blocks.iter().map(|block| shown(&block.runs)).collect();
    assert_eq!(runs, ["a1 b1 b2 a2", "a1 b1 b2 a2"]);
    let choices = design.choices();
    let words: Vec<String> = choices.iter().map(Variant::words).collect();
    assert_eq!(words, ["rev=a", "rev=b"]);
    let plain = Design {
        vary: IndexMap::new(),
        ..design
    };
    assert_eq!(plain.choices(), [Variant::default()]);
}

#[test]
fn without_anything_varied_the_runs_are_repetitions() {
    let design = design(&[], &[], 3, Order::Interleaved);
    let blocks = design.blocks();
    assert_eq!(blocks.len(), 1);
    assert_eq!(shown(&blocks[0].runs), "1 2 3");
    assert_eq!(blocks[0].variants[0].words(), "");
    assert!(blocks[0].variants[0].overrides().is_empty());
}

#[test]
fn too_many_runs_are_wrong_usage_also_if_their_number_overflows() {
    let many: Vec<&str> = vec!["x"; 100];
    let names: Vec<String> = (0..20).map(|number| format!("v{number}")).collect();
    let vary: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &many[..])).collect();
    let error = design(&vary, &[], 1, Order::Interleaved).check().unwrap_err();
    assert!(error.message.contains("at most 10000 are allowed"), "{error}");
    assert!(design(&vary[..1], &[], 100, Order::Interleaved).check().is_ok());
    assert!(design(&vary[..1], &[], 101, Order::Interleaved).check().is_err());
}

#[test]
fn a_variant_has_the_labels_of_a_record() {
    let design = design(&[("rev", &["a"])], &[("worker", &[30])], 1, Order::Interleaved);
    let variant = &design.all_variants()[0];
    assert_eq!(variant.words(), "nodes.worker=30,rev=a");
    let labels = BTreeMap::from([
        ("rev".to_owned(), "a".to_owned()),
        ("nodes.worker".to_owned(), "30".to_owned()),
    ]);
    assert_eq!(variant.labels(), labels);
    assert_eq!(group_of("nodes.worker"), Some("worker".parse().unwrap()));
    assert_eq!((group_of("rev"), group_of("nodesworker")), (None, None));
    let varied: Vec<(String, Vec<String>)> = design.varied().into_iter().collect();
    assert_eq!(
        varied,
        [
            ("rev".to_owned(), vec!["a".to_owned()]),
            ("nodes.worker".to_owned(), vec!["30".to_owned()])
        ]
    );
}

#[test]
fn what_is_done_before_a_run_depends_on_the_cluster_and_the_choice() {
    use Before::{Nothing, OtherMachines, SameMachines, Unknown};
    use Between::{Configure, Keep, Recreate};
    for (before, between, wanted) in [
        (Nothing, Keep, Preparation::Raise),
        (Nothing, Configure, Preparation::Raise),
        (Nothing, Recreate, Preparation::Raise),
        (Unknown, Keep, Preparation::Raise),
        (Unknown, Configure, Preparation::RaiseAndConfigure),
        (Unknown, Recreate, Preparation::Recreate),
        (SameMachines, Keep, Preparation::Nothing),
        (SameMachines, Configure, Preparation::Configure),
        (SameMachines, Recreate, Preparation::Recreate),
        (OtherMachines, Keep, Preparation::Raise),
        (OtherMachines, Configure, Preparation::RaiseAndConfigure),
        (OtherMachines, Recreate, Preparation::Recreate),
    ] {
        assert_eq!(preparation(before, between), wanted, "{before:?} {between:?}");
    }
}
