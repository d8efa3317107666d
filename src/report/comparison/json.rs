//! Comparisons for programs: the form that docs/compare.md describes.

use serde_json::{Value, json};

use super::headline;
use crate::analysis::Interval;
use crate::compare::{Accepted, Comparison, Difference, MetricComparison};

/// The document of some comparisons. Figures that are not finite numbers are null.
pub fn json(comparisons: &[Comparison]) -> Value {
    let comparisons: Vec<Value> = comparisons.iter().map(comparison).collect();
    json!({ "version": 1, "comparisons": comparisons })
}

fn comparison(comparison: &Comparison) -> Value {
    let side = |name: &str, runs: &[String]| json!({ "name": name, "runs": runs });
    let metrics = |metrics: &[MetricComparison]| metrics.iter().map(metric).collect::<Vec<Value>>();
    let differences = |of: &[Difference]| of.iter().map(difference).collect::<Vec<Value>>();
    json!({
        "verdict": comparison.verdict,
        "text": headline(comparison),
        "a": side(&comparison.a, &comparison.run_names.0),
        "b": side(&comparison.b, &comparison.run_names.1),
        "missing_runs": comparison.missing_runs,
        "judged": metrics(&comparison.judged),
        "shown": metrics(&comparison.shown),
        "varied": differences(&comparison.varied),
        "despite": differences(&comparison.despite),
        "warnings": comparison.warnings,
        "reproduce": comparison.reproduce,
    })
}

fn metric(metric: &MetricComparison) -> Value {
    json!({
        "metric": metric.metric,
        "statistic": metric.statistic,
        "unit": metric.unit,
        "better": metric.better,
        "a": metric.a,
        "b": metric.b,
        "median_a": metric.median_a,
        "median_b": metric.median_b,
        "change": metric.change,
        "interval": interval(&metric.interval),
        "difference_interval": metric.difference.as_ref().map(interval),
        "p": metric.p,
        "adjusted_p": metric.adjusted,
        "min_change": metric.min_change,
        "floor": metric.floor,
        "detectable": metric.detectable,
        "verdict": metric.verdict,
        "runs_needed": metric.runs_needed,
        "accepted": metric.accepted.as_ref().map(accepted),
        "expired": metric.expired.as_ref().map(accepted),
        "note": metric.note,
    })
}

fn interval(interval: &Interval) -> Value {
    json!({ "low": interval.low, "high": interval.high })
}

fn accepted(entry: &Accepted) -> Value {
    json!({
        "variant": entry.variant.as_ref().map(ToString::to_string),
        "reason": entry.reason,
        "until": entry.until.to_string(),
    })
}

fn difference(difference: &Difference) -> Value {
    json!({
        "key": difference.key,
        "a": { "of": difference.a.of, "value": difference.a.value },
        "b": { "of": difference.b.of, "value": difference.b.value },
    })
}
