//! Random numbers that a generator with a seed makes.

use std::f64::consts::TAU;

use fastrand::Rng;

/// A value of the standard normal distribution (Box and Muller 1958).
pub(super) fn standard_normal(rng: &mut Rng) -> f64 {
    // `1 - u` is above 0, so its logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_shares_are_those_of_the_table_of_the_normal_distribution() {
        let mut rng = Rng::with_seed(1);
        let values: Vec<f64> = (0..20_000).map(|_| standard_normal(&mut rng)).collect();
        for (bound, expected) in [
            (-1.96, 0.025),
            (-1.0, 0.1587),
            (0.0, 0.5),
            (1.0, 0.8413),
            (1.96, 0.975),
        ] {
            let below = values.iter().filter(|value| **value < bound).count() as f64 / 20_000.0;
            assert!(
                (below - expected).abs() < 0.012,
                "{below} below {bound}, not {expected}"
            );
        }
    }
}
