//! Whether two sides differ: a permutation test.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::rank_sum::{LARGEST_EXACT, doubled_midranks, ways_by_sum};

/// How many arrangements are drawn at least, where there are too many values for all of them.
pub(super) const RESAMPLES: usize = 10_000;

/// More arrangements than these take too long.
const MOST_RESAMPLES: f64 = 1e6;

/// The result of a permutation test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Permutation {
    /// The share of all arrangements of the values into two sides that differ at least as much as those
    /// given: how surprising the difference is if the sides are the same. Above 0, at most 1.
    pub p: f64,
    /// Whether all arrangements were counted, not a sample of them.
    pub exact: bool,
}

/// The two-sided permutation test of two sides by their rank sum, with midranks for equal values (Wilcoxon
/// 1945; Mann and Whitney 1947; Lehmann 1975, "Nonparametrics", chapter 1).
///
/// The statistic is the distance of the rank sum from its mean. The difference of medians would be the
/// obvious one, but cannot serve: for 5 + 5 values that are completely apart, 12 of the 252 arrangements have
/// the largest difference of medians, so that p could not fall below 0.048. With the rank sum these are 2, p
/// = 0.0079. Unlike the difference of means it is robust: a single run that takes ten times as long counts as
/// the longest, not more. The effect is still given as the difference of medians.
///
/// Up to 80 values all arrangements are counted. Above, `draws` of them are drawn (see [`draws`]), and p is
/// `(hits + 1) / (draws + 1)` (Phipson and Smyth 2010, "Permutation p-values should never be zero"). If a side is
/// empty, p is 1.
pub fn permutation_p(a: &[f64], b: &[f64], seed: u64, draws: usize) -> Permutation {
    if a.is_empty() || b.is_empty() {
        return Permutation { p: 1.0, exact: true };
    }
    let mut ranks = doubled_midranks(a, b);
    // The ranks of both sides have a fixed sum, so that one side is enough: the smaller.
    if b.len() < a.len() {
        ranks.rotate_left(a.len());
    }
    let count = a.len().min(b.len());
    let exact = ranks.len() <= LARGEST_EXACT;
    let p = if exact {
        exact_p(&ranks, count)
    } else {
        sampled_p(ranks, count, seed, draws)
    };
    Permutation { p, exact }
}

/// How many arrangements to draw if this many metrics are tested at `alpha`: at least 10,000, and enough that the
/// smallest possible p is a tenth of what Holm's adjustment asks of the first metric. 1,000,000 at most, which is enough
/// for 10,000 metrics at 0.01.
pub fn draws(metrics: usize, alpha: f64) -> usize {
    let wanted = (10.0 * metrics as f64 / alpha).min(MOST_RESAMPLES);
    wanted.max(RESAMPLES as f64) as usize
}

/// The mean of the sum of `count` of the doubled ranks, and the distance of that of the first ones from it.
fn observed(ranks: &[usize], count: usize) -> (usize, usize) {
    let mean = count * (ranks.len() + 1);
    let sum: usize = ranks[..count].iter().sum();
    (mean, sum.abs_diff(mean))
}

fn exact_p(ranks: &[usize], count: usize) -> f64 {
    let (mean, distance) = observed(ranks, count);
    let ways = ways_by_sum(ranks, count);
    let all: f64 = ways.iter().sum();
    let hits: f64 = ways
        .iter()
        .enumerate()
        .filter(|(sum, _)| sum.abs_diff(mean) >= distance)
        .map(|(_, ways)| ways)
        .sum();
    (hits / all).min(1.0)
}

fn sampled_p(mut ranks: Vec<usize>, count: usize, seed: u64, draws: usize) -> f64 {
    let (mean, distance) = observed(&ranks, count);
    let mut rng = Rng::with_seed(seed);
    let mut hits = 0_usize;
    for _ in 0..draws {
        for place in 0..count {
            let other = rng.usize(place..ranks.len());
            ranks.swap(place, other);
        }
        let sum: usize = ranks[..count].iter().sum();
        if sum.abs_diff(mean) >= distance {
            hits += 1;
        }
    }
    (hits + 1) as f64 / (draws + 1) as f64
}

#[cfg(test)]
mod tests {
    // Also in the prelude of proptest.
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::random::standard_normal;

    fn assert_p(a: &[f64], b: &[f64], expected: f64) {
        let found = permutation_p(a, b, 1, RESAMPLES);
        assert!(found.exact);
        assert!((found.p - expected).abs() < 1e-12, "{}, not {expected}", found.p);
    }

    /// Tables of the U test (Mann and Whitney 1947): 4 + 4 reach 0.0286 at best, 5 + 5 0.0079.
    #[test]
    fn complete_separation_has_the_smallest_p_of_the_published_table() {
        assert_p(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], 2.0 / 70.0);
        assert_p(
            &[1.0, 2.0, 3.0, 4.0, 5.0],
            &[6.0, 7.0, 8.0, 9.0, 10.0],
            2.0 / 252.0,
        );
        assert_p(
            &[6.0, 7.0, 8.0, 9.0, 10.0],
            &[1.0, 2.0, 3.0, 4.0, 5.0],
            2.0 / 252.0,
        );
    }

    /// Permeability constants of Hollander and Wolfe (1973, page 69), the example of R's `wilcox.test`: W =
    /// 35, one-sided p = 0.1272; all 3,003 arrangements counted separately: 764 are as extreme.
    #[test]
    fn the_published_example_has_its_p() {
        let term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let early = [1.15, 0.88, 0.90, 0.74, 1.21];
        assert_p(&term, &early, 764.0 / 3003.0);
        assert_p(&early, &term, 764.0 / 3003.0);
    }

    /// All arrangements counted by a separate program (Python, `itertools.combinations`).
    #[test]
    fn sides_of_unequal_length_and_ties_have_the_p_of_a_full_enumeration() {
        let (a, b) = ([5.1, 4.8, 5.0, 5.3, 4.9], [5.2, 5.6, 5.4, 4.95, 5.7, 5.5]);
        assert_p(&a, &b, 24.0 / 462.0);
        assert_p(
            &[1.0, 2.0, 2.0, 3.0, 3.0],
            &[2.0, 3.0, 4.0, 4.0, 5.0],
            28.0 / 252.0,
        );
    }

    #[test]
    fn equal_values_and_empty_sides_have_p_one() {
        assert_p(&[3.0; 5], &[3.0; 5], 1.0);
        assert_p(&[], &[1.0, 2.0], 1.0);
        assert_p(&[1.0], &[], 1.0);
        assert_p(&[1.0], &[2.0], 1.0);
    }

    #[test]
    fn an_outlier_counts_as_the_largest_value_and_no_more() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.5], [5.0, 6.0, 7.0, 8.0, 9.0]);
        let far = [5.0, 6.0, 7.0, 8.0, 9e9];
        let p = |b: &[f64]| permutation_p(&a, b, 1, RESAMPLES);
        assert_eq!(p(&b), p(&far));
    }

    #[test]
    fn drawn_arrangements_come_close_to_all_of_them() {
        let mut rng = Rng::with_seed(3);
        let a: Vec<f64> = (0..15).map(|_| standard_normal(&mut rng)).collect();
        let b: Vec<f64> = (0..15).map(|_| 0.5 + standard_normal(&mut rng)).collect();
        let ranks = doubled_midranks(&a, &b);
        let (exact, drawn) = (exact_p(&ranks, 15), sampled_p(ranks, 15, 1, RESAMPLES));
        assert!((exact - drawn).abs() < 0.02, "{exact} and {drawn}");
    }

    #[test]
    fn many_values_are_drawn_with_a_seed_and_p_is_never_zero() {
        let a: Vec<f64> = (0..50).map(f64::from).collect();
        let b: Vec<f64> = (50..100).map(f64::from).collect();
        let p = |b: &[f64]| permutation_p(&a, b, 9, RESAMPLES);
        let found = p(&b);
        assert!(!found.exact);
        assert!((found.p - 1.0 / 10_001.0).abs() < 1e-12, "{}", found.p);
        let c: Vec<f64> = (0..50).map(|at| f64::from(at) + 0.5).collect();
        assert_eq!(p(&c), p(&c));
    }

    #[test]
    fn more_metrics_need_more_draws_for_any_of_them_to_be_significant() {
        let a: Vec<f64> = (0..50).map(f64::from).collect();
        let b: Vec<f64> = (50..100).map(f64::from).collect();
        for (metrics, wanted) in [
            (0, 10_000),
            (1, 10_000),
            (10, 10_000),
            (101, 101_000),
            (1_000, 1_000_000),
        ] {
            let draws = draws(metrics, 0.01);
            assert_eq!(draws, wanted, "{metrics} metrics");
        }
        assert_eq!(draws(20_000, 0.01), 1_000_000);
        assert_eq!(draws(1, 0.0), 1_000_000);
        let found = permutation_p(&a, &b, 9, draws(101, 0.01));
        assert!(found.p * 101.0 < 0.01, "{}", found.p);
    }

    #[test]
    fn sides_of_one_population_are_rarely_called_different() {
        let mut rng = Rng::with_seed(42);
        let mut side = || -> Vec<f64> { (0..8).map(|_| 10.0 + standard_normal(&mut rng)).collect() };
        let alarms = (0..300)
            .filter(|_| permutation_p(&side(), &side(), 1, RESAMPLES).p < 0.01)
            .count();
        assert!(alarms <= 9, "{alarms} of 300");
    }

    #[test]
    fn a_large_change_is_nearly_always_called_different() {
        let mut rng = Rng::with_seed(43);
        let mut side = |mean: f64| -> Vec<f64> { (0..8).map(|_| mean + standard_normal(&mut rng)).collect() };
        let found = (0..100)
            .filter(|_| permutation_p(&side(10.0), &side(14.0), 1, RESAMPLES).p < 0.01)
            .count();
        assert!(found >= 98, "{found} of 100");
    }

    proptest! {
        #[test]
        fn p_is_a_probability_and_does_not_depend_on_the_order_of_the_sides(
            a in prop::collection::vec(-3..3_i32, 0..9),
            b in prop::collection::vec(-1e300..1e300_f64, 0..9),
        ) {
            let a: Vec<f64> = a.into_iter().map(f64::from).collect();
            let p = |a: &[f64], b: &[f64]| permutation_p(a, b, 1, RESAMPLES);
            let (forward, back) = (p(&a, &b), p(&b, &a));
            prop_assert!(0.0 < forward.p && forward.p <= 1.0);
            prop_assert!((forward.p - back.p).abs() < 1e-12);
        }
    }
}
