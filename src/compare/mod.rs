//! Comparing two sides of runs: whether they may be compared, which metrics are judged, and the verdict on each. Pure but
//! for reading the samples of stored runs ([`read`]) and the file of accepted regressions ([`read_accepted`]).
//!
//! Runs are the replicates, never the samples of one run: each run is reduced to one value per metric (`side.rs`). What
//! counts for a metric is in `rule.rs`, what must be equal in `assumptions.rs`, the figures of a metric and its verdict
//! in `judge.rs`. docs/compare.md has the rules in words.

mod accepted;
mod assumptions;
mod confirm;
mod decide;
#[cfg(test)]
pub(crate) mod fixture;
mod judge;
mod outcome;
mod rule;
mod side;
#[cfg(test)]
mod tests;
mod variant;

pub use accepted::{Accepted, AcceptedError, Day, DayError, read_accepted};
pub use assumptions::{Difference, Held, Refusal};
pub use confirm::{confirmed, to_confirm};
pub use decide::compare;
pub use outcome::{ChangeVerdict, CompareOptions, Comparison, MetricComparison};
pub use rule::Rules;
pub use side::{Side, SideRun, pairs, read, sides};
pub use variant::{Selector, SelectorError, covers, variant_text};
