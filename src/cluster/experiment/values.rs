//! What a run contributes to the growth: one value of each of its metrics. Pure.

use std::collections::BTreeMap;

use crate::measure::{Criterion, Expression, MetricName, Sample, Severity, Statistic};
use crate::runs::run_value;

/// A run of one size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GrowthRun {
    /// Nodes of the group that grows.
    pub(super) size: u32,
    /// The value of each metric.
    pub(super) values: BTreeMap<MetricName, f64>,
}

/// The criterion that says which statistic of a metric is its value: the first that can fail a run. Without one it is
/// the median.
pub(super) fn leading<'a>(
    criteria: &'a [Criterion],
    metric: &MetricName,
) -> Option<(&'a Criterion, Statistic)> {
    criteria.iter().find_map(|criterion| match criterion.is {
        Expression::Bound { statistic, .. }
            if criterion.metric == *metric && criterion.severity == Severity::Error =>
        {
            Some((criterion, statistic))
        }
        _ => None,
    })
}

/// One value of each metric of a run.
pub(super) fn values(samples: &[Sample], criteria: &[Criterion]) -> BTreeMap<MetricName, f64> {
    let mut by_metric: BTreeMap<&MetricName, Vec<f64>> = BTreeMap::new();
    for sample in samples {
        by_metric.entry(&sample.metric).or_default().push(sample.value);
    }
    let values = by_metric.into_iter().filter_map(|(metric, all)| {
        let value = match leading(criteria, metric) {
            Some((criterion, statistic)) => {
                let (step, on) = (criterion.step.as_deref(), criterion.on.as_deref());
                run_value(samples, metric, statistic, step, on)
            }
            None => Statistic::Median.of(&all),
        };
        let value = value.filter(|value| value.is_finite())?;
        Some((metric.clone(), value))
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::super::find::Find;
    use super::*;

    #[test]
    fn the_value_of_a_run_is_the_statistic_of_the_criterion_else_the_median() {
        let sample = |metric: &str, value: f64| Sample {
            metric: metric.parse().unwrap(),
            value,
            step: None,
            node: None,
            labels: BTreeMap::new(),
        };
        let samples = [1.0, 2.0, 9.0]
            .map(|value| [sample("join", value), sample("other", value)])
            .concat();
        let mut criterion = Find::parse("join: max < 5").unwrap().criterion;
        let found = values(&samples, std::slice::from_ref(&criterion));
        let of = |found: &BTreeMap<MetricName, f64>, name: &str| found[&name.parse::<MetricName>().unwrap()];
        assert_eq!((of(&found, "join"), of(&found, "other")), (9.0, 2.0));
        criterion.severity = Severity::Warn;
        let found = values(&samples, &[criterion]);
        assert!((of(&found, "join") - 2.0).abs() < 1e-12);
        assert_eq!(found.len(), 2);
    }
}
