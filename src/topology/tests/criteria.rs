//! Criteria.

use super::bad_input::{messages, one};
use super::metrics::{BEGIN, criteria, hint, metrics, step, with};
use super::*;
use crate::measure::{Expression, Severity, Unit};

#[test]
fn criteria_are_a_text_a_mapping_or_a_list_of_both() {
    let topology = good(&with(
        "criteria:\n  join_seconds: p(99)<2000ms\n  app.latency: [\"rate < 1%\", { is: growth < n }]\n  fio: { is: \"avg < 20\", severity: warn, step: join, on: worker001, require_samples: false }",
    ));
    let [text, rate, growth, long] = topology.criteria.as_slice() else {
        panic!()
    };
    assert_eq!(
        (text.metric.as_str(), text.text.as_str()),
        ("join_seconds", "p(99)<2000ms")
    );
    assert_eq!(
        (text.severity, text.require_samples, text.line),
        (Severity::Error, true, Some(6))
    );
    assert_eq!(text.is.bound_in(Some(&Unit::seconds())), Ok(Some(2.0)));
    assert_eq!((rate.metric.as_str(), rate.line), ("app.latency", Some(7)));
    assert!(matches!(growth.is, Expression::Growth { .. }));
    assert_eq!((long.severity, long.require_samples), (Severity::Warn, false));
    assert_eq!(long.step.as_deref(), Some("join"));
    assert_eq!(long.on.as_ref().unwrap().len(), 1);
    assert_eq!(long.is, Expression::parse("mean < 20").unwrap());
}

#[test]
fn a_criterion_on_live_output_may_end_a_run() {
    let abort = |keys: &str| {
        let topology = good(&criteria(&format!("join_seconds: {{ is: max < 2s, {keys} }}")));
        topology.criteria[0].abort.map(|abort| abort.after.as_secs())
    };
    assert_eq!(abort("abort: true, after: 30s"), Some(30));
    assert_eq!(abort("abort: true"), Some(0));
    assert_eq!(abort("abort: true, after: 0s"), Some(0));
    assert_eq!(abort("abort: false"), None);
    for is in [
        "count <= 150",
        "sum < 1m",
        "min > 0s",
        "mean > 1s",
        "rate == 100%",
    ] {
        let topology = good(&criteria(&format!("join_seconds: {{ is: {is}, abort: true }}")));
        assert!(topology.criteria[0].abort.is_some(), "{is}");
    }
}

#[test]
fn a_wrong_criterion_is_an_error_at_its_place() {
    for (entry, wanted) in [
        ("join_seconds: p99", "5:27: `p99` compares nothing"),
        (
            "join_seconds: [p99 < 2s, p101 < 2s]",
            "5:38: `p101` is not a statistic",
        ),
        ("join_seconds: growth >= n", "can only have an upper bound"),
        (
            "join_seconds: p99 < 2MiB",
            "a value in MiB cannot be compared with a metric in s",
        ),
        (
            "join_seconds: count < 2s",
            "a value in s cannot be compared with a metric in no unit",
        ),
        (
            "join_seconds: 5",
            "5:27: expected text or a mapping, found the number 5",
        ),
        ("join_seconds: [[a]]", "expected text or a mapping, found a list"),
        ("join_seconds: []", "5:13: `join_seconds` has no criterion"),
        ("join_seconds: {}", "the criterion has no `is`"),
        ("join_seconds: { severity: warn }", "the criterion has no `is`"),
        (
            "join_seconds: { is: p99 < 2s, severity: info }",
            "expected one of `error`, `warn`",
        ),
        (
            "join_seconds: { is: p99 < 2s, step: jion }",
            "5:49: there is no step `jion`",
        ),
        (
            "join_seconds: { is: p99 < 2s, on: \"@wrkr\" }",
            "there is no group `wrkr`",
        ),
        (
            "join_seconds: { is: p99 < 2s, on: worker009 }",
            "there is no node `worker009`",
        ),
        (
            "join_seconds: { is: p99 < 2s, after: 30s }",
            "`after` is for criteria with `abort: true`",
        ),
        (
            "join_seconds: { is: p99 < 2s, abort: false, after: 30s }",
            "`after` is for criteria",
        ),
        (
            "join_seconds: { is: p99 < 2s, abort: true, after: soon }",
            "after: `soon` is not a length of time",
        ),
        (
            "join_seconds: { is: p99 < 2s, abort: true, after: 31days }",
            "after: 31days is out of bounds",
        ),
        (
            "join_seconds: { is: p99 < 2s, abort: true, severity: warn }",
            "that only warns cannot end a run",
        ),
        (
            "join_seconds: { is: growth <= n, abort: true }",
            "a criterion on growth cannot end a run",
        ),
        (
            "join_seconds: { is: count >= 150, abort: true }",
            "`count >= 150` cannot end a run",
        ),
        (
            "join_seconds: { is: count == 150, abort: true, after: 30s }",
            "`count == 150` cannot end a run",
        ),
        (
            "join_seconds: { is: sum > 5s, abort: true }",
            "`sum > 5s` cannot end a run: it fails until enough samples have come",
        ),
        (
            "join_seconds: { is: max >= 5s, abort: true }",
            "`max >= 5s` cannot end a run",
        ),
        (
            "join_seconds: { is: min < 5s, abort: true }",
            "`min < 5s` cannot end a run",
        ),
        (
            "join_seconds: { is: p99 < 2s, abort_on_fail: true }",
            "unknown key `abort_on_fail`",
        ),
        (
            "fio: { is: p99 < 2, abort: true }",
            "`fio` is not known before its step ends",
        ),
        (
            "node.cpu_seconds: { is: sum < 2, abort: true }",
            "`node.cpu_seconds` is not known before",
        ),
        ("app: p99 < 2", "5:13: `app` stands for all series of a file"),
        ("app.: p99 < 2", "unknown metric `app.`"),
        ("join_second: p99 < 2s", "5:13: unknown metric `join_second`"),
        ("join_seconds.p99: p99 < 2s", "unknown metric `join_seconds.p99`"),
        ("step.jion.seconds: max < 5m", "there is no step `jion`"),
        ("step.join.second: max < 5m", "unknown metric `step.join.second`"),
        (
            "step.join.seconds: max < 1MiB",
            "a value in MiB cannot be compared with a metric in s",
        ),
        (
            "step.join.exit_code: max < 1s",
            "a value in s cannot be compared with a metric in no unit",
        ),
        (
            "watch.redis.cpu_seconds: sum < 300",
            "no step watches the process `redis`",
        ),
        ("up.bot.seconds: max < 1m", "unknown metric `up.bot.seconds`"),
        (
            "vcluster.exec.seconds: max < 1m",
            "unknown metric `vcluster.exec.seconds`",
        ),
        (
            "vcluster.run.cpu_seconds: max < 1MiB",
            "a value in MiB cannot be compared with a metric in s",
        ),
        (
            "up.boot.seconds: { is: max < 1m, step: join }",
            "is not measured in the step `join`",
        ),
        ("a b: max < 1", "`a b` is not a name of a metric"),
    ] {
        one(&criteria(entry), wanted);
    }
    let found = messages(&criteria(
        "join_second: [p99, p101 < 2], fio: { is: p99 < 2s, step: a, on: b }",
    ));
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[test]
fn the_hint_of_a_wrong_criterion_says_what_to_write() {
    for (entry, wanted) in [
        ("join_second: p99 < 2s", "did you mean `join_seconds`?"),
        ("step.jion.seconds: max < 5m", "did you mean `join`?"),
        ("step.join.second: max < 5m", "did you mean `step.join.seconds`?"),
        (
            "watch.redis-serer.rss_bytes: max < 1",
            "did you mean `redis-server`?",
        ),
        ("watch.x.rss_bytes: max < 1", "add `watch: [x]` to a step"),
        ("app: max < 1", "name one of them, `app.SERIES`"),
        (
            "join_seconds: { is: p99 < 2s, delay: 30s }",
            "did you mean `after`?",
        ),
        (
            "join_seconds: { is: p99 < 2s, abortOnFail: true }",
            "did you mean `abort`?",
        ),
        ("join_seconds: 5", "write one text in quotes, or `{ key: value }`"),
        (
            "join_seconds: p99 < 2MiB",
            "write it in s or a unit of the same kind",
        ),
        (
            "up.boot.seconds: { is: max < 1m, step: join }",
            "it is not measured in a step",
        ),
    ] {
        let hint = hint(&criteria(entry));
        assert!(hint.contains(wanted), "{entry}: {hint}");
    }
    assert_eq!(
        hint("name: x\nthresholds: {}\ngroups: { a: { count: 1 } }\n"),
        "did you mean `criteria`?"
    );
}

#[test]
fn a_criterion_of_one_step_is_not_for_metrics_of_another() {
    let text = |criterion: &str| {
        format!(
            "{BEGIN}workload:\n  - {{ name: a, run: x, metrics: {{ m: {{ regex: '(1)' }} }}, watch: [p] }}\n  - {{ name: b, run: x }}\ncriteria: {{ {criterion} }}\n"
        )
    };
    good(&text(
        "m: { is: max < 1, step: a }, node.cpu_seconds: { is: max < 1, step: b }",
    ));
    good(&text(
        "watch.p.processes: { is: max < 9, step: a }, step.b.seconds: { is: max < 9, step: b }",
    ));
    for name in ["m", "watch.p.processes", "step.a.seconds"] {
        one(
            &text(&format!("{name}: {{ is: max < 1, step: b }}")),
            &format!("`{name}` is not measured in the step `b`"),
        );
    }
}

#[test]
fn a_mistake_in_a_step_is_not_reported_again_by_its_criteria() {
    one(
        &format!("{BEGIN}workload: [5]\ncriteria: {{ step.join.seconds: max < 1m, m: max < 1 }}\n"),
        "expected a mapping",
    );
    let found = messages(&format!(
        "{}criteria: {{ join: {{ is: max < 2s, abort: true }}, join.x: max < 1 }}\n",
        metrics("join: { unit: a b }")
    ));
    assert_eq!(found.len(), 2, "{found:#?}");
    one(
        &format!(
            "{}criteria: {{ watch.redis.processes: max < 1 }}\n",
            step("watch: [re dis]")
        ),
        "contains ` `",
    );
    // Without a workload, only what `up` measures is known.
    good(&format!("{BEGIN}criteria: {{ up.boot.seconds: max < 1m }}\n"));
    one(
        &format!("{BEGIN}criteria: {{ node.cpu_seconds: max < 1m }}\n"),
        "`node.cpu_seconds` is measured during steps, and the topology has none",
    );
    good(&format!(
        "{BEGIN}criteria: {{ vcluster.up.memory_bytes: max < 1GiB }}\n"
    ));
    one(
        &format!("{BEGIN}criteria: {{ vcluster.run.cpu_seconds: max < 1m }}\n"),
        "`vcluster.run.cpu_seconds` is measured during steps, and the topology has none",
    );
}

#[test]
fn there_are_limits_to_the_number_of_metrics_and_criteria() {
    let many =
        |count: usize, entry: &dyn Fn(usize) -> String| (0..count).map(entry).collect::<Vec<_>>().join(", ");
    let defined = |count| metrics(&many(count, &|i| format!("m{i}: {{ regex: '(1)' }}")));
    assert_eq!(good(&defined(200)).workload[0].metrics.len(), 200);
    one(&defined(201), "the steps define more than 200 metrics");
    let described = |count| {
        with(&format!(
            "metrics: {{ {} }}",
            many(count, &|i| format!("app.m{i}: {{}}"))
        ))
    };
    assert_eq!(good(&described(200)).metrics.len(), 200);
    one(&described(201), "`metrics` has more than 200 entries");
    let judged = |count| criteria(&format!("fio: [{}]", many(count, &|i| format!("max < {i}"))));
    assert_eq!(good(&judged(500)).criteria.len(), 500);
    one(&judged(501), "more than 500 criteria");
}
