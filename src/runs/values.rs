//! The value of a metric in a run: runs are the replicates of a comparison, never their samples.

use std::collections::BTreeMap;

use crate::base::name::NodeName;
use crate::measure::{Expression, MetricName, RESERVED, Sample, Severity, Statistic, Unit};
use crate::workload::Record;

/// The statistic of a metric over its samples of this step and of these nodes (`None`: all). `None` if there are no
/// samples, also for a sum and a number: it would compare a run that measured nothing with one that did.
pub fn run_value(
    samples: &[Sample],
    metric: &MetricName,
    statistic: Statistic,
    step: Option<&str>,
    on: Option<&[NodeName]>,
) -> Option<f64> {
    let values: Vec<f64> = samples
        .iter()
        .filter(|sample| {
            let is_of_step = step.is_none_or(|step| sample.step.as_deref() == Some(step));
            let is_of_nodes = on.is_none_or(|nodes| {
                let node = sample.node.as_ref();
                node.is_some_and(|node| nodes.contains(node))
            });
            sample.metric == *metric && is_of_step && is_of_nodes
        })
        .map(|sample| sample.value)
        .collect();
    if values.is_empty() {
        return None;
    }
    statistic.of(&values)
}

/// The statistic that stands for a metric in a run: that of its first criterion that lets a run fail, else the median.
pub fn statistic_of(record: &Record, metric: &MetricName) -> Statistic {
    let criteria = record.criteria.iter();
    let mut errors =
        criteria.filter(|criterion| criterion.metric == *metric && criterion.severity == Severity::Error);
    let found = errors.find_map(|criterion| match criterion.is {
        Expression::Bound { statistic, .. } => Some(statistic),
        Expression::Growth { .. } => None,
    });
    found.unwrap_or(Statistic::Median)
}

/// The unit of a metric: as the run says it, or that of a metric which vcluster measures.
pub fn unit_of(record: &Record, metric: &MetricName) -> Option<Unit> {
    let spec = record.metrics.iter().find(|spec| spec.name == *metric);
    if let Some(unit) = spec.and_then(|spec| spec.unit.clone()) {
        return Some(unit);
    }
    if !RESERVED.contains(&metric.prefix()) {
        return None;
    }
    match metric.as_str() {
        name if name.ends_with("seconds") => Some(Unit::seconds()),
        name if name.ends_with("bytes") => Some(Unit::bytes()),
        _ => None,
    }
}

/// The size of a run for the growth of a metric: of the group whose size was varied, if it is one, else of all groups.
pub fn size_of(record: &Record) -> Option<u32> {
    let mut varied = record.variant.iter().filter(|(key, _)| is_size(key));
    match (varied.next(), varied.next()) {
        (Some((_, size)), None) => size.parse().ok(),
        _ if record.sizes.is_empty() => None,
        _ => Some(record.sizes.values().copied().fold(0, u32::saturating_add)),
    }
}

/// A variant for people: `nodes.worker=30 rev=new`.
pub fn variant_text(variant: &BTreeMap<String, String>) -> String {
    let parts: Vec<String> = variant
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    parts.join(" ")
}

/// Whether the size of a group was varied by a key of a variant: `nodes.worker`.
pub(super) fn is_size(key: &str) -> bool {
    key.starts_with("nodes.")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::fixture::sample;
    use super::*;
    use crate::measure::fixture::criterion;

    fn metric(name: &str) -> MetricName {
        name.parse().unwrap()
    }

    #[test]
    fn a_value_is_of_the_samples_of_the_step_and_the_nodes() {
        let node = |name: &str| name.parse::<NodeName>().unwrap();
        let mut samples = vec![
            sample("a", 1.0),
            sample("a", 2.0),
            sample("a", 4.0),
            sample("b", 9.0),
        ];
        samples[0].node = Some(node("n1"));
        samples[1].node = Some(node("n2"));
        samples[1].step = Some("join".into());
        let both = [node("n1"), node("n2")];
        let sum = |step, on| run_value(&samples, &metric("a"), Statistic::Sum, step, on);
        assert_eq!(sum(None, None), Some(7.0));
        assert_eq!(sum(Some("join"), None), Some(2.0));
        assert_eq!(sum(None, Some(&both[..])), Some(3.0));
        assert_eq!(sum(Some("other"), None), None);
    }

    #[test]
    fn the_first_criterion_that_is_an_error_names_the_statistic() {
        let mut record = Record::new(Uuid::from_u128(7), Vec::new());
        assert_eq!(statistic_of(&record, &metric("a")), Statistic::Median);
        record.criteria = vec![
            criterion("b", "max < 1"),
            criterion("a", "growth <= n"),
            criterion("a", "mean < 1"),
            criterion("a", "p99 < 1"),
            criterion("a", "max < 1"),
        ];
        record.criteria[2].severity = Severity::Warn;
        assert_eq!(statistic_of(&record, &metric("a")), Statistic::Percentile(99.0));
        assert_eq!(statistic_of(&record, &metric("c")), Statistic::Median);
    }

    #[test]
    fn units_of_what_vcluster_measures_follow_from_the_name() {
        let record = Record::new(Uuid::from_u128(7), Vec::new());
        let unit = |name: &str| unit_of(&record, &metric(name)).map(|unit| unit.to_string());
        assert_eq!(unit("step.join.seconds").as_deref(), Some("s"));
        assert_eq!(unit("watch.redis-server.rss_bytes").as_deref(), Some("B"));
        assert_eq!(unit("step.join.exit_code"), None);
        assert_eq!(unit("join_seconds"), None);
    }

    #[test]
    fn the_size_is_that_of_the_group_that_was_varied_else_of_all() {
        let mut record = Record::new(Uuid::from_u128(7), Vec::new());
        assert_eq!(size_of(&record), None);
        record.sizes.insert("seed".parse().unwrap(), 3);
        record.sizes.insert("worker".parse().unwrap(), 30);
        assert_eq!(size_of(&record), Some(33));
        record.variant.insert("nodes.worker".into(), "30".into());
        record.variant.insert("rev".into(), "7".into());
        assert_eq!(size_of(&record), Some(30));
        record.variant.insert("nodes.seed".into(), "3".into());
        assert_eq!(size_of(&record), Some(33));
    }
}
