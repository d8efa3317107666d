//! One metric: its figures, and the verdict that follows from them.

use std::num::NonZero;

use super::outcome::{ChangeVerdict, CompareOptions, MetricComparison};
use super::rule::Rule;
use super::side::Side;
use crate::analysis::{self, Interval};
use crate::measure::{Better, MetricName, median};
use crate::runs::unit_of;

/// Figures that are equal up to rounding are equal: 2.1 is 5 % more than 2.
const ROUNDING: f64 = 1e-9;

/// A metric with its values and medians, not yet tested.
pub(super) fn described(
    metric: &MetricName,
    rule: &Rule<'_>,
    (first, second): (&Side, &Side),
    options: &CompareOptions,
) -> MetricComparison {
    let values = |side: &Side| -> Vec<f64> {
        let values = side.runs.iter().filter_map(|run| run.values.get(metric).copied());
        values.filter(|value| value.is_finite()).collect()
    };
    let (a, b) = (values(first), values(second));
    let (median_a, median_b) = (middle(&a), middle(&b));
    let note = match (a.is_empty(), b.is_empty()) {
        (false, false) => None,
        (true, true) => Some("no run has a value of it".to_owned()),
        (true, false) => Some(format!("no run of `{}` has a value of it", first.name)),
        (false, true) => Some(format!("no run of `{}` has a value of it", second.name)),
    };
    MetricComparison {
        metric: metric.clone(),
        statistic: rule.statistic,
        unit: rule.unit.cloned().or_else(|| {
            let run = second.runs.first().or(first.runs.first())?;
            unit_of(&run.record, metric)
        }),
        better: rule.better,
        a,
        b,
        median_a,
        median_b,
        change: analysis::relative_change(median_a, median_b),
        interval: unknown(),
        difference: None,
        p: f64::NAN,
        adjusted: f64::NAN,
        min_change: rule.min_change.unwrap_or(options.min_change),
        floor: rule.floor,
        detectable: None,
        verdict: ChangeVerdict::Inconclusive,
        runs_needed: None,
        accepted: None,
        expired: None,
        note,
    }
}

/// The median; not a number if there are no values.
fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    median(&sorted).unwrap_or(f64::NAN)
}

fn unknown() -> Interval {
    Interval {
        low: f64::NAN,
        high: f64::NAN,
    }
}

/// Whether both sides have values.
pub(super) fn has_both(metric: &MetricComparison) -> bool {
    !metric.a.is_empty() && !metric.b.is_empty()
}

/// Whether the smallest possible p of so many values can be significant among so many metrics.
pub(super) fn can_pass(a: usize, b: usize, metrics: usize, alpha: f64) -> bool {
    analysis::smallest_p(a, b, analysis::draws(metrics, alpha)) * (metrics as f64) < alpha
}

/// Does something with every metric, on all CPUs.
fn in_parallel(metrics: &mut [MetricComparison], work: impl Fn(&mut MetricComparison) + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = metrics.len().div_ceil(threads).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        for part in metrics.chunks_mut(share) {
            scope.spawn(move || part.iter_mut().for_each(work));
        }
    });
}

/// Tests and decides all metrics, of which both sides have so many.
pub(super) fn decide(judged: &mut [MetricComparison], tested: usize, options: &CompareOptions) {
    // That of the first step of Holm's adjustment.
    let alpha = options.alpha / tested.max(1) as f64;
    in_parallel(judged, |metric| {
        if has_both(metric) {
            figures(metric, alpha, options);
        }
    });
    let with_p: Vec<&mut MetricComparison> = judged.iter_mut().filter(|metric| has_both(metric)).collect();
    let p: Vec<f64> = with_p.iter().map(|metric| metric.p).collect();
    for (metric, adjusted) in with_p.into_iter().zip(analysis::holm(&p)) {
        metric.adjusted = adjusted;
    }
    in_parallel(judged, |metric| {
        if has_both(metric) {
            decide_one(metric, tested, alpha, options);
        }
    });
}

fn figures(metric: &mut MetricComparison, alpha: f64, options: &CompareOptions) {
    let (a, b) = (&metric.a[..], &metric.b[..]);
    metric.p = analysis::permutation_p(a, b, options.seed, analysis::draws(1, alpha)).p;
    // A smaller change would not count, however little the values vary.
    let counted = metric.floor.map_or(0.0, |floor| floor / metric.median_a.abs());
    metric.detectable = analysis::detectable(a, b, alpha)
        .map(|change| change.max(metric.min_change).max(counted))
        .filter(|change| change.is_finite());
    metric.interval = analysis::bootstrap_relative(a, b, options.seed, options.confidence);
    // A relative change from 0 says nothing.
    if metric.median_a == 0.0 || metric.floor.is_some() {
        let difference = analysis::bootstrap_difference(a, b, options.seed, options.confidence);
        metric.difference = Some(difference);
    }
}

/// Decides on a metric, among so many that were tested.
fn decide_one(metric: &mut MetricComparison, tested: usize, alpha: f64, options: &CompareOptions) {
    let (a, b) = (metric.a.len(), metric.b.len());
    if !can_pass(a, b, tested, options.alpha) {
        metric.note = Some(format!("too few runs have a value of it: {a} and {b}"));
        metric.runs_needed = Some(analysis::runs_needed(tested, options.alpha));
        return;
    }
    metric.verdict = verdict(metric, options.alpha);
    if metric.verdict == ChangeVerdict::Inconclusive {
        // What is there did not decide.
        metric.runs_needed = needed(metric, alpha).map(|needed| needed.max(a.min(b) + 1));
    }
}

/// The runs a side that would decide on a metric: that make a change of the smallest size that counts significant, or if
/// this one is smaller, that show it to be too small.
fn needed(metric: &MetricComparison, alpha: f64) -> Option<usize> {
    let runs = metric.a.len().min(metric.b.len());
    let difference = metric.median_b - metric.median_a;
    let relative = (!reaches(metric.change, metric.min_change, ROUNDING))
        .then(|| analysis::inside_with(metric.change, metric.interval, metric.min_change, runs));
    let absolute = metric
        .floor
        .filter(|floor| !reaches(difference, *floor, floor * ROUNDING))
        .map(|floor| analysis::inside_with(difference, metric.difference?, floor, runs));
    match (relative, absolute) {
        (None, None) => analysis::runs_to_decide(&metric.a, &metric.b, metric.min_change, alpha),
        // Either of them is enough.
        (relative, absolute) => relative.into_iter().chain(absolute).flatten().min(),
    }
}

/// The verdict of figures: a change counts if it is significant, and neither its relative nor its absolute size is too
/// small to matter. Sides are equal if one of the two certainly is too small.
fn verdict(metric: &MetricComparison, alpha: f64) -> ChangeVerdict {
    let difference = metric.median_b - metric.median_a;
    let counts = difference != 0.0
        && reaches(metric.change, metric.min_change, ROUNDING)
        && metric
            .floor
            .is_none_or(|floor| reaches(difference, floor, floor * ROUNDING));
    if metric.adjusted < alpha && counts {
        let rises = difference > 0.0;
        let should_rise = metric.better.unwrap_or_default() == Better::Higher;
        return if rises == should_rise {
            ChangeVerdict::Better
        } else {
            ChangeVerdict::Worse
        };
    }
    let is_below_floor = match (&metric.difference, metric.floor) {
        (Some(difference), Some(floor)) => within(difference, floor),
        _ => false,
    };
    if is_below_floor || within(&metric.interval, metric.min_change) {
        ChangeVerdict::Equal
    } else {
        ChangeVerdict::Inconclusive
    }
}

/// Whether a change in any direction is at least as large as the smallest one that counts.
fn reaches(change: f64, smallest: f64, rounding: f64) -> bool {
    change.abs() + rounding >= smallest
}

/// Whether an interval lies within a bound on both sides of 0.
fn within(interval: &Interval, bound: f64) -> bool {
    let bound = bound * (1.0 + ROUNDING);
    interval.low >= -bound && interval.high <= bound
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A metric with these figures, of which a change by 5 % counts.
    fn metric(median_a: f64, median_b: f64, adjusted: f64, interval: (f64, f64)) -> MetricComparison {
        MetricComparison {
            metric: "m".parse().unwrap(),
            statistic: crate::measure::Statistic::Median,
            unit: None,
            better: None,
            a: vec![median_a],
            b: vec![median_b],
            median_a,
            median_b,
            change: analysis::relative_change(median_a, median_b),
            interval: Interval {
                low: interval.0,
                high: interval.1,
            },
            difference: None,
            p: adjusted,
            adjusted,
            min_change: 0.05,
            floor: None,
            detectable: None,
            verdict: ChangeVerdict::Inconclusive,
            runs_needed: None,
            accepted: None,
            expired: None,
            note: None,
        }
    }

    #[test]
    fn a_change_of_exactly_the_smallest_that_counts_counts() {
        for (from, to) in [
            (100.0, 105.0),
            (2.0, 2.1),
            (1.2, 1.26),
            (0.3, 0.315),
            (10.0, 10.5),
        ] {
            let exact = metric(from, to, 0.001, (0.01, 0.2));
            assert_eq!(verdict(&exact, 0.01), ChangeVerdict::Worse, "{from} to {to}");
            let less = metric(from, from + (to - from) * 0.999, 0.001, (0.01, 0.2));
            assert_eq!(
                verdict(&less, 0.01),
                ChangeVerdict::Inconclusive,
                "{from} to less than {to}"
            );
        }
    }

    #[test]
    fn p_at_the_threshold_is_not_significant() {
        let at = metric(100.0, 120.0, 0.01, (0.1, 0.3));
        assert_eq!(verdict(&at, 0.01), ChangeVerdict::Inconclusive);
        let below = metric(100.0, 120.0, 0.009_999, (0.1, 0.3));
        assert_eq!(verdict(&below, 0.01), ChangeVerdict::Worse);
    }

    #[test]
    fn the_direction_decides_between_worse_and_better() {
        for (better, to, wanted) in [
            (None, 120.0, ChangeVerdict::Worse),
            (None, 80.0, ChangeVerdict::Better),
            (Some(Better::Lower), 120.0, ChangeVerdict::Worse),
            (Some(Better::Higher), 120.0, ChangeVerdict::Better),
            (Some(Better::Higher), 80.0, ChangeVerdict::Worse),
        ] {
            let mut changed = metric(100.0, to, 0.001, (-1.0, 1.0));
            changed.better = better;
            assert_eq!(verdict(&changed, 0.01), wanted, "{better:?} to {to}");
        }
    }

    #[test]
    fn a_negative_value_that_rises_rises() {
        let rises = metric(-2.0, -1.0, 0.001, (0.4, 0.6));
        assert_eq!(verdict(&rises, 0.01), ChangeVerdict::Worse);
    }

    #[test]
    fn a_change_below_the_floor_does_not_count_and_one_at_it_does() {
        let mut changed = metric(1.0, 3.0, 0.001, (1.5, 2.5));
        changed.difference = Some(Interval { low: 1.5, high: 2.5 });
        for (floor, wanted) in [
            (1.0, ChangeVerdict::Worse),
            (2.0, ChangeVerdict::Worse),
            // More than was measured, but less than it may be.
            (2.2, ChangeVerdict::Inconclusive),
            // More than it can be.
            (2.5, ChangeVerdict::Equal),
            (9.0, ChangeVerdict::Equal),
        ] {
            changed.floor = Some(floor);
            assert_eq!(verdict(&changed, 0.01), wanted, "{floor}");
        }
    }

    #[test]
    fn sides_are_equal_only_if_all_of_the_interval_is_below_what_counts() {
        for (interval, wanted) in [
            ((-0.05, 0.05), ChangeVerdict::Equal),
            ((-0.01, 0.04), ChangeVerdict::Equal),
            ((0.01, 0.04), ChangeVerdict::Equal),
            ((-0.051, 0.01), ChangeVerdict::Inconclusive),
            ((-0.01, 0.051), ChangeVerdict::Inconclusive),
            ((f64::NAN, f64::NAN), ChangeVerdict::Inconclusive),
        ] {
            // A significant change that is too small to count does not make them different.
            for p in [0.5, 0.001] {
                let figures = metric(100.0, 102.0, p, interval);
                assert_eq!(verdict(&figures, 0.01), wanted, "{interval:?} {p}");
            }
        }
    }

    /// What is asked for if the sides have so many runs.
    fn decided(mut open: MetricComparison, runs: usize) -> (ChangeVerdict, Option<usize>) {
        open.a = vec![open.median_a; runs];
        open.b = vec![open.median_b; runs];
        let options = CompareOptions::new("2026-06-15T12:00:00Z".parse().unwrap());
        decide_one(&mut open, 1, options.alpha, &options);
        (open.verdict, open.runs_needed)
    }

    #[test]
    fn a_change_that_is_too_small_needs_the_runs_that_show_that_it_is() {
        for (change, interval, runs, wanted) in [
            (0.045, (0.025, 0.065), 20, Some(320)),
            (0.0, (-0.072, 0.072), 10, Some(21)),
            // More than are ever proposed.
            (0.049, (0.02, 0.08), 20, None),
        ] {
            // Whether it is significant makes no difference.
            for p in [0.5, 0.001] {
                let open = metric(100.0, 100.0 * (1.0 + change), p, interval);
                let found = decided(open, runs);
                assert_eq!(found, (ChangeVerdict::Inconclusive, wanted), "{change} {p}");
            }
        }
        let mut below_the_floor = metric(1.0, 3.0, 0.001, (1.5, 2.5));
        below_the_floor.difference = Some(Interval { low: 1.5, high: 2.5 });
        below_the_floor.floor = Some(2.2);
        assert_eq!(
            decided(below_the_floor, 10),
            (ChangeVerdict::Inconclusive, Some(63))
        );
    }

    #[test]
    fn nothing_measured_twice_is_no_change_even_if_every_change_counts() {
        let mut same = metric(5.0, 5.0, 0.001, (0.0, 0.0));
        same.min_change = 0.0;
        assert_eq!(verdict(&same, 0.01), ChangeVerdict::Equal);
    }
}
