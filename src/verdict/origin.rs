//! Where the samples of a metric come from: which description of a metric, and which steps of a run.

use crate::measure::{MetricName, MetricSpec, Reading};
use crate::topology::WorkloadStep;

/// Whether a metric is the described one, or a series of a described file.
pub fn comes_from(metric: &MetricName, spec: &MetricSpec) -> bool {
    let is_series = || {
        let gives_many = spec.reading.as_ref().is_some_and(Reading::gives_many);
        gives_many && rest(metric, spec.name.as_str()).is_some()
    };
    spec.name == *metric || is_series()
}

/// What follows a prefix and its dot in the name of a metric.
fn rest<'a>(metric: &'a MetricName, prefix: &str) -> Option<&'a str> {
    metric.as_str().strip_prefix(prefix)?.strip_prefix('.')
}

/// The name of a process in that of a metric: a character that no metric may have is `_`, as in `workload::samples`.
fn in_names(process: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:-/".contains(c);
    process
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

/// Whether a metric is of the whole run, not of its steps.
pub(super) fn is_of_run(metric: &MetricName) -> bool {
    matches!(metric.prefix(), "up" | "run" | "vcluster")
}

/// Whether a metric is of a watched process, such as `watch.redis.cpu_seconds` of `watch.redis`.
pub(super) fn is_of_process(metric: &MetricName, process: &MetricName) -> bool {
    process.prefix() == "watch" && rest(metric, process.as_str()).is_some()
}

/// Whether a step makes samples of a metric.
pub(super) fn makes(step: &WorkloadStep, metric: &MetricName) -> bool {
    let is_of = |kind: &str, name: &str| rest(metric, &format!("{kind}.{name}")).is_some();
    match metric.prefix() {
        // The name of a step may be the beginning of that of another one: `load` and `load.more`.
        "step" => {
            let what = rest(metric, &format!("step.{}", step.name));
            what.is_some_and(|what| !what.contains('.'))
        }
        "watch" => step
            .watch
            .iter()
            .any(|process| is_of("watch", &in_names(process))),
        "node" => true,
        _ => step.metrics.iter().any(|spec| comes_from(metric, spec)),
    }
}
