use std::collections::BTreeMap;

use super::*;
use crate::cluster::experiment::{RankedCost, Tried};
use crate::measure::Unit;
use crate::report::style::plain;

#[test]
fn what_was_found_says_where_it_fails_and_how_often_it_ran() {
    let find = Find::parse("join: p99 < 2s").unwrap();
    let group = "worker".parse().unwrap();
    let mut tried = BTreeMap::from([
        (40, Tried { runs: 5, failed: 1 }),
        (41, Tried { runs: 1, failed: 1 }),
        (80, Tried { runs: 5, failed: 5 }),
    ]);
    let boundary = Boundary::Between { holds: 40, fails: 41 };
    let shown = |boundary: Boundary, tried: &BTreeMap<u32, Tried>| {
        let tried = tried.clone();
        found(&Found { boundary, tried }, &find, &group)
    };
    assert_eq!(
        shown(boundary, &tried),
        "`join p99 < 2s` fails from 41 nodes of worker on (fails in 1 of 1 run), and holds at 40 (fails in 1 of 5 \
         runs)"
    );
    tried.insert(80, Tried { runs: 5, failed: 0 });
    assert!(
        shown(boundary, &tried)
            .ends_with("it holds at 80 all the same: it does not depend on the size alone")
    );
    let text = shown(Boundary::HoldsThroughout(80), &tried);
    assert!(
        text.contains("holds up to the largest size, 80 (fails in 0 of 5 runs)"),
        "{text}"
    );
}

#[test]
fn what_was_found_earlier_says_where_it_fails() {
    let shown = |variant: &str, holds, fails| {
        found_earlier(&ExperimentFound {
            variant: variant.into(),
            criterion: "join p99 < 2s".into(),
            holds,
            fails,
        })
    };
    assert_eq!(
        shown("", Some(40), Some(41)),
        "`join p99 < 2s` fails from 41 nodes on, and holds at 40"
    );
    assert_eq!(
        shown("rev=new", Some(80), None),
        "rev=new: `join p99 < 2s` holds up to the largest size, 80"
    );
    assert!(shown("", None, Some(10)).ends_with("fails at the smallest size already, 10"));
    assert!(shown("", None, None).contains("could not be judged"));
}

#[test]
fn a_report_without_models_says_why() {
    let row = GrowthRow {
        metric: "join".parse().unwrap(),
        statistic: Statistic::Max,
        unit: None,
        better: crate::measure::Better::Lower,
        has_criterion: true,
        medians: vec![(10, 1.0), (20, 7.0)],
        values: 2,
        fit: None,
        prediction: None,
        held_out: None,
    };
    let report = GrowthReport {
        group: "worker".parse().unwrap(),
        variant: "rev=new".into(),
        sizes: BTreeMap::from([(10, 1), (20, 1)]),
        target: 20,
        rows: vec![row],
        findings: Vec::new(),
        ranking: Vec::new(),
        warnings: vec!["2 sizes".into()],
    };
    let text = plain(&text(&report, false));
    assert!(
        text.starts_with("growth with worker (10, 20 nodes), rev=new\nwarning: 2 sizes\n\n"),
        "{text}"
    );
    assert!(
        text.contains("join (max)  .#       unknown: fewer than 3 sizes"),
        "{text}"
    );
    assert_eq!(json(&report)["metrics"][0]["medians"][1][0], 20);
}

#[test]
fn a_contrast_is_larger_or_smaller_and_says_if_it_may_be_nothing() {
    let contrast = |times: f64, overlaps: Option<bool>| {
        against(&Contrast {
            metric: "join".parse().unwrap(),
            baseline: "rev=old".into(),
            variant: "rev=new".into(),
            size: 1000,
            times,
            overlaps,
        })
    };
    assert_eq!(contrast(81.3, Some(false)), "81.3 times larger");
    assert_eq!(contrast(0.0125, None), "80 times smaller");
    assert_eq!(
        contrast(1.02, Some(true)),
        "1.02 times larger (intervals overlap)"
    );
    assert_eq!(contrast(0.9999, Some(true)), "equal (intervals overlap)");
}

#[test]
fn a_ranking_says_how_much_a_metric_has_grown_and_why_a_step_comes_last() {
    let cost = |metric: &str, value: f64, is_explained: bool| RankedCost {
        metric: metric.parse().unwrap(),
        value,
        unit: Some(Unit::seconds()),
        times: Some(4.0),
        grown: Some(100.0),
        is_explained,
    };
    let mut report = GrowthReport {
        group: "worker".parse().unwrap(),
        variant: String::new(),
        sizes: BTreeMap::from([(10, 1), (50, 1)]),
        target: 100,
        rows: Vec::new(),
        findings: Vec::new(),
        ranking: vec![cost("watch.app.cpu_seconds", 90.0, false)],
        warnings: Vec::new(),
    };
    assert!(!ranking(&report).contains(EXPLAINED));
    report.ranking.push(cost("step.join.seconds", 95.0, true));
    let text = plain(&ranking(&report));
    assert_eq!(
        text,
        format!(
            "most expensive at 100 nodes of worker\n\
             METRIC                 VALUE  TIMES THAT AT 50  TIMES THAT AT 10\n\
             watch.app.cpu_seconds  90 s   4                 100\n\
             step.join.seconds      95 s   4                 100\n{EXPLAINED}"
        )
    );
    let json = json(&report);
    assert_eq!(json["ranking"][1]["explained"], true);
    assert_eq!(json["ranking"][0]["times_smallest"], 100.0);
}
