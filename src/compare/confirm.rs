//! A regression counts only if it is found again in runs that were made to confirm it.

use std::collections::BTreeSet;

use super::outcome::{ChangeVerdict, Comparison, MetricComparison, overall};
use crate::measure::MetricName;

/// The metrics to measure again: those that let the comparison fail. Empty if there is nothing to confirm.
pub fn to_confirm(comparison: &Comparison) -> BTreeSet<MetricName> {
    let failed = comparison.judged.iter().filter(|metric| metric.fails());
    failed.map(|metric| metric.metric.clone()).collect()
}

/// A comparison with what a second one of new runs says: what is worse in the first but not in the second is
/// inconclusive. The figures stay those of the first.
#[must_use]
pub fn confirmed(mut first: Comparison, again: &Comparison) -> Comparison {
    let is_confirmed = |metric: &MetricComparison| {
        let mut found = again.judged.iter().filter(|other| other.metric == metric.metric);
        found.any(|other| other.verdict == ChangeVerdict::Worse)
    };
    for metric in first.judged.iter_mut().filter(|metric| metric.fails()) {
        if is_confirmed(metric) {
            metric.note = Some("confirmed: it was measured again, and is worse again".to_owned());
        } else {
            metric.verdict = ChangeVerdict::Inconclusive;
            metric.expired = None;
            metric.note = Some("not confirmed: it was measured again, and is not worse then".to_owned());
        }
    }
    first.verdict = overall(&first.judged);
    first
}
