//! The comparison itself: the family of metrics, whether there are enough runs, the verdicts, what is accepted.

use std::collections::{BTreeMap, BTreeSet};

use super::accepted::Accepted;
use super::assumptions::{self, Refusal};
use super::judge;
use super::outcome::{ChangeVerdict, CompareOptions, Comparison, MetricComparison, overall};
use super::side::Side;
use crate::analysis;
use crate::base::units::Moment;
use crate::measure::MetricName;

/// Compares two sides that were read together; the second is judged against the first.
pub fn compare(
    a: &Side,
    b: &Side,
    options: &CompareOptions,
    accepted: &[Accepted],
) -> Result<Comparison, Refusal> {
    let allowed = assumptions::check(a, b, &options.despite)?;
    let (mut judged, shown) = described(a, b, options);
    let tested = judged.iter().filter(|metric| judge::has_both(metric)).count();
    let runs = (a.runs.len(), b.runs.len());
    let missing_runs = missing(runs, tested, options.alpha);
    if missing_runs.is_none() {
        judge::decide(&mut judged, tested, options);
    }
    let variant = b.variant();
    for metric in &mut judged {
        if missing_runs.is_some() {
            metric.runs_needed = Some(analysis::runs_needed(tested, options.alpha));
        }
        accept(metric, accepted, &variant, options.now);
    }
    let names = |side: &Side| -> Vec<String> { side.runs.iter().map(|run| run.name.clone()).collect() };
    Ok(Comparison {
        a: a.name.clone(),
        b: b.name.clone(),
        runs,
        run_names: (names(a), names(b)),
        missing_runs,
        varied: allowed.varied,
        despite: allowed.despite,
        warnings: unused(accepted, &judged, &shown),
        verdict: overall(&judged),
        judged,
        shown,
        reproduce: Vec::new(),
    })
}

/// The metrics that are judged, and all others.
fn described(a: &Side, b: &Side, options: &CompareOptions) -> (Vec<MetricComparison>, Vec<MetricComparison>) {
    let rules = &b.rules;
    let mut metrics: BTreeSet<MetricName> = rules.judged();
    for run in a.runs.iter().chain(&b.runs) {
        metrics.extend(run.values.keys().cloned());
    }
    let (mut judged, mut shown) = (Vec::new(), Vec::new());
    for metric in &metrics {
        let rule = rules.rule(metric);
        let is_wanted = options.only.as_ref().is_none_or(|only| only.contains(metric));
        let described = judge::described(metric, &rule, (a, b), options);
        if rule.is_judged && is_wanted {
            judged.push(described);
        } else {
            shown.push(described);
        }
    }
    (judged, shown)
}

/// How many runs a side are missing to find anything among so many metrics.
fn missing((a, b): (usize, usize), metrics: usize, alpha: f64) -> Option<usize> {
    if metrics == 0 || judge::can_pass(a, b, metrics, alpha) {
        return None;
    }
    let needed = analysis::runs_needed(metrics, alpha);
    Some(needed.saturating_sub(a.min(b)).max(1))
}

/// Looks up whether a regression is accepted. Of several entries, one that is still valid decides.
fn accept(
    metric: &mut MetricComparison,
    accepted: &[Accepted],
    variant: &BTreeMap<String, String>,
    now: Moment,
) {
    if metric.verdict != ChangeVerdict::Worse {
        return;
    }
    let of_this = |entry: &&Accepted| {
        let is_variant = entry
            .variant
            .as_ref()
            .is_none_or(|wanted| wanted.matches(variant));
        entry.metric == metric.metric && is_variant
    };
    let (expired, valid): (Vec<&Accepted>, Vec<&Accepted>) = accepted
        .iter()
        .filter(of_this)
        .partition(|entry| entry.is_expired(now));
    match valid.first() {
        Some(entry) => metric.accepted = Some((*entry).clone()),
        None => metric.expired = expired.first().map(|entry| (*entry).clone()),
    }
}

/// Warnings about entries that can have no effect.
fn unused(accepted: &[Accepted], judged: &[MetricComparison], shown: &[MetricComparison]) -> Vec<String> {
    let is_among =
        |metrics: &[MetricComparison], name: &MetricName| metrics.iter().any(|metric| metric.metric == *name);
    let mut warnings = Vec::new();
    for Accepted { metric, .. } in accepted {
        if is_among(judged, metric) {
            continue;
        }
        warnings.push(if is_among(shown, metric) {
            format!(
                "a regression of `{metric}` is accepted, but `{metric}` is not judged: it has no criterion"
            )
        } else {
            format!("a regression of `{metric}` is accepted, but no run has a metric `{metric}`")
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn the_runs_that_are_needed_grow_with_the_number_of_metrics() {
        for (metrics, needed) in [(1, 5), (2, 6), (4, 6), (5, 7), (17, 7), (18, 8), (64, 8)] {
            for runs in 0..10 {
                let wanted = Some(needed - runs.min(needed)).filter(|missing| *missing > 0);
                assert_eq!(
                    missing((runs, runs), metrics, 0.01),
                    wanted,
                    "{metrics} metrics, {runs} runs"
                );
            }
        }
        // The side with fewer runs is the one that lacks some, unless the other makes up for it.
        assert_eq!(missing((3, 6), 1, 0.01), Some(2));
        assert_eq!(missing((4, 12), 1, 0.01), None);
        assert_eq!(missing((0, 40), 1, 0.01), Some(5));
        assert_eq!(missing((0, 0), 0, 0.01), None);
        // So many values that arrangements are drawn, and so many metrics that 10,000 of them would be too few.
        assert_eq!(missing((50, 50), 101, 0.01), None);
    }
}
