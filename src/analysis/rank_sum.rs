//! The rank sum of two sides, and its exact distribution if both are the same population.

/// Up to this many values the distribution of the rank sum is computed exactly; it takes about 10 ms then.
pub(super) const LARGEST_EXACT: usize = 80;

/// Twice the rank of each value of `a`, then of `b`, among all of them. Equal values share the mean of their
/// ranks (the midrank); doubled, these are whole numbers, so that sums compare without rounding.
pub(super) fn doubled_midranks(a: &[f64], b: &[f64]) -> Vec<usize> {
    let values: Vec<f64> = a.iter().chain(b).copied().collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|left, right| values[*left].total_cmp(&values[*right]));
    let mut ranks = vec![0; values.len()];
    let equal = |left: &usize, right: &usize| {
        let compared = values[*left].partial_cmp(&values[*right]);
        compared.is_some_and(std::cmp::Ordering::is_eq)
    };
    let mut before = 0;
    for ties in order.chunk_by(equal) {
        let last = before + ties.len();
        for place in ties {
            ranks[*place] = before + 1 + last;
        }
        before = last;
    }
    ranks
}

/// In how many ways `count` of the ranks can be chosen, by their sum. Counts above 2^53 are rounded.
pub(super) fn ways_by_sum(ranks: &[usize], count: usize) -> Vec<f64> {
    let largest: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0; largest + 1]; count + 1];
    ways[0][0] = 1.0;
    for (before, rank) in ranks.iter().enumerate() {
        // From the largest number down, so that a rank is not chosen twice.
        for chosen in (1..=count.min(before + 1)).rev() {
            let (fewer, more) = ways.split_at_mut(chosen);
            for (to, from) in more[0][*rank..].iter_mut().zip(&fewer[chosen - 1]) {
                *to += from;
            }
        }
    }
    ways.swap_remove(count)
}

/// The smallest number of pairs in which a value of one side exceeds one of the other (the U of Mann and
/// Whitney 1947) whose two-sided p without ties is below `alpha`; `None` if not even complete separation is.
pub(super) fn smallest_significant_u(a: usize, b: usize, alpha: f64) -> Option<usize> {
    let ranks: Vec<usize> = (1..=a + b).collect();
    let ways = ways_by_sum(&ranks, a);
    let all: f64 = ways.iter().sum();
    let least = a * (a + 1) / 2;
    let mut tail = 0.0;
    let mut smallest = None;
    for (sum, ways) in ways.iter().enumerate().skip(least).rev() {
        tail += ways;
        if 2.0 * tail / all >= alpha.min(1.0) {
            break;
        }
        // Sums above the largest possible one have no arrangement.
        if tail > 0.0 {
            smallest = Some(sum - least);
        }
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_the_mean_of_their_ranks() {
        // Ranks 1, 2.5, 4.5 and 2.5, 4.5, 6, doubled.
        assert_eq!(
            doubled_midranks(&[1.0, 2.0, 3.0], &[2.0, 3.0, 9.0]),
            [2, 5, 9, 5, 9, 12]
        );
        assert_eq!(doubled_midranks(&[0.0], &[-0.0]), [3, 3]);
        assert_eq!(doubled_midranks(&[], &[]), Vec::<usize>::new());
    }

    #[test]
    fn the_ways_of_a_small_set_are_those_counted_by_hand() {
        // Two of 1, 2, 3, 4: sums 3, 4, 5, 5, 6, 7.
        let ways = ways_by_sum(&[1, 2, 3, 4], 2);
        assert_eq!(ways, [0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn all_ways_together_are_the_binomial_coefficient() {
        let ranks: Vec<usize> = (1..=40).collect();
        let all: f64 = ways_by_sum(&ranks, 20).iter().sum();
        assert!((all - 137_846_528_820.0).abs() < 0.5, "{all}");
    }

    /// Critical values of Mann and Whitney's U, two-sided, as in the tables of textbooks (there as n * m - U,
    /// p <= alpha): 5 + 5 at 0.05: 2, at 0.01: 0; 8 + 8: 13 and 7; 10 + 10: 23 and 16; 20 + 20: 127 and 105.
    #[test]
    fn the_critical_values_are_those_of_the_published_table() {
        for (runs, alpha, table) in [
            (5, 0.05, 2),
            (5, 0.01, 0),
            (8, 0.05, 13),
            (8, 0.01, 7),
            (10, 0.05, 23),
            (10, 0.01, 16),
            (20, 0.05, 127),
            (20, 0.01, 105),
        ] {
            let smallest = smallest_significant_u(runs, runs, alpha);
            assert_eq!(smallest, Some(runs * runs - table), "{runs} + {runs} at {alpha}");
        }
        assert_eq!(smallest_significant_u(4, 4, 0.01), None);
        assert_eq!(smallest_significant_u(3, 3, 0.05), None);
        assert_eq!(smallest_significant_u(0, 3, 0.05), None);
    }
}
