//! How an experiment is shown while it runs, and when it will end.

use std::time::Duration;

use super::plan::Planned;
use crate::base::event::{Event, Events};
use crate::measure::Finding;
use crate::workload::Verdict;

/// Shows an experiment. Each of its parts (`up`, a run, `down`) is shown on its own.
pub trait Show {
    /// A part begins. Its events go where this returns.
    fn begin(&mut self, started: Event) -> Events;
    /// A part has ended, and all senders of its events are gone.
    fn end(&mut self) -> impl Future<Output = ()>;
    /// Where work goes of which only waits are shown.
    fn waits(&mut self) -> Events;
    /// A run has ended.
    fn run_ended(&mut self, progress: &Progress<'_>);
    /// What is worth knowing meanwhile.
    fn note(&mut self, text: &str);
}

/// A run that has ended, and what is left to do.
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// Its number, from 1.
    pub number: usize,
    /// How many runs there are, as far as known.
    pub total: usize,
    /// What it varied.
    pub planned: &'a Planned,
    /// Its name in the results.
    pub run: &'a str,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, without what was done before it.
    pub took: Duration,
    /// How long the runs that are left will take; `None` if none are left.
    pub remaining: Option<Duration>,
    /// Its criteria.
    pub findings: &'a [Finding],
}

impl Progress<'_> {
    /// How many runs are left.
    pub fn left(&self) -> usize {
        self.total.saturating_sub(self.number)
    }
}

/// How long further runs will take: as long each as the median of the runs so far, with what is done before them.
pub(super) fn remaining(so_far: &[Duration], left: usize) -> Option<Duration> {
    if left == 0 {
        return None;
    }
    let mut sorted = so_far.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    let median = (lower.saturating_add(upper)) / 2;
    Some(median.saturating_mul(u32::try_from(left).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_the_median_of_the_runs_so_far() {
        let s = Duration::from_secs;
        assert_eq!(remaining(&[s(10)], 3), Some(s(30)));
        assert_eq!(remaining(&[s(100), s(10), s(12)], 2), Some(s(24)));
        assert_eq!(remaining(&[s(10), s(20), s(90), s(12)], 2), Some(s(32)));
        assert_eq!(remaining(&[s(10)], 0), None);
        assert_eq!(remaining(&[], 2), None);
    }
}
