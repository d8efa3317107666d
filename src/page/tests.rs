//! Whole pages of stored runs.

use std::fs;

use super::data::{Material, page};
use super::fixture::{Fixture, Measured, failed, of_run, sample};
use super::{Kind, Mark, html, json, text};
use crate::measure::fixture::criterion;
use crate::report::comparison::Look;
use crate::runs::StoredRun;
use crate::workload::{Record, StepReport, Verdict};

const LOOK: Look = Look {
    is_utf8: true,
    all: false,
};

/// The most bytes of a page.
const LIMIT: usize = 2_000_000;

/// A run of 150 nodes with 50 metrics, of which `n001` is always slow.
fn large() -> Measured {
    let mut samples = Vec::new();
    for metric in 0..50 {
        for node in 1..=150 {
            let noise = ((node * 7919 + metric * 104_729) % 1000) as f64 / 1000.0;
            let value = if node == 1 { 90.0 } else { 10.0 + noise };
            samples.push(sample(&format!("metric_{metric:02}"), node, value));
        }
    }
    Measured {
        samples,
        ..Measured::default()
    }
}

/// What no page may have: anything that a browser would load or run.
fn assert_inert(html: &str) {
    for bad in [
        "http://",
        "https://",
        "<script",
        "<link",
        "<img",
        "<iframe",
        "javascript:",
        "url(",
    ] {
        assert!(!html.contains(bad), "{bad} in {html}");
    }
    assert!(html.len() < LIMIT, "{}", html.len());
    assert!(html.contains("default-src 'none'"));
    for tag in ["section", "figure", "table", "svg", "details", "tr"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn a_page_of_150_nodes_and_50_metrics_is_small_and_loads_nothing() {
    let fixture = Fixture::new();
    let run = fixture.run(Verdict::Passed, &large(), |_| {});
    let page = page(of_run(run)).unwrap();
    assert_eq!((page.strips.len(), page.outliers.len()), (50, 50));
    assert!(
        page.outliers
            .iter()
            .all(|outlier| outlier.node.as_str() == "n001")
    );
    let html = html(&page);
    assert_inert(&html);
    assert_eq!(html.matches("<figure").count(), 50);
    // Every drawing has a text that stands for it, and a table beside it.
    assert_eq!(
        html.matches("role=\"img\"").count(),
        html.matches("<title>").count() - 1
    );
    assert_eq!(html.matches("<summary>Values</summary>").count(), 50);
}

#[test]
fn a_thousand_metrics_do_not_make_a_page_larger_than_two_megabytes() {
    let fixture = Fixture::new();
    let mut measured = Measured::default();
    for metric in 0..1000 {
        for node in 1..=20 {
            let name = format!("{}{metric:04}", "a_long_name_".repeat(10));
            measured
                .samples
                .push(sample(&name, node, (node * metric % 97) as f64));
        }
    }
    let run = fixture.run(Verdict::Passed, &measured, |record| {
        for number in 0..5000 {
            record
                .assumptions
                .insert(format!("vars.v{number:04}"), "x".repeat(200));
        }
    });
    let page = page(of_run(run)).unwrap();
    let html = html(&page);
    assert_inert(&html);
    assert!(html.contains("further assumptions left out"));
    assert!(
        page.notes
            .iter()
            .any(|note| note == "800 metrics without a criterion left out"),
        "{:?}",
        page.notes
    );
}

#[test]
fn what_comes_from_nodes_and_files_cannot_become_part_of_the_page() {
    const EVIL: &str = "<script>alert(1)</script>\u{202e}\x1b[2J";
    let fixture = Fixture::new();
    let mut measured = Measured {
        findings: vec![failed("join_seconds", "max < 2s")],
        ..Measured::default()
    };
    measured.findings[0].note = Some(EVIL.into());
    for node in 1..=6 {
        let value = if node == 1 {
            99.0
        } else {
            1.0 + f64::from(node) / 100.0
        };
        let mut labelled = sample("join_seconds", node as usize, value);
        labelled.labels.insert("link".into(), EVIL.into());
        measured.samples.push(labelled);
    }
    let result =
        serde_json::json!({ "node": "n001", "outcome": "error", "error": EVIL, "took": 1.0, "bytes": 9 });
    measured.reports = vec![StepReport {
        step: "join".into(),
        nodes: vec![serde_json::from_value(result).unwrap()],
    }];
    let run = fixture.run(Verdict::WorkloadFailed, &measured, |record| {
        record.labels.insert("owner".into(), EVIL.into());
        record.assumptions.insert(EVIL.into(), EVIL.into());
        record.variant.insert("rev".into(), EVIL.into());
    });
    fs::create_dir(run.path.join("join")).unwrap();
    fs::write(run.path.join("join/n001.err"), EVIL).unwrap();
    let page = page(of_run(run)).unwrap();
    let html = html(&page);
    assert_inert(&html);
    // Label, assumption, note, error and output, at least.
    assert!(html.matches("&lt;script&gt;alert(1)").count() >= 6, "{html}");
    assert!(!html.contains('\u{202e}') && !html.contains('\x1b'));
    let text = text(&page, LOOK);
    assert!(!text.contains('\u{202e}') && !text.contains("\x1b[2J"), "{text}");
    assert!(text.contains("the end of join/n001.err"), "{text}");
}

#[test]
fn the_verdict_comes_first_then_what_failed_then_the_criteria_with_their_nodes() {
    let fixture = Fixture::new();
    let measured = Measured {
        findings: vec![failed("join_seconds", "max < 2s")],
        samples: (1..=5).map(|node| sample("join_seconds", node, 3.0)).collect(),
        ..Measured::default()
    };
    let run = fixture.run(Verdict::CriteriaFailed, &measured, |_| {});
    let page = page(of_run(run)).unwrap();
    assert_eq!((page.mark, page.verdict.as_str()), (Mark::Bad, "criteria failed"));
    let html = html(&page);
    let places = [
        "✗</span> criteria failed",
        "What failed",
        "criterion join_seconds max &lt; 2s: the value is 3.25 s, the bound is 2 s",
        "<h2>Criteria</h2>",
        "<h2>Metrics</h2>",
        "<h2>Again</h2>",
    ]
    .map(|part| html.find(part).unwrap_or_else(|| panic!("no {part}: {html}")));
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(json(&page)["criteria"][0]["nodes"][0], "n001");
}

#[test]
fn a_run_that_was_cut_off_has_a_page_that_says_so() {
    let fixture = Fixture::new();
    let run = fixture.begun(|_| {});
    let page = page(of_run(run)).unwrap();
    assert_eq!((page.mark, page.verdict.as_str()), (Mark::Open, "incomplete"));
    let html = html(&page);
    assert_inert(&html);
    assert!(
        html.contains("is incomplete: it was cut off, or is in progress"),
        "{html}"
    );
    assert!(text(&page, LOOK).contains("is incomplete"));
}

#[test]
fn a_number_that_may_be_empty_is_0_in_a_run_that_ended_and_unknown_in_one_that_was_cut_off() {
    let fixture = Fixture::new();
    let allowed = |record: &mut Record| {
        let mut criterion = criterion("errors", "count < 1");
        criterion.require_samples = false;
        record.criteria = vec![criterion];
    };
    let ended = fixture.run(Verdict::Passed, &Measured::default(), allowed);
    let shown = page(of_run(ended)).unwrap();
    assert_eq!(shown.strips.len(), 1);
    assert_eq!(format!("{:?}", shown.strips[0].rows[0].values), "[0.0]");
    let cut = fixture.begun(allowed);
    assert!(page(of_run(cut)).unwrap().strips.is_empty());
}

#[test]
fn runs_of_several_variants_are_rows_of_one_strip_with_their_interval() {
    let fixture = Fixture::new();
    let mut runs: Vec<(String, StoredRun)> = Vec::new();
    for (rev, factor) in [("old", 1.0), ("new", 1.5)] {
        for number in 0..5 {
            let measured = Measured {
                samples: vec![sample("join_seconds", 1, factor * (10.0 + f64::from(number)))],
                ..Measured::default()
            };
            let run = fixture.run(Verdict::Passed, &measured, |record| {
                record.variant.insert("rev".into(), rev.into());
                record.assumptions.insert("vars.rev".into(), rev.into());
            });
            runs.push((format!("rev={rev}"), run));
        }
    }
    let material = Material {
        kind: Kind::Experiment,
        name: "20260131T115900Z-test".into(),
        runs,
        experiment: None,
        comparisons: Vec::new(),
        growth: Vec::new(),
        notes: Vec::new(),
        commands: Vec::new(),
    };
    let page = page(material).unwrap();
    assert_eq!(
        (page.mark, page.verdict.as_str()),
        (Mark::Good, "10 of 10 runs passed")
    );
    assert_eq!(page.strips.len(), 1);
    let rows: Vec<(&str, f64, bool)> = page.strips[0]
        .rows
        .iter()
        .map(|row| (row.label.as_str(), row.median, row.interval.is_some()))
        .collect();
    assert_eq!(rows, [("rev=old", 12.0, true), ("rev=new", 18.0, true)]);
    assert_eq!(
        page.assumptions[0].values,
        [("old".to_owned(), 5), ("new".to_owned(), 5)]
    );
    let html = html(&page);
    assert_inert(&html);
    assert_eq!(html.matches("<circle").count(), 10);
    let text = text(&page, LOOK);
    assert!(text.contains("rev=new") && text.contains("18"), "{text}");
}
