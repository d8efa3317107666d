//! How large a difference is: intervals of the difference of two medians.

use fastrand::Rng;

use super::interval::Interval;
use crate::measure::median;

/// How often both sides are drawn again. The ends of a 95 % interval then rest on 250 outcomes each.
const RESAMPLES: usize = 10_000;

/// The relative change from one value to another, a share of the size of the first: 0.05 is 5 % more. 0 if
/// both are 0, and infinite if only the first is.
pub fn relative_change(from: f64, to: f64) -> f64 {
    let change = to - from;
    if change == 0.0 { 0.0 } else { change / from.abs() }
}

/// The interval of `median(b) - median(a)`, by the percentile bootstrap (Efron and Tibshirani 1993, chapter
/// 13): both sides are drawn again with replacement, and the outcomes outside of `confidence` (0.95: 95 %)
/// are left out. With fewer than 2 values on a side nothing is known of the spread: the interval is
/// unbounded.
///
/// Of few values it is coarse, because its ends are differences of measured values or of their means.
/// `cargo bench --bench statistics` prints how often it has the true change.
pub fn bootstrap_difference(a: &[f64], b: &[f64], seed: u64, confidence: f64) -> Interval {
    resampled(a, b, seed, confidence, |a, b| b - a)
}

/// The interval of the relative change from `median(a)` to `median(b)`, as [`bootstrap_difference`]. An end
/// is infinite where the median of `a` can be 0.
pub fn bootstrap_relative(a: &[f64], b: &[f64], seed: u64, confidence: f64) -> Interval {
    resampled(a, b, seed, confidence, relative_change)
}

fn resampled(a: &[f64], b: &[f64], seed: u64, confidence: f64, change: impl Fn(f64, f64) -> f64) -> Interval {
    if a.len() < 2 || b.len() < 2 {
        return Interval::UNBOUNDED;
    }
    let mut rng = Rng::with_seed(seed);
    let (mut a, mut b) = (Resampler::new(a), Resampler::new(b));
    let mut outcomes: Vec<f64> = (0..RESAMPLES)
        .map(|_| change(a.median(&mut rng), b.median(&mut rng)))
        .collect();
    Interval::central(&mut outcomes, confidence)
}

/// Draws a side again. Only how often each value was drawn is kept, in the order of the values: that gives
/// the median without sorting.
struct Resampler {
    sorted: Vec<f64>,
    drawn: Vec<usize>,
}

impl Resampler {
    fn new(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let drawn = vec![0; sorted.len()];
        Self { sorted, drawn }
    }

    /// The median of a new draw of as many values.
    fn median(&mut self, rng: &mut Rng) -> f64 {
        let count = self.sorted.len();
        self.drawn.fill(0);
        for _ in 0..count {
            self.drawn[rng.usize(..count)] += 1;
        }
        let middle = [self.drawn_at((count - 1) / 2), self.drawn_at(count / 2)];
        median(&middle).unwrap_or_default()
    }

    /// The drawn value at a place in their order, counted from 0.
    fn drawn_at(&self, place: usize) -> f64 {
        let mut before = 0;
        let found = self.sorted.iter().zip(&self.drawn).find(|(_, times)| {
            before += **times;
            place < before
        });
        found.map_or(0.0, |(value, _)| *value)
    }
}

#[cfg(test)]
mod tests {
    // Also in the prelude of proptest.
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::random::standard_normal;
    use crate::measure::Statistic;

    #[test]
    fn sides_of_equal_values_have_an_interval_of_one_point() {
        let (a, b) = ([10.0; 6], [12.0; 6]);
        assert_eq!(
            bootstrap_difference(&a, &b, 1, 0.95),
            Interval { low: 2.0, high: 2.0 }
        );
        assert_eq!(
            bootstrap_relative(&a, &b, 1, 0.95),
            Interval { low: 0.2, high: 0.2 }
        );
    }

    /// Of 3 values the median of a draw is the smallest with probability 7/27 (at least two of three draws
    /// are it), so the 95 % interval against a fixed side reaches from the smallest to the largest.
    #[test]
    fn the_interval_of_three_values_reaches_over_all_of_them() {
        let interval = bootstrap_difference(&[0.0; 3], &[1.0, 5.0, 7.0], 3, 0.95);
        assert_eq!(interval, Interval { low: 1.0, high: 7.0 });
        // 7/27 = 26 % lie at each end: the central 40 % are the one in the middle.
        let narrow = bootstrap_difference(&[0.0; 3], &[1.0, 5.0, 7.0], 3, 0.4);
        assert_eq!(narrow, Interval { low: 5.0, high: 5.0 });
    }

    #[test]
    fn too_few_values_and_a_median_of_zero_leave_the_ends_open() {
        assert_eq!(
            bootstrap_difference(&[], &[1.0, 2.0], 1, 0.95),
            Interval::UNBOUNDED
        );
        assert_eq!(bootstrap_difference(&[1.0], &[2.0], 1, 0.95), Interval::UNBOUNDED);
        let grown = bootstrap_relative(&[0.0, 0.0], &[1.0, 1.0], 1, 0.95);
        assert_eq!(
            grown,
            Interval {
                low: f64::INFINITY,
                high: f64::INFINITY
            }
        );
        let none = bootstrap_relative(&[0.0, 0.0], &[0.0, 0.0], 1, 0.95);
        assert_eq!(none, Interval { low: 0.0, high: 0.0 });
    }

    #[test]
    fn a_relative_change_of_negative_values_has_the_sign_of_the_change() {
        assert!((relative_change(100.0, 105.0) - 0.05).abs() < 1e-12);
        assert!((relative_change(-100.0, -95.0) - 0.05).abs() < 1e-12);
        assert!(relative_change(0.0, -1.0).is_infinite() && relative_change(0.0, -1.0) < 0.0);
    }

    #[test]
    fn equal_seeds_give_equal_intervals() {
        let (a, b) = ([1.0, 1.2, 0.9, 1.1, 1.05], [1.3, 1.25, 1.4, 1.1, 1.35]);
        let first = bootstrap_relative(&a, &b, 5, 0.95);
        assert_eq!(first, bootstrap_relative(&a, &b, 5, 0.95));
        assert!(
            first.low < first.high && first.contains(1.3 / 1.05 - 1.0),
            "{first:?}"
        );
    }

    #[test]
    fn it_mostly_has_the_true_difference() {
        let mut rng = Rng::with_seed(11);
        let mut side =
            |mean: f64| -> Vec<f64> { (0..10).map(|_| mean + standard_normal(&mut rng)).collect() };
        let inside = (0..25)
            .filter(|seed| {
                let (a, b) = (side(50.0), side(52.0));
                bootstrap_difference(&a, &b, *seed, 0.95).contains(2.0)
            })
            .count();
        assert!(inside >= 20, "{inside} of 25");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn no_values_make_it_fail(
            a in prop::collection::vec(-1e300..1e300_f64, 0..6),
            b in prop::collection::vec(-1e300..1e300_f64, 0..6),
            confidence in -1.0..2.0_f64,
        ) {
            let interval = bootstrap_difference(&a, &b, 1, confidence);
            prop_assert!(interval.low <= interval.high);
            let relative = bootstrap_relative(&a, &b, 1, confidence);
            prop_assert!(relative.low <= relative.high);
        }

        #[test]
        fn a_drawn_median_lies_within_the_values(values in prop::collection::vec(-1e6..1e6_f64, 1..9)) {
            let drawn = Resampler::new(&values).median(&mut Rng::with_seed(2));
            let (least, most) = (Statistic::Min.of(&values).unwrap(), Statistic::Max.of(&values).unwrap());
            prop_assert!((least..=most).contains(&drawn));
        }
    }
}
