//! The family, the number of runs, the verdicts.

use super::super::{ChangeVerdict, Comparison, Rules, compare, confirmed, to_confirm};
use super::fixture::{CALM, judged, metric, options, record, side, spec, times};
use crate::measure::fixture::criterion;
use crate::measure::{Better, MetricName, Reading, Severity, Statistic, Unit};
use crate::workload::Record;

/// Compares values of a metric `t` that has a criterion.
fn compared(a: &[f64], b: &[f64]) -> Comparison {
    compared_as(a, b, |record| {
        record.criteria = vec![criterion("t", "median < 1000")];
    })
}

fn compared_as(a: &[f64], b: &[f64], change: impl Fn(&mut Record)) -> Comparison {
    let (a, b) = (side("a", &[("t", a)], &change), side("b", &[("t", b)], &change));
    compare(&a, &b, &options(), &[]).unwrap()
}

#[test]
fn a_rise_of_what_should_be_low_is_worse_and_a_fall_is_better() {
    for (factor, better, wanted) in [
        (1.2, None, ChangeVerdict::Worse),
        (0.8, None, ChangeVerdict::Better),
        (1.2, Some(Better::Higher), ChangeVerdict::Better),
        (0.8, Some(Better::Higher), ChangeVerdict::Worse),
    ] {
        let comparison = compared_as(&CALM, &times(&CALM, factor), |record| {
            record.criteria = vec![criterion("t", "median < 1000")];
            record.metrics = vec![spec("t")];
            record.metrics[0].better = better;
        });
        let metric = judged(&comparison, "t");
        assert_eq!(metric.verdict, wanted, "{factor} {better:?}");
        assert_eq!(comparison.verdict, wanted);
        assert!((metric.change - (factor - 1.0)).abs() < 1e-9, "{}", metric.change);
        assert!((metric.median_a - 100.0).abs() < 1e-9 && metric.adjusted < 0.01);
        assert_eq!(
            (metric.a.len(), metric.b.len(), comparison.runs),
            (10, 10, (10, 10))
        );
        assert_eq!(metric.note, None);
    }
}

#[test]
fn the_direction_follows_from_the_bound_where_it_is_not_said() {
    for (bound, wanted) in [
        ("median < 1", ChangeVerdict::Worse),
        ("median > 1", ChangeVerdict::Better),
    ] {
        let comparison = compared_as(&CALM, &times(&CALM, 1.2), |record| {
            record.criteria = vec![criterion("t", bound)];
        });
        assert_eq!(comparison.verdict, wanted, "{bound}");
    }
}

#[test]
fn the_same_values_are_equal_and_a_significant_change_that_is_too_small_is_too() {
    for factor in [1.0, 1.02] {
        let comparison = compared(&CALM, &times(&CALM, factor));
        assert_eq!(judged(&comparison, "t").verdict, ChangeVerdict::Equal, "{factor}");
        assert_eq!(comparison.verdict, ChangeVerdict::Equal);
    }
}

#[test]
fn what_varies_too_much_is_inconclusive_and_more_runs_are_asked_for() {
    let a = [50.0, 150.0, 70.0, 130.0, 90.0, 110.0, 60.0, 140.0];
    let b = [55.0, 160.0, 75.0, 138.0, 95.0, 118.0, 66.0, 149.0];
    let comparison = compared(&a, &b);
    let metric = judged(&comparison, "t");
    assert_eq!(metric.verdict, ChangeVerdict::Inconclusive);
    assert!(metric.adjusted >= 0.01 && metric.runs_needed.is_none_or(|runs| runs > 8));
    assert_eq!(comparison.verdict, ChangeVerdict::Inconclusive);
    assert_eq!(comparison.missing_runs, None);
}

#[test]
fn too_few_runs_judge_nothing_and_the_missing_ones_are_counted() {
    // As many metrics, and the runs a side that they need.
    for (metrics, needed) in [(1, 5), (2, 6), (4, 6), (5, 7)] {
        let names: Vec<String> = (0..metrics).map(|number| format!("m{number}")).collect();
        let criteria = |record: &mut Record| {
            record.criteria = names.iter().map(|name| criterion(name, "median < 1")).collect();
        };
        let of = |name: &str, values: &[f64]| {
            let metrics: Vec<(&str, &[f64])> = names.iter().map(|name| (name.as_str(), values)).collect();
            side(name, &metrics, criteria)
        };
        for runs in 1..=needed {
            let (a, b) = (&CALM[..runs], times(&CALM[..runs], 3.0));
            let comparison = compare(&of("a", a), &of("b", &b), &options(), &[]).unwrap();
            let missing = (runs < needed).then(|| needed - runs);
            assert_eq!(comparison.missing_runs, missing, "{metrics} metrics, {runs} runs");
            assert_eq!(comparison.judged.len(), metrics);
            for metric in comparison.judged.iter().filter(|_| runs < needed) {
                assert_eq!(metric.verdict, ChangeVerdict::Inconclusive);
                assert_eq!(metric.runs_needed, Some(needed));
                assert!((metric.change - 2.0).abs() < 1e-9, "its medians are shown anyway");
            }
        }
    }
}

#[test]
fn a_metric_that_only_few_runs_have_is_inconclusive_and_the_others_are_judged() {
    let worse = times(&CALM, 1.3);
    let criteria = |record: &mut Record| {
        record.criteria = vec![criterion("t", "median < 1"), criterion("u", "median < 1")];
    };
    let a = side("a", &[("t", &CALM), ("u", &CALM)], criteria);
    let b = side("b", &[("t", &worse), ("u", &worse[..3])], criteria);
    let comparison = compare(&a, &b, &options(), &[]).unwrap();
    assert_eq!(judged(&comparison, "t").verdict, ChangeVerdict::Worse);
    let few = judged(&comparison, "u");
    assert_eq!(few.verdict, ChangeVerdict::Inconclusive);
    assert_eq!(few.runs_needed, Some(6));
    assert_eq!(
        few.note.as_deref(),
        Some("too few runs have a value of it: 10 and 3")
    );
}

#[test]
fn a_metric_that_one_side_lacks_is_inconclusive_and_the_side_is_named() {
    let criteria =
        |record: &mut Record| record.criteria = vec![criterion("t", "median < 1"), criterion("u", "max < 1")];
    let a = side("old", &[("t", &CALM), ("u", &CALM)], criteria);
    let b = side("new", &[("t", &CALM)], criteria);
    let comparison = compare(&a, &b, &options(), &[]).unwrap();
    assert_eq!(judged(&comparison, "t").verdict, ChangeVerdict::Equal);
    let lacking = judged(&comparison, "u");
    assert_eq!(lacking.verdict, ChangeVerdict::Inconclusive);
    assert_eq!(lacking.note.as_deref(), Some("no run of `new` has a value of it"));
    assert!(lacking.median_b.is_nan() && (lacking.median_a - 100.0).abs() < 1e-9);
    assert_eq!(comparison.verdict, ChangeVerdict::Inconclusive);
    let neither = compare(&side("old", &[("t", &CALM)], criteria), &b, &options(), &[]);
    let neither = neither.unwrap();
    assert_eq!(
        judged(&neither, "u").note.as_deref(),
        Some("no run has a value of it")
    );
}

#[test]
fn nothing_but_zeros_is_equal_and_a_rise_from_zero_is_worse() {
    let compared = |a: &[f64], b: &[f64]| {
        let change = |record: &mut Record| record.criteria = vec![criterion("t", "median < 1000")];
        let mut options = options();
        options.alpha = 0.05;
        let (a, b) = (side("a", &[("t", a)], change), side("b", &[("t", b)], change));
        compare(&a, &b, &options, &[]).unwrap()
    };
    let zeros = [0.0; 10];
    let equal = compared(&zeros, &zeros);
    let metric = judged(&equal, "t");
    assert_eq!(metric.verdict, ChangeVerdict::Equal);
    assert!(metric.change.abs() < 1e-12 && metric.interval.low.abs() < 1e-12);
    let worse = compared(&zeros, &CALM);
    let metric = judged(&worse, "t");
    assert_eq!(metric.verdict, ChangeVerdict::Worse);
    assert!(metric.change.is_infinite() && metric.change > 0.0);
    let difference = metric.difference.as_ref().unwrap();
    assert!(difference.low > 90.0 && difference.high < 110.0, "{difference:?}");
    assert_eq!(compared(&CALM, &zeros).verdict, ChangeVerdict::Better);
}

#[test]
fn zeros_with_some_other_values_do_not_decide() {
    let mut some = [0.0; 8];
    some[..4].copy_from_slice(&[7.0, 3.0, 2.0, 9.0]);
    let comparison = compared(&[0.0; 8], &some);
    assert_eq!(judged(&comparison, "t").verdict, ChangeVerdict::Inconclusive);
}

#[test]
fn a_change_below_the_floor_is_none() {
    for (floor, wanted) in [(19.0, ChangeVerdict::Worse), (50.0, ChangeVerdict::Equal)] {
        let comparison = compared_as(&CALM, &times(&CALM, 1.2), |record| {
            record.metrics = vec![spec("t")];
            record.metrics[0].floor = Some(floor);
            record.metrics[0].min_change = Some(0.1);
        });
        let metric = judged(&comparison, "t");
        assert_eq!(metric.verdict, wanted, "{floor}");
        assert!(metric.difference.is_some());
    }
}

#[test]
fn what_could_have_been_found_is_never_less_than_what_counts() {
    // Counts that never vary: any change is seen, but not any counts.
    let counts = compared(&[7.0; 10], &[7.0; 10]);
    assert_eq!(judged(&counts, "t").detectable, Some(0.05));
    let with_floor = compared_as(&CALM, &CALM, |record| {
        record.metrics = vec![spec("t")];
        record.metrics[0].floor = Some(30.0);
        record.metrics[0].min_change = Some(0.1);
    });
    let found = judged(&with_floor, "t").detectable.unwrap();
    assert!((found - 0.3).abs() < 1e-9, "{found}");
}

#[test]
fn only_metrics_with_a_criterion_or_a_smallest_change_are_judged() {
    let change = |record: &mut Record| {
        record.criteria = vec![
            criterion("bound", "median < 1000"),
            criterion("growing", "growth <= n"),
        ];
        record.criteria[0].severity = Severity::Warn;
        record.metrics = vec![spec("small"), spec("app"), spec("described")];
        record.metrics[0].min_change = Some(0.5);
        record.metrics[1].min_change = Some(0.5);
        record.metrics[1].reading = Some(Reading::OpenMetrics);
    };
    let names = ["app.series", "bound", "described", "free", "growing", "small"];
    let metrics: Vec<(&str, &[f64])> = names.iter().map(|name| (*name, &CALM[..])).collect();
    let worse = times(&CALM, 1.2);
    let changed: Vec<(&str, &[f64])> = names.iter().map(|name| (*name, &worse[..])).collect();
    let comparison = compare(
        &side("a", &metrics, change),
        &side("b", &changed, change),
        &options(),
        &[],
    );
    let comparison = comparison.unwrap();
    let verdicts: Vec<(&str, ChangeVerdict)> = comparison
        .judged
        .iter()
        .map(|metric| (metric.metric.as_str(), metric.verdict))
        .collect();
    // 20 % are less than the 50 % that count for two of them.
    let wanted = [
        ("app.series", ChangeVerdict::Equal),
        ("bound", ChangeVerdict::Worse),
        ("small", ChangeVerdict::Equal),
    ];
    assert_eq!(verdicts, wanted);
    let shown: Vec<&str> = comparison
        .shown
        .iter()
        .map(|metric| metric.metric.as_str())
        .collect();
    assert_eq!(shown, ["described", "free", "growing"]);
    assert!(
        comparison
            .shown
            .iter()
            .all(|metric| metric.p.is_nan() && metric.change > 0.19)
    );
}

#[test]
fn without_a_judged_metric_there_is_no_verdict() {
    let comparison = compared_as(&CALM, &times(&CALM, 2.0), |_| {});
    assert!(comparison.judged.is_empty());
    assert_eq!(comparison.verdict, ChangeVerdict::Inconclusive);
}

#[test]
fn the_newest_runs_say_what_counts() {
    let old = |record: &mut Record| {
        record.metrics = vec![spec("t")];
        record.metrics[0].unit = Some(Unit::seconds());
        record.criteria = vec![criterion("t", "max < 1")];
    };
    let new = |record: &mut Record| {
        old(record);
        record.metrics[0].min_change = Some(0.3);
        record.criteria = vec![criterion("t", "growth <= n"), criterion("t", "p99 < 2")];
    };
    let (a, mut b) = (side("a", &[("t", &CALM)], old), side("b", &[("t", &CALM)], new));
    b.rules = Rules::of(a.runs.iter().chain(&b.runs).map(|run| &run.record));
    let mut options = options();
    let refusal = compare(&a, &b, &options, &[]).unwrap_err();
    assert_eq!(refusal.differences.len(), 1);
    assert_eq!(
        refusal.differences[0].to_string(),
        "statistic.t: max in `a`, p99 in `b`"
    );
    options.despite = vec!["statistic".into()];
    let comparison = compare(&a, &b, &options, &[]).unwrap();
    let metric = judged(&comparison, "t");
    assert_eq!(metric.statistic, Statistic::Percentile(99.0));
    assert_eq!(metric.unit, Some(Unit::seconds()));
    assert!((metric.min_change - 0.3).abs() < 1e-12);
}

#[test]
fn the_nodes_of_a_criterion_are_those_of_each_run() {
    let of = |text: &str, nodes: &[&str]| {
        let mut record = record();
        record.criteria = vec![criterion("t", "max < 9"), criterion("t", text)];
        record.criteria[0].severity = Severity::Warn;
        record.criteria[1].on = Some(nodes.iter().map(|node| node.parse().unwrap()).collect());
        record
    };
    let (large, small) = (of("max < 1", &["w1", "w2", "w3"]), of("max < 2", &["w1", "w2"]));
    let mut without = of("max < 2", &[]);
    without.criteria[1].on = None;
    let rules = Rules::of([&large, &small]);
    let nodes = |record: &Record| rules.criteria(record)[0].on.as_ref().map(Vec::len);
    assert_eq!((nodes(&large), nodes(&small)), (Some(3), Some(2)));
    // What a run does not say is as in the newest one, which also says whether all nodes count.
    assert_eq!((nodes(&record()), nodes(&without)), (Some(2), Some(2)));
    let rules = Rules::of([&large, &without]);
    assert_eq!(rules.criteria(&large)[0].on, None);
}

#[test]
fn what_is_worse_must_be_worse_again() {
    let worse = times(&CALM, 1.2);
    let criteria = |record: &mut Record| {
        record.criteria = vec![criterion("t", "median < 1"), criterion("u", "median < 1")];
    };
    let of = |name: &str, t: &[f64], u: &[f64]| side(name, &[("t", t), ("u", u)], criteria);
    let a = of("a", &CALM, &CALM);
    let first = compare(&a, &of("b", &worse, &worse), &options(), &[]).unwrap();
    let suspects = to_confirm(&first);
    assert_eq!(
        suspects.iter().map(MetricName::as_str).collect::<Vec<_>>(),
        ["t", "u"]
    );
    let mut options = options();
    options.only = Some(suspects);
    let again = compare(&a, &of("b", &worse, &CALM), &options, &[]).unwrap();
    let whole = confirmed(first, &again);
    assert_eq!(whole.verdict, ChangeVerdict::Worse);
    assert_eq!(judged(&whole, "t").verdict, ChangeVerdict::Worse);
    assert_eq!(judged(&whole, "u").verdict, ChangeVerdict::Inconclusive);
    let note = judged(&whole, "u").note.as_deref().unwrap();
    assert!(note.starts_with("not confirmed: "), "{note}");
    options.only = Some([metric("t")].into());
    let only = compare(&a, &of("b", &worse, &worse), &options, &[]).unwrap();
    assert_eq!((only.judged.len(), only.shown.len()), (1, 1));
}
