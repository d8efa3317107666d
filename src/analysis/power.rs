//! What a comparison could have found, and how many runs it needs.

use std::f64::consts::PI;

use fastrand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};

use super::interval::Interval;
use super::permutation::draws;
use super::random::standard_normal;
use super::rank_sum::{LARGEST_EXACT, smallest_significant_u};
use super::spread;
use crate::measure::Statistic;

/// The probability with which a change is to be found, as is usual (Cohen 1988).
const POWER: f64 = 0.8;

/// Up to this many runs a side the power is simulated; above, the approximation is at most 4 % off.
const LARGEST_SIMULATED: usize = 30;

/// How many comparisons are simulated: their 80th percentile is off by about 1 %.
const SIMULATIONS: usize = 1_000;

/// More runs a side than this are not proposed.
const MOST_RUNS: usize = 1_000;

/// The smallest p that the permutation test can have for sides of this many values: `2 / C(a + b, a)`, that
/// of complete separation; 1 where a side is empty. Where arrangements are drawn, the smallest share of this
/// many draws.
pub fn smallest_p(a: usize, b: usize, draws: usize) -> f64 {
    if a == 0 || b == 0 {
        return 1.0;
    }
    let (few, many) = (a.min(b), a.max(b));
    // A thousand factors of at least 2 are more than any p needs.
    let factors = (1..=few.min(1_000)).map(|place| (many as f64 + place as f64) / place as f64);
    let separated = (2.0 / factors.product::<f64>()).min(1.0);
    if a.saturating_add(b) > LARGEST_EXACT {
        separated.max(1.0 / (draws as f64 + 1.0))
    } else {
        separated
    }
}

/// The runs a side with which one of this many metrics can be significant after Holm's adjustment: the
/// smallest p times the number of metrics must be below `alpha`. At 0.01: 5 for one metric, 6 for up to 4, 7
/// for up to 17, 8 for up to 64.
pub fn runs_needed(metrics: usize, alpha: f64) -> usize {
    let metrics = metrics.max(1);
    let draws = draws(metrics, alpha);
    (1..MOST_RUNS)
        .find(|runs| smallest_p(*runs, *runs, draws) * (metrics as f64) < alpha)
        .unwrap_or(MOST_RUNS)
}

/// The smallest relative change (0.05: 5 %) of the median of `a` that the permutation test finds with
/// probability 0.8 at this `alpha`, if the values vary as these do. For several metrics, `alpha` is that of
/// the first step of Holm: divided by their number. `None` if a side has fewer than 2 values, the median of
/// `a` is 0, or no p can be below `alpha`.
pub fn detectable(a: &[f64], b: &[f64], alpha: f64) -> Option<f64> {
    let variation = relative_spread(a, b)?;
    Some(detectable_shift(a.len(), b.len(), alpha)? * variation)
}

/// The runs a side with which a relative change of this size is found with probability 0.8 at this `alpha`,
/// if the values vary as these do. `None` if that cannot be said (as for [`detectable`]), or if it were more
/// than 1,000.
pub fn runs_to_decide(a: &[f64], b: &[f64], change: f64, alpha: f64) -> Option<usize> {
    let variation = relative_spread(a, b)?;
    if change.is_nan() || change <= 0.0 || !(0.0..1.0).contains(&alpha) {
        return None;
    }
    // Infinite if the values do not vary: then the smallest possible p decides.
    let shift = change / variation;
    // The approximation is a little too low for few runs, so that it is a place to start from.
    let first = approximate_runs(shift, alpha)?.max(runs_needed(1, alpha));
    let simulated = (first..=LARGEST_SIMULATED)
        .find(|runs| detectable_shift(*runs, *runs, alpha).is_some_and(|smallest| smallest <= shift));
    let runs = simulated.unwrap_or(first.max(LARGEST_SIMULATED + 1));
    (runs <= MOST_RUNS).then_some(runs)
}

/// The runs a side with which the interval of a change would lie within a bound on both sides of 0, if the change
/// stays and this many runs have given this interval: its width falls with the square root of the runs. `None` if
/// the change is not below the bound, the interval has no bounds, or it were more than 1,000.
pub fn inside_with(change: f64, interval: Interval, bound: f64, runs: usize) -> Option<usize> {
    let ends = [
        (interval.high - change, bound - change),
        (change - interval.low, bound + change),
    ];
    if ends
        .iter()
        .any(|(width, room)| !width.is_finite() || room.is_nan() || *room <= 0.0)
    {
        return None;
    }
    let ratios = ends.iter().map(|(width, room)| width / room);
    let widest = ratios.fold(0.0_f64, f64::max);
    // Without the rounding error of, say, 0.065 - 0.045.
    let needed = (runs as f64 * widest.powi(2) * (1.0 - 1e-9)).ceil();
    (needed <= MOST_RUNS as f64).then_some((needed as usize).max(1))
}

/// The common standard deviation of both sides as a share of the median of `a`.
fn relative_spread(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let median = Statistic::Median.of(a)?.abs();
    let variation = spread::pooled(&[a, b]) / median;
    (median > 0.0 && variation.is_finite()).then_some(variation)
}

/// The smallest shift between two normal populations, in standard deviations, that is found with probability
/// 0.8.
///
/// In a simulated comparison without a shift, the test finds a shift as soon as it moves enough of the pairs:
/// U exceeds its critical value if the shift exceeds the difference of the pair of that rank. So one
/// percentile over simulated comparisons is the answer, for the critical value of exactly these sides. The
/// usual approximation is too optimistic for few runs: 2.3 standard deviations for 5 + 5 runs at 0.01, where
/// it takes 3.1.
fn detectable_shift(a: usize, b: usize, alpha: f64) -> Option<f64> {
    if !(0.0..1.0).contains(&alpha) || smallest_p(a, b, draws(1, alpha)) >= alpha {
        return None;
    }
    if a > LARGEST_SIMULATED || b > LARGEST_SIMULATED {
        let (a, b) = (a as f64, b as f64);
        return Some(quantiles(alpha)? * (PI / 3.0 * (a + b + 1.0) / (a * b)).sqrt());
    }
    let critical = smallest_significant_u(a, b, alpha)?;
    let mut rng = Rng::with_seed(0);
    let mut side = |count: usize| -> Vec<f64> { (0..count).map(|_| standard_normal(&mut rng)).collect() };
    let mut shifts: Vec<f64> = (0..SIMULATIONS)
        .map(|_| {
            let (left, right) = (side(a), side(b));
            let mut differences: Vec<f64> = left
                .iter()
                .flat_map(|left| right.iter().map(move |right| left - right))
                .collect();
            *differences.select_nth_unstable_by(critical - 1, f64::total_cmp).1
        })
        .collect();
    let place = (POWER * SIMULATIONS as f64) as usize - 1;
    Some(*shifts.select_nth_unstable_by(place, f64::total_cmp).1)
}

/// The sum of the quantiles of the normal distribution in the approximation of the power of the rank sum test
/// (Lehmann 1975, "Nonparametrics", chapter 2): a shift of `d` standard deviations is found with probability
/// `Phi(d * sqrt(3 / pi * a * b / (a + b + 1)) - z(1 - alpha / 2))`. 3 / pi is its efficiency relative to the
/// t test.
fn quantiles(alpha: f64) -> Option<f64> {
    let normal = Normal::standard();
    let sum = normal.inverse_cdf(1.0 - alpha / 2.0) + normal.inverse_cdf(POWER);
    sum.is_finite().then_some(sum)
}

/// The runs a side for a shift by that approximation: `(2 n + 1) / n^2 = r` solved for n.
fn approximate_runs(shift: f64, alpha: f64) -> Option<usize> {
    let r = 3.0 / PI * (shift / quantiles(alpha)?).powi(2);
    let runs = (1.0 + (1.0 + r).sqrt()) / r;
    // Not a number for an infinite shift, which any number of runs finds: 0.
    Some(runs.ceil() as usize)
}

#[cfg(test)]
mod tests {
    // Also in the prelude of proptest.
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::permutation_p;

    /// Values with the median 100 and the (robust) standard deviation 10.
    fn varying() -> [f64; 3] {
        let step = 10.0 / 1.0483;
        [100.0 - step, 100.0, 100.0 + step]
    }

    /// The table of the U test: 4 + 4: 0.0286, 5 + 5: 0.0079; then 2 / C(12, 6), 2 / C(14, 7), 2 / C(16, 8).
    #[test]
    fn the_smallest_p_is_that_of_the_published_table() {
        for (a, b, expected) in [
            (4, 4, 2.0 / 70.0),
            (5, 5, 2.0 / 252.0),
            (6, 6, 2.0 / 924.0),
            (7, 7, 2.0 / 3432.0),
            (8, 8, 2.0 / 12870.0),
            (3, 5, 2.0 / 56.0),
            (5, 3, 2.0 / 56.0),
            (1, 1, 1.0),
            (0, 9, 1.0),
            (9, 0, 1.0),
            (60, 60, 1.0 / 10_001.0),
            (1, 99, 2.0 / 100.0),
        ] {
            let found = smallest_p(a, b, 10_000);
            assert!(
                (found - expected).abs() < 1e-12,
                "{a} + {b}: {found}, not {expected}"
            );
        }
        assert!(smallest_p(usize::MAX, usize::MAX, 10_000) > 0.0);
        assert!((smallest_p(60, 60, 1_000_000) - 1.0 / 1_000_001.0).abs() < 1e-12);
    }

    #[test]
    fn more_metrics_need_more_runs() {
        let runs = [0, 1, 2, 4, 5, 17, 18, 64, 65].map(|metrics| runs_needed(metrics, 0.01));
        assert_eq!(runs, [5, 5, 6, 6, 7, 7, 8, 8, 9]);
        assert_eq!(runs_needed(1, 0.05), 4);
        assert_eq!(runs_needed(1, 0.0), MOST_RUNS);
    }

    /// Simulated by a separate program (Python, 2,000 comparisons each, critical values of the published
    /// table).
    #[test]
    fn the_detectable_shift_is_that_of_a_separate_simulation() {
        for (runs, alpha, expected, tolerance) in [
            (5, 0.01, 3.08, 0.12),
            (8, 0.01, 2.09, 0.08),
            (10, 0.01, 1.77, 0.07),
            (10, 0.05, 1.41, 0.06),
            (20, 0.01, 1.16, 0.05),
        ] {
            let shift = detectable_shift(runs, runs, alpha).unwrap();
            assert!(
                (shift - expected).abs() < tolerance,
                "{runs} + {runs}: {shift}, not {expected}"
            );
        }
        assert_eq!(detectable_shift(4, 4, 0.01), None);
    }

    /// 1.95996 and 2.57583 are the quantiles of 0.975 and 0.995, 0.84162 is that of 0.8 (any table).
    #[test]
    fn many_runs_follow_the_published_approximation() {
        assert!((quantiles(0.05).unwrap() - (1.95996 + 0.84162)).abs() < 1e-4);
        assert!((quantiles(0.01).unwrap() - (2.57583 + 0.84162)).abs() < 1e-4);
        // 3.41745 * sqrt(1.04720 * 201 / 10000).
        let shift = detectable_shift(100, 100, 0.01).unwrap();
        assert!((shift - 0.4958).abs() < 1e-3, "{shift}");
    }

    #[test]
    fn a_change_of_the_detectable_size_is_found_four_times_of_five() {
        let shift = detectable_shift(8, 8, 0.01).unwrap();
        let mut rng = Rng::with_seed(77);
        let mut side = |mean: f64| -> Vec<f64> { (0..8).map(|_| mean + standard_normal(&mut rng)).collect() };
        let found = (0..300)
            .filter(|_| permutation_p(&side(0.0), &side(shift), 1, draws(1, 0.01)).p < 0.01)
            .count();
        assert!((216..=264).contains(&found), "{found} of 300");
    }

    #[test]
    fn the_detectable_change_is_relative_to_the_median() {
        let values = varying();
        let many: Vec<f64> = values.iter().cycle().take(30).copied().collect();
        let small = detectable(&many, &many, 0.01).unwrap();
        let tenfold: Vec<f64> = many.iter().map(|value| value * 10.0).collect();
        assert!((detectable(&tenfold, &tenfold, 0.01).unwrap() - small).abs() < 1e-9);
        // About 0.95 standard deviations of 10 %.
        assert!((0.07..0.11).contains(&small), "{small}");
    }

    /// The shift of 2 standard deviations: 2.1 are needed with 8 runs a side, 1.9 with 9 (simulated
    /// separately).
    #[test]
    fn a_change_of_20_percent_at_10_percent_variation_needs_9_runs() {
        assert_eq!(runs_to_decide(&varying(), &varying(), 0.2, 0.01), Some(9));
    }

    #[test]
    fn small_changes_need_many_runs_and_large_ones_the_fewest_possible() {
        let values = varying();
        // By the approximation: r = 3 / pi * (0.5 / 3.41745)^2 = 0.02044, (1 + sqrt(1 + r)) / r = 98.3.
        assert_eq!(runs_to_decide(&values, &values, 0.05, 0.01), Some(99));
        assert_eq!(runs_to_decide(&values, &values, 1e-6, 0.01), None);
        assert_eq!(runs_to_decide(&values, &values, 50.0, 0.01), Some(5));
        assert_eq!(runs_to_decide(&[7.0; 3], &[7.0; 3], 0.05, 0.01), Some(5));
    }

    #[test]
    fn of_hundreds_of_metrics_one_can_be_significant_with_many_runs() {
        let alpha = 0.01 / 500.0;
        let shift = detectable_shift(50, 50, alpha).unwrap();
        // By the approximation: (4.2649 + 0.8416) * sqrt(1.04720 * 101 / 2500).
        assert!((shift - 1.0503).abs() < 1e-2, "{shift}");
        assert_eq!(runs_needed(500, 0.01), 10);
    }

    #[test]
    fn an_interval_shrinks_with_the_square_root_of_the_runs() {
        let inside =
            |change: f64, low: f64, high: f64, runs| inside_with(change, Interval { low, high }, 0.05, runs);
        // The upper end must come four times as close.
        assert_eq!(inside(0.045, 0.025, 0.065, 20), Some(320));
        assert_eq!(inside(-0.045, -0.065, -0.025, 20), Some(320));
        assert_eq!(inside(0.0, -0.072, 0.072, 10), Some(21));
        // What lies within it already needs no more.
        assert_eq!(inside(0.0, -0.05, 0.05, 10), Some(10));
        assert_eq!(inside(0.0, 0.0, 0.0, 10), Some(1));
        for (change, low, high) in [
            (0.05, 0.04, 0.06),
            (0.07, 0.04, 0.1),
            (0.049, 0.02, 0.08),
            (0.0, f64::NEG_INFINITY, 0.1),
            (0.0, f64::NAN, 0.1),
            (f64::NAN, -0.1, 0.1),
            (f64::INFINITY, 0.0, f64::INFINITY),
        ] {
            assert_eq!(inside(change, low, high, 20), None, "{change}");
        }
    }

    #[test]
    fn nothing_is_said_without_values_to_judge_by() {
        assert_eq!(detectable(&[1.0], &[1.0, 2.0], 0.01), None);
        assert_eq!(detectable(&[], &[], 0.01), None);
        assert_eq!(detectable(&[-1.0, 0.0, 1.0], &[1.0, 2.0, 3.0], 0.05), None);
        assert_eq!(detectable(&[7.0; 5], &[7.0; 5], 0.01), Some(0.0));
        assert_eq!(detectable(&[7.0; 4], &[7.0; 4], 0.01), None);
        assert_eq!(runs_to_decide(&[1.0], &[2.0], 0.05, 0.01), None);
        assert_eq!(runs_to_decide(&varying(), &varying(), 0.0, 0.01), None);
        assert_eq!(runs_to_decide(&varying(), &varying(), 0.05, 0.0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn no_values_make_it_fail(
            a in prop::collection::vec(-1e300..1e300_f64, 0..7),
            b in prop::collection::vec(0.0..2.0_f64, 0..7),
            alpha in -0.5..1.5_f64,
            change in -1.0..10.0_f64,
        ) {
            for smallest in [detectable(&a, &b, alpha), detectable(&b, &a, alpha)].into_iter().flatten() {
                prop_assert!(smallest >= 0.0 || alpha > 0.5);
            }
            for runs in [runs_to_decide(&a, &b, change, alpha), runs_to_decide(&b, &a, change, alpha)] {
                prop_assert!(runs.is_none_or(|runs| (1..=MOST_RUNS).contains(&runs)));
            }
        }
    }
}
