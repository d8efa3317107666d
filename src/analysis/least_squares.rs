//! The line through points with weights.

/// The constant and the factor of `constant + factor * term` with the least weighted sum of squared distances
/// from the values. A weight of 0 leaves a point out. Where all terms are equal, the factor is 0 and the
/// constant is the mean.
pub(super) fn line(terms: &[f64], values: &[f64], weights: &[f64]) -> (f64, f64) {
    let total: f64 = weights.iter().sum();
    let mean = |of: &[f64]| -> f64 {
        let weighted: f64 = of.iter().zip(weights).map(|(value, weight)| value * weight).sum();
        weighted / total
    };
    let (middle, height) = (mean(terms), mean(values));
    let (mut across, mut along) = (0.0, 0.0);
    for ((term, value), weight) in terms.iter().zip(values).zip(weights) {
        across += weight * (term - middle).powi(2);
        along += weight * (term - middle) * (value - height);
    }
    let factor = if across > 0.0 { along / across } else { 0.0 };
    (height - factor * middle, factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_line(found: (f64, f64), constant: f64, factor: f64) {
        let near = (found.0 - constant).abs() < 1e-9 && (found.1 - factor).abs() < 1e-9;
        assert!(near, "{found:?}, not {constant} and {factor}");
    }

    #[test]
    fn points_on_a_line_give_that_line_whatever_their_weights() {
        let (terms, values) = ([1.0, 2.0, 5.0], [5.0, 8.0, 17.0]);
        assert_line(line(&terms, &values, &[1.0, 1.0, 1.0]), 2.0, 3.0);
        assert_line(line(&terms, &values, &[0.1, 7.0, 2.0]), 2.0, 3.0);
    }

    /// By hand: means 2 and 3, sums (1 * 1 + 1 * 2) / 2 = 1.5.
    #[test]
    fn points_beside_a_line_give_the_line_of_least_squares() {
        assert_line(line(&[1.0, 2.0, 3.0], &[2.0, 2.0, 5.0], &[1.0; 3]), 0.0, 1.5);
        // A point of weight 2 is the same as the point twice.
        let twice = line(&[1.0, 2.0, 3.0, 3.0], &[2.0, 2.0, 5.0, 5.0], &[1.0; 4]);
        assert_line(
            line(&[1.0, 2.0, 3.0], &[2.0, 2.0, 5.0], &[1.0, 1.0, 2.0]),
            twice.0,
            twice.1,
        );
    }

    #[test]
    fn a_point_of_weight_zero_is_left_out() {
        assert_line(
            line(&[1.0, 2.0, 9.0], &[1.0, 2.0, 0.0], &[1.0, 1.0, 0.0]),
            0.0,
            1.0,
        );
    }

    #[test]
    fn equal_terms_give_the_mean() {
        assert_line(line(&[0.0, 0.0], &[1.0, 4.0], &[1.0, 2.0]), 3.0, 0.0);
    }
}
