//! The values that are exported: one for each run and metric.

use std::collections::BTreeMap;

use crate::measure::{MetricName, Statistic, Unit};
use crate::runs::error::StoreError;
use crate::runs::stored::StoredRun;
use crate::runs::values::{statistic_of, unit_of};
use crate::workload::Verdict;

/// A metric in a run.
pub(super) struct Reduced {
    /// The statistic that stands for the metric.
    pub(super) statistic: Statistic,
    /// The unit of the value.
    pub(super) unit: Option<Unit>,
    /// Its value.
    pub(super) value: f64,
}

/// The values of a run.
pub(super) struct Row<'a> {
    pub(super) run: &'a StoredRun,
    pub(super) values: BTreeMap<MetricName, Reduced>,
}

impl Row<'_> {
    /// Whether its steps passed on all nodes.
    pub(super) fn is_whole(&self) -> bool {
        self.run.record.verdict.is_some_and(Verdict::is_whole)
    }
}

/// Reads the values of all runs.
pub(super) fn rows(runs: &[StoredRun]) -> Result<Vec<Row<'_>>, StoreError> {
    runs.iter().map(row).collect()
}

fn row(run: &StoredRun) -> Result<Row<'_>, StoreError> {
    let mut values = BTreeMap::new();
    for (metric, samples) in run.series(|_| true)? {
        let statistic = statistic_of(&run.record, &metric);
        if let Some(value) = statistic.of(&samples) {
            let unit = unit(statistic, unit_of(&run.record, &metric));
            values.insert(
                metric,
                Reduced {
                    statistic,
                    unit,
                    value,
                },
            );
        }
    }
    Ok(Row { run, values })
}

/// The unit of a statistic of values with this unit.
fn unit(statistic: Statistic, unit: Option<Unit>) -> Option<Unit> {
    match statistic {
        Statistic::Count => None,
        Statistic::Rate => Unit::new("1"),
        _ => unit,
    }
}
