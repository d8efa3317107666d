//! What is measured and what must hold: metrics, units, samples, statistics, and the language of criteria. Pure: reads
//! no file and knows no topology.

mod builtin;
mod criterion;
mod expression;
pub mod figure;
#[cfg(test)]
pub(crate) mod fixture;
mod growth;
mod metric;
mod pattern;
mod sample;
mod statistic;
mod unit;

pub use builtin::builtin;
pub(crate) use builtin::{Builtin, BuiltinKind, MEASURED_VERBS, up_stages};
pub use criterion::{Abort, Criterion, Finding, Judgement, Severity};
pub use expression::{Expression, ExpressionError, Operator};
pub use growth::{Growth, GrowthError};
pub(crate) use metric::RESERVED;
pub use metric::{Better, MetricName, MetricNameError, MetricSource, MetricSpec, Reading};
pub use pattern::{PatternError, pattern};
pub use sample::Sample;
pub use statistic::{Statistic, StatisticError, median};
pub use unit::{Unit, UnitError, convert, split};
