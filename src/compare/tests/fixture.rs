//! Runs made by hand.

use uuid::Uuid;

use super::super::{CompareOptions, Comparison, MetricComparison, Rules, Side, SideRun};
use crate::measure::{MetricName, MetricSpec};
use crate::workload::Record;

/// Values with the median 100 that differ little.
pub(super) const CALM: [f64; 10] = [99.0, 99.2, 99.5, 99.7, 99.9, 100.1, 100.3, 100.5, 100.8, 101.0];

pub(super) fn metric(name: &str) -> MetricName {
    name.parse().unwrap()
}

/// Properties of a metric, of which none is said.
pub(super) fn spec(metric: &str) -> MetricSpec {
    MetricSpec {
        name: metric.parse().unwrap(),
        source: None,
        reading: None,
        scale: 1.0,
        unit: None,
        better: None,
        min_change: None,
        floor: None,
    }
}

/// A record in which nothing is said.
pub(super) fn record() -> Record {
    Record::new(Uuid::from_u128(7), Vec::new())
}

/// A side with a run per value, of each of these metrics, and what `change` says of its records.
pub(super) fn side(name: &str, metrics: &[(&str, &[f64])], change: impl Fn(&mut Record)) -> Side {
    let count = metrics
        .iter()
        .map(|(_, values)| values.len())
        .max()
        .unwrap_or_default();
    let mut record = record();
    change(&mut record);
    let runs: Vec<SideRun> = (0..count)
        .map(|index| SideRun {
            name: format!("{name}-{index}"),
            record: record.clone(),
            values: metrics
                .iter()
                .filter_map(|(name, values)| Some((metric(name), *values.get(index)?)))
                .collect(),
        })
        .collect();
    let rules = Rules::of(runs.iter().map(|run| &run.record));
    Side {
        name: name.to_owned(),
        runs,
        rules,
    }
}

/// The values, each multiplied.
pub(super) fn times(values: &[f64], factor: f64) -> Vec<f64> {
    values.iter().map(|value| value * factor).collect()
}

pub(super) fn options() -> CompareOptions {
    CompareOptions::new("2026-06-15T12:00:00Z".parse().unwrap())
}

/// The judged metric of this name.
#[track_caller]
pub(super) fn judged<'a>(comparison: &'a Comparison, name: &str) -> &'a MetricComparison {
    let mut judged = comparison.judged.iter();
    judged.find(|found| found.metric.as_str() == name).unwrap()
}
