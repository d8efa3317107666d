use proptest::prelude::*;

use super::*;

fn set(text: &str) -> NodeSet {
    NodeSet::parse(text, groups).unwrap()
}

fn groups(name: &str) -> Option<Vec<String>> {
    match name {
        "web" => Some(vec!["web1".into(), "web2".into()]),
        "db" => Some(vec!["db01".into()]),
        "rack1" => Some(vec!["web1".into(), "db01".into()]),
        "rack2" => Some(vec!["web2".into()]),
        "*" => Some(vec!["web1".into(), "web2".into(), "db01".into()]),
        _ => None,
    }
}

fn refused(text: &str) -> (NodeSetErrorKind, usize) {
    let error = NodeSet::parse(text, groups).unwrap_err();
    (error.kind, error.at)
}

#[test]
fn ranges_keep_their_padding_and_steps_are_expanded() {
    assert_eq!(
        expand("node[008-010]").unwrap(),
        ["node008", "node009", "node010"]
    );
    assert_eq!(
        expand("node[0-6/2]").unwrap(),
        ["node0", "node2", "node4", "node6"]
    );
    assert_eq!(expand("a[8-11]").unwrap(), ["a8", "a9", "a10", "a11"]);
    assert_eq!(
        expand("n[1-3,2,7]-ib").unwrap(),
        ["n1-ib", "n2-ib", "n3-ib", "n7-ib"]
    );
}

#[test]
fn several_ranges_in_one_name_are_a_product() {
    assert_eq!(
        expand("rack[1-2]node[09-10]").unwrap(),
        ["rack1node09", "rack1node10", "rack2node09", "rack2node10"]
    );
}

#[test]
fn digits_next_to_a_range_belong_to_its_numbers() {
    assert_eq!(expand("a1[1-2]").unwrap(), ["a11", "a12"]);
    assert_eq!(expand("a[1-2]5").unwrap(), ["a15", "a25"]);
    assert_eq!(expand("a1[9-10]").unwrap(), ["a19", "a110"]);
    assert_eq!(expand("a0[1-2]0b").unwrap(), ["a010b", "a020b"]);
}

#[test]
fn operators_work_from_left_to_right() {
    assert_eq!(set("a[1-5]!a3&a[1-4]").to_string(), "a[1-2,4]");
    assert_eq!(set("a[1-3]^a[3-4]").to_string(), "a[1-2,4]");
    assert_eq!(set("a[1-3],b!a2").to_string(), "a[1,3],b");
    assert!(set("a!a").is_empty());
    assert!(set(" ").is_empty());
}

#[test]
fn groups_are_resolved_also_beside_operators_and_with_ranges_in_their_names() {
    assert_eq!(set("@web").to_string(), "web[1-2]");
    assert_eq!(set("@all!@db").to_string(), "web[1-2]");
    assert_eq!(set("@*&@rack[1-2]!web1").to_string(), "db01,web2");
    assert_eq!(
        refused("web1,@nope"),
        (NodeSetErrorKind::UnknownGroup("nope".into()), 5)
    );
}

#[test]
fn one_and_zero_one_are_different_nodes() {
    let nodes = set("a1,a01");
    assert_eq!(nodes.len(), 2);
    assert!(nodes.contains("a01") && nodes.contains("a1") && !nodes.contains("a001"));
}

#[test]
fn a_set_that_is_too_large_is_refused_before_it_is_expanded() {
    for text in [
        "a[1-999999999999]",
        "a[0-9999999999999999999]",
        "a[1-1000]b[1-1000]c[1-1000]",
        "a[1-600000],b[1-600000]",
        "a[1-600000,1-600000]",
    ] {
        assert_eq!(refused(text).0, NodeSetErrorKind::TooMany, "{text}");
    }
    assert_eq!(set("a[0-9999999999999999999/9999999999999999999]").len(), 2);
    assert_eq!(refused("a[1-2],b[1-5000000]").1, 9);
}

#[test]
fn mistakes_are_reported_with_their_place() {
    use NodeSetErrorKind as K;
    let text = |s: &str| s.to_owned();
    for (input, kind, at) in [
        ("node[1-5", K::Unclosed, 4),
        ("node1-5]", K::StrayClose, 7),
        ("a,,b", K::MissingOperand(','), 1),
        ("a,", K::MissingOperand(','), 1),
        ("!a", K::MissingOperand('!'), 0),
        ("a[5-1]", K::Backwards(text("5-1")), 2),
        ("a[1,01-100]", K::Padding(text("01-100")), 4),
        ("a[1-2/0]", K::ZeroStep(text("1-2/0")), 2),
        ("a[5/2]", K::StepWithoutRange(text("5/2")), 2),
        ("a[]", K::EmptyRange, 2),
        ("a[1,,2]", K::EmptyRange, 4),
        ("a[x-2]", K::NotANumber(text("x")), 2),
        ("a[-3-2]", K::NotANumber(text("")), 2),
        ("a[[1]]", K::Reopened, 2),
        ("a[1][2]", K::Reopened, 4),
        ("a[1]5[2]", K::Reopened, 5),
        ("a b", K::Character(' '), 1),
        ("a\u{1b}b", K::Character('\u{1b}'), 1),
        ("ä[1", K::Unclosed, 2),
    ] {
        assert_eq!(refused(input), (kind, at), "{input}");
    }
}

#[test]
fn names_with_many_digits_or_a_percent_sign_survive() {
    for name in ["a12345678901234567890123", "50%", "a%s1", "%%", "1"] {
        assert_eq!(fold([name]), name);
        assert!(set(name).contains(name));
    }
}

#[test]
fn folding_merges_products_and_puts_the_larger_first() {
    let names = [
        "rack1node2",
        "rack1node1",
        "rack2node1",
        "rack2node2",
        "rack3node1",
    ];
    assert_eq!(fold(names), "rack[1-2]node[1-2],rack3node1");
    assert_eq!(
        fold(expand("r[1-9]n[1-9]c[01-10]").unwrap()),
        "r[1-9]n[1-9]c[01-10]"
    );
}

fn name() -> impl Strategy<Value = String> {
    (
        "[a-c]{1,2}",
        prop::option::of(("0{0,2}[1-9]?[0-9]", "-[xy]|")),
        prop::option::of("[0-3]"),
    )
        .prop_map(|(prefix, index, second)| {
            let mut name = prefix;
            if let Some((digits, suffix)) = index {
                name += &digits;
                name += &suffix;
            }
            if let Some(second) = second {
                name += "n";
                name += &second;
            }
            name
        })
}

fn names() -> impl Strategy<Value = BTreeSet<String>> {
    prop::collection::btree_set(name(), 0..60)
}

proptest! {
    #[test]
    fn expanding_a_fold_gives_the_names_back(names in names()) {
        let again: BTreeSet<String> = expand(&fold(&names)).unwrap().into_iter().collect();
        prop_assert_eq!(again, names);
    }

    #[test]
    fn operators_agree_with_sets_of_text(a in names(), b in names()) {
        let of = |text: String| -> BTreeSet<String> { expand(&text).unwrap().into_iter().collect() };
        prop_assume!(!a.is_empty() && !b.is_empty());
        let (left, right) = (fold(&a), fold(&b));
        // Each operator applies to everything on its left, so the right side must be one operand.
        let groups = |name: &str| (name == "b").then(|| b.iter().cloned().collect());
        let of_group = |text: String| -> BTreeSet<String> { NodeSet::parse(&text, groups).unwrap().iter().collect() };
        prop_assert_eq!(of(format!("{left},{right}")), a.union(&b).cloned().collect::<BTreeSet<_>>());
        prop_assert_eq!(of_group(format!("{left}!@b")), a.difference(&b).cloned().collect::<BTreeSet<_>>());
        prop_assert_eq!(of_group(format!("{left}&@b")), a.intersection(&b).cloned().collect::<BTreeSet<_>>());
        prop_assert_eq!(of_group(format!("{left}^@b")), a.symmetric_difference(&b).cloned().collect::<BTreeSet<_>>());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-b0-9\\[\\]/,!&^@ %-]{0,24}") {
        let _ = expand(&text);
    }

    #[test]
    fn the_order_of_the_names_does_not_matter(names in names().prop_flat_map(|names| Just(names.into_iter().collect::<Vec<_>>()).prop_shuffle())) {
        let mut sorted = names.clone();
        sorted.sort();
        prop_assert_eq!(fold(names), fold(sorted));
    }
}
