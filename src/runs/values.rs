//! The value of a metric in a run: runs are the replicates of a comparison, never their samples.

use std::collections::BTreeMap;

use crate::measure::{Criterion, Expression, MetricName, RESERVED, Sample, Severity, Statistic, Unit};
use crate::workload::Record;

/// The criterion that says how the value of a metric in a run is taken, with its statistic: the first one with a bound
/// that lets a run fail. Without one the value is the median of all samples.
pub fn leading<'a>(criteria: &'a [Criterion], metric: &MetricName) -> Option<(&'a Criterion, Statistic)> {
    criteria.iter().find_map(|criterion| match criterion.is {
        Expression::Bound { statistic, .. }
            if criterion.metric == *metric && criterion.severity == Severity::Error =>
        {
            Some((criterion, statistic))
        }
        _ => None,
    })
}

/// The finite value of each metric of a run that ended, by these criteria. A metric without samples has none, as a run
/// that measured nothing would be compared with one that did; but a sum or a number that may be empty is 0 then.
pub fn run_values(samples: &[Sample], criteria: &[Criterion]) -> BTreeMap<MetricName, f64> {
    let mut by_metric: BTreeMap<&MetricName, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        by_metric.entry(&sample.metric).or_default().push(sample);
    }
    for criterion in criteria {
        by_metric.entry(&criterion.metric).or_default();
    }
    let values = by_metric.into_iter().filter_map(|(metric, samples)| {
        let value = run_value(&samples, leading(criteria, metric));
        let value = value.filter(|value| value.is_finite())?;
        Some((metric.clone(), value))
    });
    values.collect()
}

/// The value of a metric with these samples.
fn run_value(samples: &[&Sample], leading: Option<(&Criterion, Statistic)>) -> Option<f64> {
    let criterion = leading.map(|(criterion, _)| criterion);
    let statistic = leading.map_or(Statistic::Median, |(_, statistic)| statistic);
    let step = criterion.and_then(|criterion| criterion.step.as_deref());
    let on = criterion.and_then(|criterion| criterion.on.as_deref());
    let wanted = samples.iter().filter(|sample| {
        let node = sample.node.as_ref();
        let is_of_nodes = on.is_none_or(|on| node.is_some_and(|node| on.contains(node)));
        is_of_nodes && step.is_none_or(|step| sample.step.as_deref() == Some(step))
    });
    let values: Vec<f64> = wanted.map(|sample| sample.value).collect();
    let may_be_empty = criterion.is_some_and(|criterion| !criterion.require_samples);
    // Of no values, the sum and the number are 0.
    (!values.is_empty() || may_be_empty)
        .then(|| statistic.of(&values))
        .flatten()
}

/// The statistic that stands for a metric in a run: that of its first criterion that lets a run fail, else the median.
pub fn statistic_of(record: &Record, metric: &MetricName) -> Statistic {
    leading(&record.criteria, metric).map_or(Statistic::Median, |(_, statistic)| statistic)
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
    use crate::base::name::NodeName;
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
        let sum = |step: Option<&str>, on: Option<[NodeName; 2]>| {
            let mut criterion = criterion("a", "sum < 100");
            criterion.step = step.map(str::to_owned);
            criterion.on = on.map(Vec::from);
            run_values(&samples, &[criterion]).get(&metric("a")).copied()
        };
        assert_eq!(sum(None, None), Some(7.0));
        assert_eq!(sum(Some("join"), None), Some(2.0));
        assert_eq!(sum(None, Some([node("n1"), node("n2")])), Some(3.0));
        assert_eq!(sum(Some("other"), None), None);
    }

    #[test]
    fn a_value_is_the_statistic_of_the_criterion_that_fails_a_run_else_the_median() {
        let samples = [1.0, 2.0, 9.0]
            .map(|value| [sample("a", value), sample("b", value)])
            .concat();
        let mut criteria = vec![criterion("a", "max < 5")];
        let of = |criteria: &[Criterion]| {
            let values = run_values(&samples, criteria);
            (values[&metric("a")].to_string(), values[&metric("b")].to_string())
        };
        assert_eq!(of(&criteria), ("9".to_owned(), "2".to_owned()));
        criteria[0].severity = Severity::Warn;
        assert_eq!(of(&criteria), ("2".to_owned(), "2".to_owned()));
    }

    #[test]
    fn a_sum_or_a_number_that_may_be_empty_is_0_without_samples() {
        let samples = [sample("b", 1.0)];
        for (text, may_be_empty, wanted) in [
            ("count < 1", true, Some(0.0)),
            ("sum < 1", true, Some(0.0)),
            ("max < 1", true, None),
            ("count < 1", false, None),
        ] {
            let mut criterion = criterion("a", text);
            criterion.require_samples = !may_be_empty;
            let value = |criterion: &Criterion| {
                let values = run_values(&samples, std::slice::from_ref(criterion));
                values.get(&metric("a")).copied()
            };
            assert_eq!(value(&criterion), wanted, "{text}");
            // One that only warns does not say how the value is taken.
            criterion.severity = Severity::Warn;
            assert_eq!(value(&criterion), None, "{text}");
        }
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
