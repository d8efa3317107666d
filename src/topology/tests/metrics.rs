//! Metrics of the steps, and their properties.

use super::bad_input::{messages, one};
use super::*;
use crate::measure::{Better, MetricSource, MetricSpec, Reading, Unit};

pub(super) const BEGIN: &str = "name: x\ngroups: { worker: { count: 3 } }\n";

/// One step with these keys, in line 4.
pub(super) fn step(keys: &str) -> String {
    format!("{BEGIN}workload:\n  - {{ name: join, run: x, {keys} }}\n")
}

/// One step with these metrics.
pub(super) fn metrics(metrics: &str) -> String {
    step(&format!("metrics: {{ {metrics} }}"))
}

/// A step with a metric of each kind, and a further key of the topology in line 5.
pub(super) fn with(key: &str) -> String {
    let keys = "metrics: { join_seconds: { regex: 'in ([0-9.]+) s', unit: s }, fio: { from: /tmp/f.json, json: /a/0, scale: 1e-6, unit: ms }, app: { from: /tmp/a.prom, format: openmetrics } }, watch: [redis-server]";
    format!("{}{key}\n", step(keys))
}

pub(super) fn criteria(criteria: &str) -> String {
    with(&format!("criteria: {{ {criteria} }}"))
}

/// The hint of the first mistake.
pub(super) fn hint(text: &str) -> String {
    let mistakes = parse(text).unwrap_err();
    mistakes.list()[0].hint.clone().unwrap()
}

fn unit(spec: &MetricSpec) -> Option<&str> {
    spec.unit.as_ref().map(Unit::as_str)
}

#[test]
fn the_example_of_the_reference_is_valid() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/topology.md");
    let reference = std::fs::read_to_string(path).unwrap();
    let (_, section) = reference.split_once("\n## Metrics and criteria\n").unwrap();
    let (_, example) = section.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let topology = good(&format!(
        "name: x\ngroups: {{ worker: {{ count: 20 }} }}\n{example}"
    ));
    let [step] = topology.workload.as_slice() else {
        panic!()
    };
    let names: Vec<&str> = step.metrics.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["join_seconds", "write_ms", "app"]);
    let texts: Vec<String> = topology
        .criteria
        .iter()
        .map(|criterion| format!("{}: {}", criterion.metric, criterion.text))
        .collect();
    assert_eq!(
        texts,
        [
            "join_seconds: p99 < 2s",
            "join_seconds: growth <= n log n",
            "join_seconds: max < 1min",
            "write_ms: median < 20",
            "app.request_latency: p99 < 100ms",
            "step.join.seconds: max < 5m",
            "watch.redis-server.cpu_seconds: sum < 300",
        ]
    );
    assert_eq!(topology.criteria[6].on.as_ref().unwrap().len(), 10);
}

#[test]
fn metrics_of_a_step_have_a_source_a_reading_and_properties() {
    let topology = good(&with(""));
    let [step] = topology.workload.as_slice() else {
        panic!()
    };
    assert_eq!(step.watch, ["redis-server"]);
    let [join, fio, app] = step.metrics.as_slice() else {
        panic!()
    };
    assert_eq!(join.source, Some(MetricSource::Stdout));
    assert_eq!(join.reading, Some(Reading::Regex("in ([0-9.]+) s".into())));
    assert_eq!((unit(join), join.scale.to_bits()), (Some("s"), 1.0_f64.to_bits()));
    assert_eq!((join.better, join.min_change, join.floor), (None, None, None));
    assert_eq!(fio.source, Some(MetricSource::File("/tmp/f.json".into())));
    assert_eq!(fio.reading, Some(Reading::Json("/a/0".into())));
    assert_eq!((unit(fio), fio.scale.to_bits()), (Some("ms"), 1e-6_f64.to_bits()));
    assert_eq!(app.reading, Some(Reading::OpenMetrics));
    assert_eq!(unit(app), None);
    let topology = good(&metrics(
        "a: { from: stderr, regex: '(1)', unit: ms, better: higher, min_change: 5%, floor: 0.002s }, b: { from: stdout, format: jsonl }, c: { from: stdout, json: '', min_change: 0.1, floor: 3 }, d: { from: '/var/log/*.prom', format: prometheus }",
    ));
    let [a, b, c, d] = topology.workload[0].metrics.as_slice() else {
        panic!()
    };
    assert_eq!(
        (&a.source, a.better),
        (&Some(MetricSource::Stderr), Some(Better::Higher))
    );
    assert_eq!((a.min_change, a.floor), (Some(0.05), Some(2.0)));
    assert_eq!(b.reading, Some(Reading::JsonLines));
    assert_eq!((c.min_change, c.floor), (Some(0.1), Some(3.0)));
    assert_eq!(c.reading, Some(Reading::Json(String::new())));
    assert_eq!(d.reading, Some(Reading::OpenMetrics));
}

#[test]
fn metrics_of_vcluster_and_series_have_their_properties_at_the_top() {
    let topology = good(&with(
        "metrics: { step.join.seconds: { better: higher, floor: 500ms }, app.latency: { unit: ms, min_change: 10% }, watch.redis-server.rss_bytes: { floor: 1MiB, unit: B }, up.boot.seconds: {} }\ncriteria: { app.latency: p99 < 2s }",
    ));
    let of = |name: &str| topology.metric(&name.parse().unwrap());
    let seconds = of("step.join.seconds").unwrap();
    assert_eq!((unit(seconds), seconds.floor), (Some("s"), Some(0.5)));
    assert_eq!((seconds.better, &seconds.source), (Some(Better::Higher), &None));
    assert_eq!(
        of("watch.redis-server.rss_bytes").unwrap().floor,
        Some(1_048_576.0)
    );
    assert_eq!(of("app.latency").unwrap().min_change, Some(0.1));
    assert_eq!(unit(of("join_seconds").unwrap()), Some("s"));
    assert_eq!(of("node.cpu_seconds"), None);
    assert_eq!(topology.metrics.len(), 4);
    for (entry, wanted) in [
        (
            "step.join.seconds: { unit: ms }",
            "5:39: vcluster measures this metric in s, not in ms",
        ),
        (
            "step.join.exit_code: { unit: s }",
            "measures this metric without a unit, not in s",
        ),
        (
            "join_seconds: { better: lower }",
            "5:12: the metric `join_seconds` is defined by its step",
        ),
        ("app: { better: lower }", "`app` stands for all series of a file"),
        ("nothing: {}", "5:12: unknown metric `nothing`"),
        (
            "app.x: { floor: 2ms }",
            "floor: a value in ms cannot be compared with a metric in no unit",
        ),
        ("node.cpu_seconds: { regex: a }", "unknown key `regex`"),
        ("'a b': {}", "`a b` is not a name of a metric"),
    ] {
        one(&with(&format!("metrics: {{ {entry} }}")), wanted);
    }
    assert!(hint(&with("metrics: { node.cpu_seconds: { regex: a } }")).contains("read by a step"));
    assert!(hint(&with("metrics: { join_seconds: {} }")).contains("in line 4"));
    one(
        &with("metrics: { app.x: { unit: s } }\ncriteria: { app.x: p99 < 1MiB }"),
        "6:20: a value in MiB cannot be compared with a metric in s",
    );
}

#[test]
fn a_wrong_metric_is_an_error_at_its_place() {
    for (entry, wanted) in [
        ("join: {}", "4:38: nothing says how the metric `join` is read"),
        ("join: x", "4:44: expected a mapping, found the text `x`"),
        (
            "join: { regex: '(1)', json: /a }",
            "4:66: the metric has both `regex` and `json`",
        ),
        ("join: { regex: '1' }", "4:53: the regex has 0 capture groups"),
        ("join: { regex: '(1)(2)' }", "the regex has 2 capture groups"),
        ("join: { regex: '((1)' }", "the regex is invalid: unclosed group"),
        ("join: { regex: '([0-9]*)' }", "the regex matches an empty text"),
        ("join: { json: /a }", "4:38: the metric has no `from`"),
        ("join: { format: jsonl }", "the metric has no `from`"),
        (
            "join: { from: stdot, regex: '(1)' }",
            "from: `stdot` is neither `stdout`, `stderr` nor",
        ),
        ("join: { from: tmp/x, json: /a }", "from: `tmp/x` is neither"),
        (
            "join: { from: /tmp/../x, json: /a }",
            "from: `/tmp/../x` contains `..`",
        ),
        (
            "join: { from: /tmp/$x, json: /a }",
            "from: `/tmp/$x` contains `$`",
        ),
        (
            "join: { from: /t, json: a.b }",
            "json: `a.b` is not a JSON pointer",
        ),
        (
            "join: { from: /t, json: /a~2 }",
            "a `~` is not followed by 0 or 1",
        ),
        ("join: { from: /t, json: \"/a\\n\" }", "control characters"),
        (
            "join: { from: /t, format: xml }",
            "expected one of `openmetrics`, `prometheus`, `jsonl`, found the text `xml`",
        ),
        ("join: { regex: '(1)', scale: 0 }", "scale: 0 is out of bounds"),
        (
            "join: { regex: '(1)', scale: x }",
            "expected a number, found the text `x`",
        ),
        ("join: { regex: '(1)', unit: a b }", "`a b` is not a unit"),
        (
            "join: { regex: '(1)', unit: 7 }",
            "expected text, found the number 7",
        ),
        (
            "join: { regex: '(1)', better: smaller }",
            "expected one of `lower`, `higher`",
        ),
        (
            "join: { regex: '(1)', min_change: 5 }",
            "min_change: 5 is more than the whole value",
        ),
        (
            "join: { regex: '(1)', min_change: 1001% }",
            "is not a share from 0% to 1000%",
        ),
        (
            "join: { regex: '(1)', min_change: -1% }",
            "is not a share from 0% to 1000%",
        ),
        (
            "join: { regex: '(1)', min_change: 2ms }",
            "is not a share from 0% to 1000%",
        ),
        (
            "join: { regex: '(1)', floor: 2ms }",
            "a value in ms cannot be compared with a metric in no unit",
        ),
        (
            "join: { regex: '(1)', unit: s, floor: 2MiB }",
            "a value in MiB cannot be compared with a metric in s",
        ),
        ("join: { regex: '(1)', floor: -1 }", "floor: -1 is out of bounds"),
        (
            "join: { regex: '(1)', floor: two }",
            "floor: `two` is not a number",
        ),
        (
            "join: { regex: '(1)', floor: [] }",
            "expected a number with or without its unit, found a list",
        ),
        ("Join: { regex: '(1)' }", "4:38: `Join` is not a name of a metric"),
        ("a.b: { regex: '(1)' }", "`a.b` is not a name of a metric"),
        ("1a: { regex: '(1)' }", "`1a` is not a name of a metric"),
        ("node: { regex: '(1)' }", "a metric cannot be called `node`"),
        (
            "app: { from: /a, format: jsonl, unit: s }",
            "`unit` is for one metric, but `format` reads many",
        ),
        (
            "app: { from: /a, format: jsonl, scale: 2 }",
            "`scale` is for one metric",
        ),
        (
            "join: { regex: '(1)', direction: lower }",
            "unknown key `direction`",
        ),
        ("join: { regex: '(1)', threshold: 1 }", "unknown key `threshold`"),
    ] {
        one(&metrics(entry), wanted);
    }
    let found = messages(&metrics(
        "a: { regex: '1', unit: a b, better: x, scale: 0, min_change: 5 }, B: { json: a }",
    ));
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[test]
fn the_hint_of_a_wrong_metric_says_what_to_write() {
    for (entry, wanted) in [
        ("join: { regex: '1' }", "put `(...)` around the number"),
        ("join: { regex: '(1)(2)' }", "write `(?:...)` for other groups"),
        (
            "join: { from: /t, json: '$.jobs[0].read' }",
            "write `/jobs/0/read`",
        ),
        ("join: { from: stdot, regex: '(1)' }", "did you mean `stdout`?"),
        (
            "join: { regex: '(1)', min_change: 5 }",
            "write 5% for a percentage",
        ),
        (
            "join: { regex: '(1)', direction: lower }",
            "did you mean `better`?",
        ),
        ("join: { regex: '(1)', pattern: x }", "did you mean `regex`?"),
        (
            "join: { regex: '(1)', threshold: 1 }",
            "criteria are at the top of the file",
        ),
        ("join: { regex: '(1)', floor: [] }", "such as 5%, 2ms or 64MiB"),
        (
            "join: { regex: '(1)', floor: 2ms }",
            "the key `unit` of a metric gives it one",
        ),
    ] {
        let hint = hint(&metrics(entry));
        assert!(hint.contains(wanted), "{entry}: {hint}");
    }
    assert!(hint(&step("thresholds: {}")).contains("criteria are at the top of the file"));
}

#[test]
fn a_name_is_given_once_in_all_steps() {
    one(
        &format!(
            "{BEGIN}workload:\n  - {{ run: x, metrics: {{ a: {{ regex: '(1)' }} }} }}\n  - {{ run: x, metrics: {{ a: {{ regex: '(1)' }} }} }}\n"
        ),
        "5:26: the metric `a` is given twice",
    );
    one(
        &metrics("a: { regex: '(1)' }, a: { regex: '(1)' }"),
        "the key `a` is given twice",
    );
    let name = "a".repeat(60);
    good(&metrics(&format!("{name}: {{ regex: '(1)' }}")));
    one(
        &metrics(&format!("{name}a: {{ regex: '(1)' }}")),
        "is not a name of a metric",
    );
}

#[test]
fn watched_processes_have_names_that_the_kernel_keeps() {
    for (list, wanted) in [
        ("['']", "the name of a process is empty"),
        ("[/usr/bin/redis-server]", "`/usr/bin/redis-server` is a path"),
        (
            "[redis-server-long]",
            "`redis-server-long` has 17 bytes; Linux keeps 15",
        ),
        ("[a b]", "the name of a process `a b` contains ` `"),
        ("[ä]", "contains `ä`"),
        ("[a, a]", "4:38: the process `a` is given twice"),
        ("redis", "expected a list, found the text `redis`"),
        ("[[a]]", "expected text, found a list"),
    ] {
        one(&step(&format!("watch: {list}")), wanted);
    }
    assert!(hint(&step("watch: [/usr/bin/redis-server]")).contains("`redis-server`"));
    assert!(hint(&step("watch: [redis-server-long]")).contains("`redis-server-lo`"));
    let list = |count: usize| (0..count).map(|i| format!("p{i}")).collect::<Vec<_>>().join(", ");
    let topology = good(&step(&format!("watch: [{}, kworker/0:1]", list(15))));
    assert_eq!(topology.workload[0].watch.len(), 16);
    one(
        &step(&format!("watch: [{}]", list(17))),
        "the step watches 17 processes; at most 16 are allowed",
    );
}
