//! The metrics of runs as strips: those with a criterion first, then those of the topology, then those that are measured
//! without being asked.

use std::collections::BTreeSet;

use super::reduced::Reduced;
use crate::analysis::bootstrap_difference;
use crate::base::text::plural;
use crate::measure::{Criterion, Expression, MetricName, RESERVED, Statistic, Unit, convert};
use crate::page::model::{Strip, StripRow};
use crate::runs::{leading, unit_of};

/// The most metrics of a report.
const MOST: usize = 200;

/// From this many values on, their median has an interval.
const ENOUGH: usize = 5;

/// The seed of all resampling: the same runs give the same figures.
const SEED: u64 = 12;

/// The confidence of the intervals, as in comparisons.
const CONFIDENCE: f64 = 0.99;

/// The strips of some runs, and how many metrics are left out. Of a single run, each value is that of a node.
pub(super) fn of(runs: &[Reduced]) -> (Vec<Strip>, usize) {
    let single = match runs {
        [run] => Some(run),
        _ => None,
    };
    let usable: Vec<&Reduced> = runs
        .iter()
        .filter(|run| run.is_whole || single.is_some())
        .collect();
    let named: BTreeSet<&MetricName> = usable.iter().flat_map(|run| run.values.keys()).collect();
    let mut metrics: Vec<&MetricName> = named.into_iter().collect();
    let has_criterion = |metric: &&MetricName| {
        let mut criteria = usable.iter().flat_map(|run| &run.record.criteria);
        criteria.any(|criterion| criterion.metric == **metric)
    };
    metrics.sort_by_cached_key(|metric| {
        if has_criterion(metric) {
            0
        } else if RESERVED.contains(&metric.prefix()) {
            2
        } else {
            1
        }
    });
    let left_out = metrics.len().saturating_sub(MOST);
    metrics.truncate(MOST);
    let strip = |metric: &MetricName| match single {
        Some(run) => of_nodes(run, metric),
        None => of_runs(&usable, metric),
    };
    (metrics.into_iter().map(strip).collect(), left_out)
}

/// A metric with a value per run.
fn of_runs(runs: &[&Reduced], metric: &MetricName) -> Strip {
    let mut rows: Vec<(String, Vec<f64>)> = Vec::new();
    for run in runs {
        let Some(value) = run.values.get(metric) else {
            continue;
        };
        match rows.iter_mut().find(|(label, _)| *label == run.label) {
            Some((_, values)) => values.push(*value),
            None => rows.push((run.label.clone(), vec![*value])),
        }
    }
    let rows = rows.into_iter().map(|(label, values)| StripRow {
        label,
        median: Statistic::Median.of(&values).unwrap_or(f64::NAN),
        interval: interval(&values),
        values,
    });
    let unit = runs.iter().find_map(|run| unit_of(&run.record, metric));
    // The newest run decides, as in comparisons.
    let leading = runs
        .iter()
        .rev()
        .find_map(|run| leading(&run.record.criteria, metric));
    let statistic = leading.map_or(Statistic::Median, |(_, statistic)| statistic);
    Strip {
        title: title(metric, statistic),
        each: "run",
        rows: rows.collect(),
        bound: leading.and_then(|(criterion, _)| bound(criterion, unit.as_ref())),
        unit,
    }
}

/// A metric of a single run with a value per node; with that of the run if nodes have none.
fn of_nodes(run: &Reduced, metric: &MetricName) -> Strip {
    let nodes = run.by_node.get(metric).cloned().unwrap_or_default();
    let (values, each) = if nodes.is_empty() {
        (run.values.get(metric).copied().into_iter().collect(), "run")
    } else {
        (nodes, "node")
    };
    let unit = unit_of(&run.record, metric);
    let leading = leading(&run.record.criteria, metric);
    Strip {
        title: metric.to_string(),
        each,
        bound: leading.and_then(|(criterion, _)| bound(criterion, unit.as_ref())),
        rows: vec![StripRow {
            label: plural(values.len(), each),
            median: Statistic::Median.of(&values).unwrap_or(f64::NAN),
            interval: None,
            values,
        }],
        unit,
    }
}

/// A metric with the statistic that is its value: `join_seconds (p99)`.
pub(super) fn title(metric: &MetricName, statistic: Statistic) -> String {
    match statistic {
        Statistic::Median => metric.to_string(),
        other => format!("{metric} ({other})"),
    }
}

/// The interval of the median of the values of runs: that of its difference from a side that is always 0.
fn interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < ENOUGH {
        return None;
    }
    let interval = bootstrap_difference(&[0.0, 0.0], values, SEED, CONFIDENCE);
    let is_finite = interval.low.is_finite() && interval.high.is_finite();
    is_finite.then_some((interval.low, interval.high))
}

/// The bound of a criterion in the unit of its metric, with the criterion.
fn bound(criterion: &Criterion, unit: Option<&Unit>) -> Option<(f64, String)> {
    let Expression::Bound { bound, unit: own, .. } = &criterion.is else {
        return None;
    };
    let bound = convert(*bound, own.as_ref(), unit).ok()?;
    bound.is_finite().then(|| (bound, criterion.text.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_median_lies_within_its_values_and_needs_some() {
        let values = [1.0, 1.1, 1.2, 1.3, 1.4, 9.0];
        let (low, high) = interval(&values).unwrap();
        assert!(
            (1.0..1.25).contains(&low) && high > 1.25 && high <= 9.0,
            "{low} {high}"
        );
        assert_eq!(interval(&[3.0; 5]), Some((3.0, 3.0)));
        assert_eq!(interval(&[1.0, 2.0, 3.0, 4.0]), None);
    }

    #[test]
    fn a_title_names_a_statistic_that_is_not_the_median() {
        let metric: MetricName = "join".parse().unwrap();
        assert_eq!(title(&metric, Statistic::Median), "join");
        assert_eq!(title(&metric, Statistic::Percentile(99.0)), "join (p99)");
    }
}
