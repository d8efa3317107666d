//! The bound of a criterion, in the unit of its metric.

use super::origin::comes_from;
use crate::measure::{Expression, MetricName, MetricSpec, Operator, Statistic, Unit, UnitError, builtin};

/// A bound of a statistic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The statistic.
    pub statistic: Statistic,
    /// The comparison.
    pub operator: Operator,
    /// The bound, in the unit of the value.
    pub value: f64,
}

impl Bound {
    /// The bound of an expression on a metric of this unit, in that unit; `None` for a growth.
    pub fn of(expression: &Expression, unit: Option<&Unit>) -> Result<Option<Self>, UnitError> {
        let Expression::Bound {
            statistic, operator, ..
        } = expression
        else {
            return Ok(None);
        };
        Ok(expression.bound_in(unit)?.map(|value| Self {
            statistic: *statistic,
            operator: *operator,
            value,
        }))
    }

    /// Whether a value holds it.
    pub fn holds(self, value: f64) -> bool {
        self.operator.holds(value, self.value)
    }
}

/// The unit of a metric: that in which vcluster measures it, else that of its description. A description that a file
/// declares comes after those of the topology.
pub fn unit_of(metric: &MetricName, metrics: &[MetricSpec]) -> Option<Unit> {
    if let Some((unit, _)) = builtin(metric) {
        return unit;
    }
    let exact = metrics.iter().filter(|spec| spec.name == *metric);
    let others = metrics.iter().filter(|spec| comes_from(metric, spec));
    exact.chain(others).find_map(|spec| spec.unit.clone())
}

/// The unit of the value that an expression compares: a number of samples has none, whatever the unit of the metric.
pub(super) fn unit_of_value(expression: &Expression, unit: Option<Unit>) -> Option<Unit> {
    match expression {
        Expression::Bound { statistic, .. } => unit.filter(|_| statistic.has_unit()),
        Expression::Growth { .. } => unit,
    }
}
