//! The test of Smirnov: whether two sets of times can be of the same distribution.

/// The largest difference between the shares of two sorted sets up to a value, 0 to 1. Zero if either is empty.
pub fn two_samples(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let (mut left, mut right) = (0, 0);
    let mut largest: f64 = 0.0;
    while let (Some(x), Some(y)) = (a.get(left), b.get(right)) {
        // Equal values of both sides are passed together.
        let value = x.min(*y);
        while a.get(left).is_some_and(|next| *next <= value) {
            left += 1;
        }
        while b.get(right).is_some_and(|next| *next <= value) {
            right += 1;
        }
        let difference = left as f64 / a.len() as f64 - right as f64 / b.len() as f64;
        largest = largest.max(difference.abs());
    }
    largest
}

/// The number of times of one set that is as good as two sets of these sizes; infinity stands for a distribution that
/// is known exactly.
fn effective(a: f64, b: f64) -> f64 {
    if a.is_infinite() {
        b
    } else if b.is_infinite() {
        a
    } else {
        a * b / (a + b)
    }
}

/// The distance that sets of these sizes exceed with the probability `alpha` if they are of the same distribution:
/// `sqrt(-ln(alpha / 2) / 2) * sqrt((a + b) / (a * b))`, which is 1.358 times the root for 5 % (Smirnov 1948, for large
/// sets; with equal values the true probability is lower).
pub fn critical(a: f64, b: f64, alpha: f64) -> f64 {
    let size = effective(a, b);
    if size <= 0.0 {
        return f64::INFINITY;
    }
    (-(alpha / 2.0).ln() / 2.0).sqrt() / size.sqrt()
}

/// The probability of at least this distance between sets of these sizes if they are of the same distribution:
/// `2 * sum((-1)^(k - 1) * exp(-2 k^2 x^2))` with the scaled distance `x` (Smirnov 1948, for large sets).
pub fn p_value(distance: f64, a: f64, b: f64) -> f64 {
    let scaled = distance * effective(a, b).max(0.0).sqrt();
    // The series does not converge there, and the probability is 1 up to rounding.
    if scaled < 0.2 {
        return 1.0;
    }
    let mut sum = 0.0;
    for k in 1..=100 {
        let k = f64::from(k);
        let term = (-2.0 * k * k * scaled * scaled).exp();
        sum += if k % 2.0 > 0.5 { term } else { -term };
        if term < 1e-12 {
            break;
        }
    }
    (2.0 * sum).clamp(0.0, 1.0)
}
