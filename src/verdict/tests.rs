//! Criteria with values for every rule.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{JudgedSamples, comes_from, explained, judge, titled, unit_of};
use crate::base::name::NodeName;
use crate::extract::Trouble;
use crate::measure::fixture::criterion;
use crate::measure::{Criterion, Finding, Judgement, MetricSource, MetricSpec, Reading, Sample, Unit};
use crate::topology::WorkloadStep;

fn sample(metric: &str, step: &str, node: &str, value: f64) -> Sample {
    Sample {
        metric: metric.parse().unwrap(),
        value,
        step: Some(step.into()),
        node: Some(node.parse().unwrap()),
        labels: BTreeMap::new(),
    }
}

fn spec(name: &str, unit: Option<&str>, reading: Reading) -> MetricSpec {
    MetricSpec {
        name: name.parse().unwrap(),
        source: Some(MetricSource::Stdout),
        reading: Some(reading),
        scale: 1.0,
        unit: unit.and_then(Unit::new),
        better: None,
        min_change: None,
        floor: None,
    }
}

fn trouble(metric: &str, node: &str, incomplete: bool) -> Trouble {
    Trouble {
        step: "join".into(),
        node: node.parse().unwrap(),
        metric: metric.parse().unwrap(),
        source: "stdout".into(),
        what: "the file is cut".into(),
        count: 1,
        incomplete,
    }
}

/// A run of two steps on three nodes each: `join` with a time in milliseconds and the series of `app`, and `load`.
struct Run {
    metrics: Vec<MetricSpec>,
    samples: Vec<Sample>,
    troubles: Vec<Trouble>,
    steps: Vec<WorkloadStep>,
}

fn run() -> Run {
    let join = spec("join_ms", Some("ms"), Reading::Regex("x".into()));
    let app = spec("app", None, Reading::OpenMetrics);
    let step = |name: &str, metrics: Vec<MetricSpec>| WorkloadStep {
        name: name.into(),
        on: ["n1", "n2", "n3"].map(|node| node.parse().unwrap()).into(),
        run: "true".into(),
        timeout: Duration::from_secs(1),
        barrier: false,
        fanout: None,
        collect: Vec::new(),
        metrics,
        watch: vec!["redis-server".into()],
        at: None,
    };
    Run {
        metrics: vec![join.clone(), app.clone()],
        samples: vec![
            sample("join_ms", "join", "n1", 100.0),
            sample("join_ms", "join", "n1", 300.0),
            sample("join_ms", "join", "n2", 900.0),
            sample("join_ms", "join", "n3", 500.0),
            sample("app.requests", "join", "n1", 7.0),
            sample("step.load.seconds", "load", "n2", 4.0),
            sample("node.cpu_seconds", "join", "n1", 1.0),
            sample("node.cpu_seconds", "load", "n1", 2.0),
        ],
        troubles: Vec::new(),
        steps: vec![step("join", vec![join, app]), step("load", Vec::new())],
    }
}

impl Run {
    fn judge(&self, criterion: Criterion) -> Finding {
        let criteria = [criterion];
        let samples = JudgedSamples::of(&criteria).with(&self.samples);
        let mut findings = judge(&criteria, &self.metrics, &samples, &self.troubles, &self.steps);
        assert_eq!(findings.len(), 1);
        findings.remove(0)
    }

    fn of(&self, metric: &str, text: &str) -> Finding {
        self.judge(criterion(metric, text))
    }
}

fn nodes(finding: &Finding) -> Vec<&str> {
    finding.nodes.iter().map(NodeName::as_str).collect()
}

#[test]
fn every_statistic_is_compared_in_the_unit_of_the_metric() {
    let run = run();
    for (text, judgement, value, bound, unit) in [
        ("max < 1s", Judgement::Passed, 900.0, 1000.0, Some("ms")),
        ("max < 0.9s", Judgement::Failed, 900.0, 900.0, Some("ms")),
        ("max <= 900", Judgement::Passed, 900.0, 900.0, Some("ms")),
        ("min >= 100ms", Judgement::Passed, 100.0, 100.0, Some("ms")),
        ("mean == 450", Judgement::Passed, 450.0, 450.0, Some("ms")),
        ("median > 400ms", Judgement::Failed, 400.0, 400.0, Some("ms")),
        ("p50 != 300", Judgement::Failed, 300.0, 300.0, Some("ms")),
        ("sum < 2s", Judgement::Passed, 1800.0, 2000.0, Some("ms")),
        ("count == 4", Judgement::Passed, 4.0, 4.0, None),
        ("rate >= 99%", Judgement::Passed, 1.0, 0.99, None),
    ] {
        let finding = run.of("join_ms", text);
        assert_eq!(finding.judgement, judgement, "{text}");
        assert_eq!(
            (finding.value, finding.bound),
            (Some(value), Some(bound)),
            "{text}"
        );
        assert_eq!(finding.unit.as_ref().map(Unit::as_str), unit, "{text}");
        assert_eq!((finding.samples, finding.note), (4, None), "{text}");
    }
}

#[test]
fn a_bound_in_a_unit_of_another_kind_fails_and_says_why() {
    let mut run = run();
    let finding = run.of("join_ms", "max < 1MiB");
    assert_eq!((finding.judgement, finding.value), (Judgement::Failed, None));
    let note = finding.note.unwrap();
    assert!(note.contains("MiB") && note.contains("ms"), "{note}");
    // A file says its unit, after the topology.
    let mut declared = spec("app.requests", Some("s"), Reading::OpenMetrics);
    (declared.source, declared.reading) = (None, None);
    run.metrics.push(declared);
    let finding = run.of("app.requests", "max < 8000ms");
    assert_eq!((finding.judgement, finding.bound), (Judgement::Passed, Some(8.0)));
}

#[test]
fn the_nodes_that_break_a_bound_are_named_the_worst_first() {
    let run = run();
    let of = |text: &str| run.of("join_ms", text);
    assert_eq!(nodes(&of("max < 250ms")), ["n2", "n3", "n1"]);
    assert_eq!(nodes(&of("max < 400ms")), ["n2", "n3"]);
    assert_eq!(nodes(&of("min > 400ms")), ["n1"]);
    // The mean of n1 is 200.
    assert_eq!(nodes(&of("mean < 300ms")), ["n2", "n3"]);
    assert_eq!(nodes(&of("median == 200")), ["n2", "n3"]);
    assert_eq!(nodes(&of("p99 > 1s")), ["n1", "n3", "n2"]);
    // What holds names nobody, even where one node alone would break it.
    assert_eq!(nodes(&of("median < 450ms")), Vec::<&str>::new());
}

#[test]
fn for_a_sum_or_a_number_those_with_the_largest_share_are_named_at_most_twenty() {
    let mut run = run();
    assert_eq!(nodes(&run.of("join_ms", "sum < 1s")), ["n2", "n3", "n1"]);
    assert_eq!(nodes(&run.of("join_ms", "sum > 5s")), ["n1", "n3", "n2"]);
    assert_eq!(nodes(&run.of("join_ms", "count > 5")), ["n2", "n3", "n1"]);
    assert_eq!(nodes(&run.of("join_ms", "count == 3")), ["n1", "n2", "n3"]);
    run.samples = (1..=30)
        .map(|node| sample("join_ms", "join", &format!("n{node:02}"), f64::from(node)))
        .collect();
    let finding = run.of("join_ms", "sum < 1ms");
    assert_eq!((finding.nodes.len(), nodes(&finding)[0]), (20, "n30"));
}

#[test]
fn without_samples_a_criterion_fails_and_names_the_nodes_that_have_none() {
    let mut run = run();
    let finding = run.of("watch.redis-server.cpu_seconds", "sum < 3");
    assert_eq!((finding.judgement, finding.value), (Judgement::NoSamples, None));
    assert_eq!(nodes(&finding), ["n1", "n2", "n3"]);
    assert!(finding.fails());
    // Also where the number would hold.
    assert_eq!(run.of("app.errors", "count == 0").judgement, Judgement::NoSamples);
    let mut may = criterion("app.errors", "count == 0");
    may.require_samples = false;
    let finding = run.judge(may.clone());
    assert_eq!(
        (finding.judgement, finding.nodes.len()),
        (Judgement::NotApplicable, 0)
    );
    assert_eq!(finding.note.as_deref(), Some("no samples"));
    // It does not count as allowed where samples are known to be missing.
    run.troubles = vec![trouble("app", "n2", true)];
    let finding = run.judge(may);
    assert_eq!(finding.judgement, Judgement::Failed);
    assert_eq!(finding.note.as_deref(), Some("stdout of n2: the file is cut"));
}

#[test]
fn nodes_without_samples_are_noted_beside_the_judgement() {
    let mut run = run();
    run.samples
        .retain(|sample| sample.node != Some("n3".parse().unwrap()));
    let finding = run.of("join_ms", "max < 1s");
    assert_eq!(finding.judgement, Judgement::Passed);
    assert_eq!(finding.note.as_deref(), Some("no samples from n3"));
    let finding = run.of("app.requests", "max < 8");
    assert_eq!(finding.note.as_deref(), Some("no samples from n[2-3]"));
}

#[test]
fn an_incomplete_metric_cannot_pass_and_a_complete_one_with_trouble_can() {
    let mut run = run();
    run.troubles = vec![trouble("join_ms", "n3", false)];
    assert_eq!(run.of("join_ms", "max < 1s").judgement, Judgement::Passed);
    run.troubles = vec![trouble("join_ms", "n3", true), trouble("join_ms", "n1", true)];
    let finding = run.of("join_ms", "max < 1s");
    assert_eq!(
        (finding.judgement, finding.value),
        (Judgement::Failed, Some(900.0))
    );
    assert_eq!(nodes(&finding), ["n1", "n3"]);
    let note = finding.note.unwrap();
    assert_eq!(note, "samples are missing: stdout of n[1,3]: the file is cut");
    // Another metric, and a criterion on another node, are not concerned.
    assert_eq!(run.of("app.requests", "max < 8").judgement, Judgement::Passed);
    let mut elsewhere = criterion("join_ms", "max < 1s");
    elsewhere.on = Some(vec!["n2".parse().unwrap()]);
    assert_eq!(run.judge(elsewhere).judgement, Judgement::Passed);
    // A source of many metrics is named by its prefix.
    run.troubles = vec![trouble("app", "n1", true)];
    assert_eq!(run.of("app.requests", "max < 8").judgement, Judgement::Failed);
    assert_eq!(run.of("join_ms", "max < 1s").judgement, Judgement::Passed);
}

#[test]
fn processes_that_a_node_did_not_watch_are_missing_from_all_metrics_of_its_watched_ones() {
    let mut run = run();
    for metric in ["processes", "cpu_seconds"] {
        let metric = format!("watch.redis-server.{metric}");
        run.samples.push(sample(&metric, "join", "n1", 1.0));
    }
    run.troubles = vec![trouble("watch.redis-server", "n1", true)];
    let finding = run.of("watch.redis-server.processes", "max < 5");
    assert_eq!(
        (finding.judgement, nodes(&finding)),
        (Judgement::Failed, vec!["n1"])
    );
    let finding = run.of("watch.redis-server.cpu_seconds", "max < 5");
    assert_eq!(finding.judgement, Judgement::Failed);
    assert_eq!(run.of("join_ms", "max < 1s").judgement, Judgement::Passed);
}

#[test]
fn only_samples_of_its_step_and_its_nodes_count() {
    let run = run();
    let mut wanted = criterion("node.cpu_seconds", "sum == 3");
    assert_eq!(run.judge(wanted.clone()).judgement, Judgement::Passed);
    wanted.step = Some("load".into());
    let finding = run.judge(wanted);
    assert_eq!((finding.judgement, finding.value), (Judgement::Failed, Some(2.0)));
    assert_eq!(
        titled(&finding.criterion),
        "node.cpu_seconds sum == 3 (step load)"
    );
    let mut wanted = criterion("join_ms", "max < 400ms");
    wanted.on = Some(vec!["n1".parse().unwrap()]);
    let finding = run.judge(wanted);
    assert_eq!(
        (finding.judgement, finding.value),
        (Judgement::Passed, Some(300.0))
    );
    assert_eq!(finding.note, None);
}

#[test]
fn what_was_not_run_is_not_applicable() {
    let mut run = run();
    let is_skipped = |finding: Finding, note: &str| {
        assert_eq!(finding.judgement, Judgement::NotApplicable, "{finding:?}");
        assert_eq!(finding.note.as_deref(), Some(note));
        assert!(!finding.fails());
    };
    let growth = run.of("join_ms", "growth <= n log n");
    assert_eq!((growth.judgement, growth.bound), (Judgement::NotApplicable, None));
    assert!(growth.note.unwrap().contains("vcluster scale"));
    for metric in ["up.boot.seconds", "vcluster.run.cpu_seconds"] {
        is_skipped(run.of(metric, "max < 1m"), "this command does not measure it");
    }
    is_skipped(
        run.of("step.never.seconds", "max < 1m"),
        "no step that was run makes it",
    );
    let mut elsewhere = criterion("join_ms", "max < 1s");
    elsewhere.on = Some(vec!["n9".parse().unwrap()]);
    is_skipped(run.judge(elsewhere), "none of its nodes took part");
    run.steps.remove(0);
    run.samples.clear();
    is_skipped(run.of("join_ms", "max < 1s"), "no step that was run makes it");
    is_skipped(run.of("app.requests", "max < 1"), "no step that was run makes it");
    let mut of_step = criterion("node.cpu_seconds", "sum < 3");
    of_step.step = Some("join".into());
    is_skipped(run.judge(of_step), "step `join` was not run");
    // The other step was run, so its metrics are missed.
    assert_eq!(
        run.of("step.load.seconds", "max < 1m").judgement,
        Judgement::NoSamples
    );
}

#[test]
fn a_series_belongs_to_the_source_whose_name_it_begins_with() {
    let app = spec("app", None, Reading::JsonLines);
    let one = spec("one", None, Reading::Regex("x".into()));
    let is_of = |metric: &str, spec: &MetricSpec| comes_from(&metric.parse().unwrap(), spec);
    assert!(is_of("app.requests.total", &app) && is_of("app", &app));
    assert!(!is_of("apple.x", &app) && !is_of("application", &app));
    assert!(is_of("one", &one) && !is_of("one.x", &one));
}

#[test]
fn units_are_those_of_vcluster_itself_then_of_the_topology_then_of_files() {
    let unit = |metric: &str, metrics: &[MetricSpec]| {
        let unit = unit_of(&metric.parse().unwrap(), metrics);
        unit.map(|unit| unit.to_string())
    };
    let metrics = [
        spec("node.memory_bytes", Some("MiB"), Reading::JsonLines),
        spec("app", Some("ms"), Reading::JsonLines),
        spec("app.size", Some("B"), Reading::JsonLines),
    ];
    assert_eq!(unit("node.memory_bytes", &metrics).as_deref(), Some("B"));
    assert_eq!(unit("step.join.exit_code", &metrics), None);
    assert_eq!(unit("app.size", &metrics).as_deref(), Some("B"));
    assert_eq!(unit("app.wait", &metrics).as_deref(), Some("ms"));
    assert_eq!(unit("other", &metrics), None);
}

#[test]
fn a_finding_is_one_line_and_its_value_differs_from_its_bound() {
    let finding = run().of("join_ms", "max < 400ms");
    let text = "the value is 900 ms, the bound is 400 ms; 2 nodes: n[2-3]";
    assert_eq!(explained(&finding), text);
    let close = Finding {
        value: Some(400.1),
        nodes: Vec::new(),
        ..finding
    };
    assert_eq!(explained(&close), "the value is 400.1 ms, the bound is 400 ms");
}
