//! How much values vary within groups.

use crate::measure::median;

/// Makes the median absolute difference of two values of a normal distribution its standard deviation:
/// `1 / (sqrt(2) * quantile(3/4))`.
const SHAMOS: f64 = 1.0483;

/// The standard deviation within groups, robust: from the median of the absolute differences of all pairs
/// within a group (Shamos 1976; Rousseeuw and Croux 1993, "Alternatives to the median absolute deviation").
/// Up to 29 % of outliers do not ruin it, and its efficiency for normal values is 86 %; the median absolute
/// deviation has 37 %, which is poor for a handful of runs. For 5 + 5 values it is 4 % too large on average.
/// Where more than half of the differences are 0, the usual pooled standard deviation; 0 if all values of
/// each group are equal.
pub(super) fn pooled(groups: &[&[f64]]) -> f64 {
    let mut differences = Vec::new();
    for group in groups {
        for (at, left) in group.iter().enumerate() {
            differences.extend(group[..at].iter().map(|right| (left - right).abs()));
        }
    }
    differences.sort_unstable_by(f64::total_cmp);
    let robust = SHAMOS * median(&differences).unwrap_or(0.0);
    if robust > 0.0 {
        return robust;
    }
    // The mean square of a difference is twice the variance.
    let squares: f64 = differences.iter().map(|difference| difference.powi(2)).sum();
    (squares / (2.0 * differences.len().max(1) as f64)).sqrt()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the results are exact")]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::analysis::random::standard_normal;

    #[test]
    fn it_is_the_median_of_the_differences_within_the_groups() {
        // Differences: 1, 2, 3 in the first group, 10 in the second: the median is 2.5.
        let spread = pooled(&[&[1.0, 2.0, 4.0], &[100.0, 110.0]]);
        assert!((spread - 1.0483 * 2.5).abs() < 1e-12, "{spread}");
    }

    #[test]
    fn it_estimates_the_standard_deviation_of_normal_values() {
        let mut rng = Rng::with_seed(7);
        let mut total = 0.0;
        for _ in 0..300 {
            let mut side =
                |mean: f64| -> Vec<f64> { (0..10).map(|_| mean + 3.0 * standard_normal(&mut rng)).collect() };
            let (a, b) = (side(50.0), side(80.0));
            total += pooled(&[&a, &b]);
        }
        let mean = total / 300.0;
        assert!((2.9..3.25).contains(&mean), "{mean}");
    }

    #[test]
    fn an_outlier_does_not_ruin_it() {
        let calm = pooled(&[&[10.0, 11.0, 9.0, 10.5, 9.5]]);
        let one = pooled(&[&[10.0, 11.0, 9.0, 10.5, 9_000.0]]);
        assert!(one < 3.0 * calm, "{calm} and {one}");
    }

    #[test]
    fn values_that_are_mostly_equal_have_a_spread_above_zero() {
        assert!((pooled(&[&[5.0, 5.0, 5.0, 5.0, 6.0]]) - 0.2_f64.sqrt()).abs() < 1e-12);
        assert_eq!(pooled(&[&[5.0, 5.0], &[7.0, 7.0]]), 0.0);
        assert_eq!(pooled(&[&[5.0], &[]]), 0.0);
        assert_eq!(pooled(&[]), 0.0);
    }
}
