//! Variants, their selection, and the pairs of an experiment.

use std::collections::BTreeMap;

use super::super::{Selector, Side, covers, pairs, variant_text};
use super::fixture::{CALM, side};

fn variant(parts: &[(&str, &str)]) -> BTreeMap<String, String> {
    let parts = parts
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    parts.collect()
}

#[test]
fn a_selector_matches_variants_that_have_all_its_values() {
    let of = [("rev", "new"), ("nodes.worker", "10")];
    let whole = variant(&of);
    for (text, wanted) in [
        ("rev=new", true),
        ("rev=new,nodes.worker=10", true),
        ("nodes.worker = 10 , rev = new", true),
        ("nodes=10", true),
        ("rev=old", false),
        ("rev=new,nodes=30", false),
        ("nodes.wor=10", false),
        ("depth=2", false),
    ] {
        let selector: Selector = text.parse().unwrap();
        assert_eq!(selector.matches(&whole), wanted, "{text}");
    }
    assert_eq!(variant_text(&whole), "nodes.worker=10,rev=new");
    assert_eq!(
        variant_text(&whole).parse::<Selector>().unwrap().to_string(),
        variant_text(&whole)
    );
    for bad in ["", "rev", "=new", "rev=new,", "rev=new,rev=old"] {
        assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_key_covers_what_follows_its_dot() {
    assert!(covers("host", "host.bm01.kernel") && covers("host.bm01", "host.bm01.kernel"));
    assert!(covers("host", "host") && !covers("hos", "host.bm01") && !covers("host.bm01", "host"));
}

fn of(parts: &[(&str, &str)]) -> Side {
    let variant = variant(parts);
    side(&variant_text(&variant), &[("t", &CALM)], move |record| {
        record.variant.clone_from(&variant);
    })
}

fn named(sides: &[Side], by: &str, values: &[&str]) -> Result<Vec<String>, String> {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    let pairs = pairs(sides, by, &values)?;
    Ok(pairs
        .iter()
        .map(|(a, b)| format!("{} to {}", a.name, b.name))
        .collect())
}

#[test]
fn every_further_value_is_paired_with_the_first_one_even_if_its_runs_come_first() {
    let sides = [
        of(&[("rev", "new")]),
        of(&[("rev", "old")]),
        of(&[("rev", "newer")]),
    ];
    let pairs = named(&sides, "rev", &["old", "new", "newer"]).unwrap();
    assert_eq!(pairs, ["rev=old to rev=new", "rev=old to rev=newer"]);
}

#[test]
fn pairs_are_equal_in_everything_else_that_was_varied() {
    let sides = [
        of(&[("rev", "old"), ("nodes.w", "10")]),
        of(&[("rev", "new"), ("nodes.w", "10")]),
        of(&[("rev", "new"), ("nodes.w", "30")]),
        of(&[("rev", "old"), ("nodes.w", "30")]),
    ];
    let pairs = named(&sides, "rev", &["old", "new"]).unwrap();
    let wanted = [
        "nodes.w=10,rev=old to nodes.w=10,rev=new",
        "nodes.w=30,rev=old to nodes.w=30,rev=new",
    ];
    assert_eq!(pairs, wanted);
}

#[test]
fn a_side_without_runs_is_named() {
    let sides = [of(&[("rev", "new")])];
    assert_eq!(named(&sides, "rev", &["old", "new"]), Err("rev=old".into()));
    assert_eq!(named(&sides, "rev", &["new", "old"]), Err("rev=old".into()));
}
