//! What did not arrive from a node.

use crate::measure::MetricSource;
use crate::workload::{NodeResult, Unfetched};

/// What of a step on a node did not arrive, as its result says: samples of its metrics may be missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Missing<'a> {
    /// Bytes of its output that were lost: the files have holes of zeros there.
    pub lost: u64,
    /// The patterns of which files could not be fetched.
    pub unfetched: &'a [Unfetched],
}

impl<'a> Missing<'a> {
    /// What is missing according to the result of the step on the node.
    pub fn of(result: &'a NodeResult) -> Self {
        Self {
            lost: result.lost,
            unfetched: &result.unfetched,
        }
    }

    /// Why files of a source are missing; `None` if they are not.
    pub(super) fn why_unfetched(&self, source: &MetricSource) -> Option<&'a str> {
        let MetricSource::File(pattern) = source else {
            return None;
        };
        let mut unfetched = self.unfetched.iter();
        let found = unfetched.find(|unfetched| unfetched.pattern == *pattern)?;
        Some(&found.why)
    }
}
