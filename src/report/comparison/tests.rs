//! What comparisons look like.

use super::super::style::plain;
use super::*;
use crate::analysis::Interval;
use crate::compare::{Accepted, Held};
use crate::measure::{Better, Unit};

fn metric(name: &str, verdict: ChangeVerdict) -> MetricComparison {
    MetricComparison {
        metric: name.parse().unwrap(),
        statistic: Statistic::Percentile(99.0),
        unit: Some(Unit::seconds()),
        better: Some(Better::Lower),
        a: vec![1.0, 1.25, 1.5],
        b: vec![1.5, 1.75, 2.0],
        median_a: 1.25,
        median_b: 1.75,
        change: 0.4,
        interval: Interval { low: 0.2, high: 0.6 },
        difference: None,
        p: 0.000_31,
        adjusted: 0.000_62,
        min_change: 0.05,
        floor: None,
        detectable: Some(0.034),
        verdict,
        runs_needed: None,
        accepted: None,
        expired: None,
        note: None,
    }
}

fn comparison(judged: Vec<MetricComparison>, verdict: ChangeVerdict) -> Comparison {
    Comparison {
        a: "rev=old".into(),
        b: "rev=new".into(),
        runs: (3, 3),
        run_names: (vec!["r1".into()], vec!["r2".into()]),
        judged,
        shown: Vec::new(),
        missing_runs: None,
        varied: Vec::new(),
        despite: Vec::new(),
        warnings: Vec::new(),
        verdict,
        reproduce: vec!["vcluster compare E --by rev".into()],
    }
}

fn shown_as(comparison: &Comparison, is_utf8: bool, all: bool) -> String {
    plain(&text(comparison, Look { is_utf8, all }))
}

fn accepted(until: &str) -> Accepted {
    let text = format!("- {{ metric: x, reason: a known cost, until: {until} }}");
    let entries: Vec<Accepted> = serde_saphyr::from_str(&text).unwrap();
    entries.into_iter().next().unwrap()
}

#[test]
fn the_verdict_comes_first_and_the_commands_last() {
    let text = shown_as(
        &comparison(vec![metric("join", ChangeVerdict::Worse)], ChangeVerdict::Worse),
        true,
        false,
    );
    let first = "worse: rev=new is worse than rev=old in 1 of 1 judged metric: join +40 %\n";
    assert!(text.starts_with(first), "{text}");
    assert!(
        text.ends_with("\nagain:\n  vcluster compare E --by rev\n"),
        "{text}"
    );
    assert!(
        text.contains("A  rev=old, 3 runs\nB  rev=new, 3 runs\n"),
        "{text}"
    );
    let row = text.lines().find(|line| line.starts_with("join (p99)")).unwrap();
    let cells: Vec<&str> = row
        .split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect();
    let wanted = [
        "join (p99)",
        "1.25 s",
        "1.75 s",
        "+40 %",
        "+20 % to +60 %",
        "0.00062",
        "worse",
        "3.4 %",
    ];
    assert_eq!(cells, wanted);
}

#[test]
fn every_run_of_both_sides_is_in_a_strip_on_one_scale() {
    let one = comparison(vec![metric("join", ChangeVerdict::Worse)], ChangeVerdict::Worse);
    let text = shown_as(&one, true, false);
    assert!(text.contains("▁▃▅") && text.contains("▅▆█"), "{text}");
    let text = shown_as(&one, false, false);
    assert!(
        text.contains("_:=") && text.contains("=+#") && text.is_ascii(),
        "{text}"
    );
}

#[test]
fn accepted_and_expired_regressions_say_why_and_until_when() {
    let mut known = metric("known", ChangeVerdict::Worse);
    known.accepted = Some(accepted("2026-12-31"));
    let mut late = metric("late", ChangeVerdict::Worse);
    late.expired = Some(accepted("2026-01-31"));
    let text = shown_as(&comparison(vec![known, late], ChangeVerdict::Worse), false, false);
    assert!(text.starts_with("worse: "), "{text}");
    assert!(
        text.contains("in 1 of 2 judged metrics: late +40 %; 1 regression accepted\n"),
        "{text}"
    );
    assert!(
        text.contains("known: accepted until 2026-12-31: a known cost\n"),
        "{text}"
    );
    assert!(
        text.contains("late: was accepted until 2026-01-31: a known cost\n"),
        "{text}"
    );
    assert!(
        text.contains("worse, accepted") && text.contains("worse, no longer accepted"),
        "{text}"
    );
}

#[test]
fn what_is_open_says_how_many_runs_would_decide_it() {
    let mut open = metric("join", ChangeVerdict::Inconclusive);
    open.runs_needed = Some(14);
    open.note = Some("too few runs have a value of it: 8 and 3".into());
    let mut few = comparison(vec![open], ChangeVerdict::Inconclusive);
    let text = shown_as(&few, false, false);
    assert!(text.contains("inconclusive: 14 runs a side"), "{text}");
    assert!(
        text.contains("join: too few runs have a value of it: 8 and 3\n"),
        "{text}"
    );
    few.missing_runs = Some(2);
    let first = "inconclusive: nothing is judged: 3 runs of rev=old and 3 runs of rev=new are too few for 1 metric; \
                 2 runs a side missing";
    assert_eq!(headline(&few), first);
    let none = comparison(Vec::new(), ChangeVerdict::Inconclusive);
    assert!(
        headline(&none).contains("no metric has a criterion"),
        "{}",
        headline(&none)
    );
}

#[test]
fn of_the_metrics_that_are_not_judged_those_that_changed_most_are_shown() {
    let mut many = comparison(Vec::new(), ChangeVerdict::Inconclusive);
    for number in 0..25 {
        let mut other = metric(&format!("m{number:02}"), ChangeVerdict::Inconclusive);
        other.change = f64::from(number) / -100.0;
        many.shown.push(other);
    }
    many.shown[3].change = f64::NAN;
    let text = shown_as(&many, false, false);
    assert!(text.contains("m24 (p99)") && text.contains("m05 (p99)"), "{text}");
    assert!(
        !text.contains("m04 (p99)") && text.contains("5 more: --all"),
        "{text}"
    );
    let text = shown_as(&many, false, true);
    assert!(
        text.contains("m00 (p99)") && text.contains("m03 (p99)") && !text.contains("--all"),
        "{text}"
    );
}

#[test]
fn differences_are_listed_and_foreign_text_cannot_control_the_terminal() {
    let held = |of: &str, value: &str| Held {
        of: of.into(),
        value: Some(value.into()),
    };
    let mut one = comparison(vec![metric("join", ChangeVerdict::Equal)], ChangeVerdict::Equal);
    one.despite.push(Difference {
        key: "host.bm01.kernel".into(),
        a: held("old", "6.1"),
        b: held("new", "\u{1b}[2J6.2"),
    });
    let text = shown_as(&one, false, false);
    let wanted = "differs on your word (--despite):\n  host.bm01.kernel: 6.1 in `old`, ^[[2J6.2 in `new`\n";
    assert!(text.contains(wanted), "{text}");
    assert!(text.starts_with(
        "equal: rev=new does not differ from rev=old by as much as counts in 1 judged metric\n"
    ));
}

#[test]
fn json_has_all_figures_and_null_for_those_that_are_not_numbers() {
    let mut lacking = metric("join", ChangeVerdict::Inconclusive);
    lacking.change = f64::INFINITY;
    lacking.p = f64::NAN;
    let document = json(&[comparison(vec![lacking], ChangeVerdict::Inconclusive)]);
    assert_eq!(document["version"], 1);
    let one = &document["comparisons"][0];
    assert_eq!(one["verdict"], "inconclusive");
    assert_eq!(one["a"]["name"], "rev=old");
    assert_eq!(one["b"]["runs"][0], "r2");
    let metric = &one["judged"][0];
    assert_eq!(
        (&metric["metric"], &metric["statistic"]),
        (&"join".into(), &"p99".into())
    );
    assert!(metric["change"].is_null() && metric["p"].is_null());
    assert_eq!(metric["interval"]["high"], 0.6);
    assert_eq!(metric["a"][2], 1.5);
}

#[test]
fn junit_has_a_case_per_judged_metric() {
    let mut known = metric("known", ChangeVerdict::Worse);
    known.accepted = Some(accepted("2026-12-31"));
    let judged = vec![
        metric("bad", ChangeVerdict::Worse),
        known,
        metric("good", ChangeVerdict::Better),
        metric("open", ChangeVerdict::Inconclusive),
    ];
    let all = [comparison(judged, ChangeVerdict::Worse)];
    let xml = junit(&all, false).unwrap();
    let counts = r#"<testsuite name="rev=old to rev=new" tests="4" skipped="1" errors="0" failures="1""#;
    assert!(xml.contains(counts), "{xml}");
    assert!(
        xml.contains("worse: +40 % (1.25 s to 1.75 s, adjusted p 0.00062)"),
        "{xml}"
    );
    assert!(xml.contains("accepted until 2026-12-31: a known cost"), "{xml}");
    let mut untested = metric("open", ChangeVerdict::Inconclusive);
    untested.adjusted = f64::NAN;
    let xml = junit(&[comparison(vec![untested], ChangeVerdict::Inconclusive)], false).unwrap();
    assert!(xml.contains("adjusted p -)") && !xml.contains("NaN"), "{xml}");
    let strict = junit(&all, true).unwrap();
    assert!(
        strict.contains(r#"skipped="0" errors="0" failures="2""#),
        "{strict}"
    );
}
