use super::super::find::Find;
use super::super::measured::GrowthRun;
use super::*;
use crate::measure::Severity;

const SIZES: [u32; 5] = [10, 20, 40, 80, 160];

/// Five runs at each size, with a metric that grows as given and has a little noise.
fn sized(sizes: &[u32], repeat: u32, value: impl Fn(f64) -> f64) -> SizedRuns {
    let mut runs = Vec::new();
    for size in sizes {
        for repetition in 0..repeat {
            let noise = 1.0 + f64::from((size + 7 * repetition) % 5) / 1000.0;
            runs.push(GrowthRun {
                size: *size,
                values: BTreeMap::from([("join".parse().unwrap(), value(f64::from(*size)) * noise)]),
            });
        }
    }
    SizedRuns {
        runs,
        ..SizedRuns::default()
    }
}

fn criterion(text: &str) -> Criterion {
    Criterion {
        is: Expression::parse(text).unwrap(),
        text: text.to_owned(),
        ..Find::parse("join: max < 1").unwrap().criterion
    }
}

fn judged_as(sized: &SizedRuns) -> (Judgement, bool, String) {
    let report = judge_growth(sized, &"worker".parse().unwrap(), None);
    assert_eq!(report.findings.len(), 1, "{report:?}");
    let finding = &report.findings[0];
    let note = finding.note.clone().unwrap_or_default();
    (finding.judgement, report.fails(), note)
}

#[test]
fn a_growth_that_is_clearly_above_its_bound_fails_and_one_below_passes() {
    let mut square = sized(&SIZES, 5, |n| 0.1 * n * n);
    square.criteria = vec![criterion("growth <= n log n")];
    let (judgement, fails, note) = judged_as(&square);
    assert_eq!((judgement, fails), (Judgement::Failed, true), "{note}");
    assert!(note.contains("n^2"), "{note}");
    square.criteria[0].severity = Severity::Warn;
    assert!(!judged_as(&square).1, "a warning fails nothing");
    let mut linear = sized(&SIZES, 5, |n| 3.0 * n);
    linear.criteria = vec![criterion("growth <= n^2")];
    assert_eq!(judged_as(&linear).0, Judgement::Passed);
}

#[test]
fn a_growth_below_its_own_bound_is_no_growth_below_it() {
    let mut linear = sized(&SIZES, 5, |n| 3.0 * n);
    linear.criteria = vec![criterion("growth < n^0.5")];
    assert_eq!(judged_as(&linear).0, Judgement::Failed);
    linear.criteria = vec![criterion("growth < n^2")];
    assert_eq!(judged_as(&linear).0, Judgement::Passed);
}

#[test]
fn without_three_sizes_a_growth_is_not_judged() {
    let mut two = sized(&[10, 20], 5, |n| n * n);
    two.criteria = vec![criterion("growth <= 1")];
    let (judgement, fails, note) = judged_as(&two);
    assert_eq!((judgement, fails), (Judgement::NotApplicable, false));
    assert_eq!(note, "it has values at 2 sizes, a model needs 3");
}

#[test]
fn a_growth_of_a_metric_without_samples_fails_unless_that_is_allowed() {
    let mut none = sized(&SIZES, 5, |n| n);
    none.criteria = vec![Criterion {
        metric: "other".parse().unwrap(),
        ..criterion("growth <= n")
    }];
    let (judgement, fails, _) = judged_as(&none);
    assert_eq!((judgement, fails), (Judgement::NoSamples, true));
    none.criteria[0].require_samples = false;
    let (judgement, fails, _) = judged_as(&none);
    assert_eq!((judgement, fails), (Judgement::NotApplicable, false));
}

#[test]
fn too_few_sizes_or_runs_and_far_predictions_are_warned_of() {
    let group = "worker".parse().unwrap();
    let warnings = |sized: &SizedRuns, to| judge_growth(sized, &group, to).warnings;
    assert_eq!(
        warnings(&sized(&SIZES, 5, |n| n), Some(1000)),
        Vec::<String>::new()
    );
    let few = warnings(&sized(&SIZES, 1, |n| n), None);
    assert!(few[0].starts_with("5 sizes with 1 run or more each"), "{few:?}");
    let few = warnings(&sized(&SIZES[..4], 5, |n| n), None);
    assert!(few[0].starts_with("4 sizes with 5 runs or more each"), "{few:?}");
    let far = warnings(&sized(&SIZES, 5, |n| n), Some(1600));
    assert!(far[0].starts_with("1600 is 10 times the largest size"), "{far:?}");
    let mut incomplete = sized(&SIZES, 5, |n| n);
    incomplete.left_out = 2;
    assert!(warnings(&incomplete, None)[0].starts_with("2 runs left out"));
}

#[test]
fn metrics_are_ranked_by_their_cost_at_the_target_within_comparable_units() {
    let mut sized = sized(&SIZES, 5, |n| n);
    for run in &mut sized.runs {
        let n = f64::from(run.size);
        for (name, value) in [
            ("step.join.seconds", 2.0),
            ("node.cpu_seconds", n / 100.0),
            ("node.memory_bytes", 1e6),
        ] {
            run.values.insert(name.parse().unwrap(), value);
        }
    }
    let report = judge_growth(&sized, &"worker".parse().unwrap(), Some(1000));
    let ranked: Vec<&str> = report.ranking.iter().map(|cost| cost.metric.as_str()).collect();
    assert_eq!(
        ranked,
        [
            "node.cpu_seconds",
            "step.join.seconds",
            "node.memory_bytes",
            "join"
        ]
    );
    let cpu = &report.ranking[0];
    assert!((9.0..11.0).contains(&cpu.value), "{cpu:?}");
    assert!(
        cpu.times.is_some_and(|times| (5.5..7.0).contains(&times)),
        "{cpu:?}"
    );
    let constant = report.ranking[1].times.unwrap();
    assert!((constant - 1.0).abs() < 0.01, "{constant}");
}

#[test]
fn a_metric_with_a_criterion_comes_first_and_its_largest_size_is_predicted() {
    let mut sized = sized(&SIZES, 5, |n| 2.0 * n);
    for run in &mut sized.runs {
        run.values.insert("another".parse().unwrap(), 1.0);
    }
    sized.criteria = vec![criterion("max < 500")];
    let report = judge_growth(&sized, &"worker".parse().unwrap(), Some(320));
    let names: Vec<&str> = report.rows.iter().map(|row| row.metric.as_str()).collect();
    assert_eq!(names, ["join", "another"]);
    let row = &report.rows[0];
    assert_eq!(row.statistic, Statistic::Max);
    assert_eq!((row.medians.len(), row.values), (5, 25));
    let prediction = row.prediction.as_ref().unwrap().value;
    assert!((620.0..660.0).contains(&prediction), "{prediction}");
    assert!(row.held_out.is_some());
    assert_eq!(report.sizes.values().sum::<usize>(), 25);
}
