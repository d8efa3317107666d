//! What series have which models: exact ones, noisy ones, odd ones.

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::analysis::random::standard_normal;

const SIZES: [f64; 5] = [10.0, 20.0, 40.0, 80.0, 150.0];

fn growth(text: &str) -> Growth {
    text.parse().unwrap()
}

/// Five sizes with `runs` values each that vary by a share around `value`.
fn measured(value: impl Fn(f64) -> f64, runs: usize, variation: f64, seed: u64) -> Vec<Point> {
    let mut rng = Rng::with_seed(seed);
    let mut points = Vec::new();
    for size in SIZES {
        for _ in 0..runs {
            let noise = 1.0 + variation * standard_normal(&mut rng);
            points.push(Point {
                size,
                value: value(size) * noise,
            });
        }
    }
    points
}

fn n_log_n(size: f64) -> f64 {
    size * size.log2()
}

#[test]
fn every_growth_is_found_in_its_exact_series() {
    for growth in hypotheses() {
        for runs in [1, 3] {
            let fitted = fit(&measured(|size| 3.0 + 0.5 * term(growth, size), runs, 0.0, 1)).unwrap();
            assert_eq!(fitted.best.growth, growth, "{growth}");
            assert!(fitted.others.is_empty(), "{growth}: {fitted:?}");
            let factor = if is_constant(growth) { 0.0 } else { 0.5 };
            assert!(
                (fitted.best.constant - 3.0).abs() < 1e-6,
                "{growth}: {:?}",
                fitted.best
            );
            assert!(
                (fitted.best.factor - factor).abs() < 1e-6,
                "{growth}: {:?}",
                fitted.best
            );
            assert!(fitted.best.error < 1e-9, "{growth}: {:?}", fitted.best);
            assert_eq!((fitted.sizes, fitted.repetitions), (5, runs));
        }
    }
}

/// Relative least squares of 3, 5, 6 at 1, 2, 3, and the mean squared leave-one-out error, in exact fractions
/// by a separate program (Python, `fractions`).
#[test]
fn the_line_of_a_small_series_is_that_of_a_separate_computation() {
    let points = [(1.0, 3.0), (2.0, 5.0), (3.0, 6.0)].map(|(size, value)| Point { size, value });
    let fitted = fit(&points).unwrap();
    let mut models = std::iter::once(&fitted.best).chain(&fitted.others);
    let linear = models.find(|model| model.growth == growth("n")).unwrap();
    assert!((linear.constant - 213.0 / 145.0).abs() < 1e-9, "{linear:?}");
    assert!((linear.factor - 231.0 / 145.0).abs() < 1e-9, "{linear:?}");
    assert!((linear.error.powi(2) - 67.0 / 1350.0).abs() < 1e-9, "{linear:?}");
}

/// The quantiles 0.995 of Student's t: 63.657, 2.845, 2.581 for 1, 20 and 1,000 degrees of freedom (any
/// table).
#[test]
fn the_quantiles_are_those_of_the_published_table() {
    for (freedom, expected) in [(1.0, 63.657), (20.0, 2.845), (1_000.0, 2.581)] {
        let quantile = StudentsT::new(0.0, 1.0, freedom).unwrap().inverse_cdf(0.995);
        assert!((quantile - expected).abs() < 1e-3, "{quantile}, not {expected}");
    }
}

#[test]
fn a_constant_series_with_noise_is_constant() {
    let mut constant = 0;
    let mut above = 0;
    for seed in 0..200 {
        let fitted = fit(&measured(|_| 20.0, 5, 0.05, seed)).unwrap();
        constant += usize::from(fitted.best.growth == Growth::CONSTANT);
        above += usize::from(fitted.is_above(Growth::CONSTANT) == Above::Yes);
        assert_ne!(fitted.is_above(growth("n log n")), Above::Yes);
    }
    assert!(constant >= 192, "{constant} of 200");
    assert!(above <= 6, "{above} of 200");
}

#[test]
fn a_noisy_series_of_n_log_n_is_not_called_above_n_log_n() {
    let mut above = 0;
    for seed in 0..200 {
        let fitted = fit(&measured(n_log_n, 5, 0.05, seed)).unwrap();
        above += usize::from(fitted.is_above(growth("n log n")) == Above::Yes);
        assert_eq!(fitted.is_above(growth("log n")), Above::Yes);
        assert_eq!(fitted.is_above(growth("n^2")), Above::No);
    }
    assert!(above <= 4, "{above} of 200");
}

#[test]
fn a_noisy_series_of_n_squared_is_always_called_above_n_log_n() {
    let mut above_itself = 0;
    for seed in 0..200 {
        let fitted = fit(&measured(|size| 100.0 + size * size, 5, 0.05, seed)).unwrap();
        assert_eq!(fitted.is_above(growth("n log n")), Above::Yes, "seed {seed}");
        above_itself += usize::from(fitted.is_above(growth("n^2")) == Above::Yes);
    }
    assert!(above_itself <= 4, "{above_itself} of 200");
}

#[test]
fn what_noise_hides_is_said_to_be_possible_too() {
    let fitted = fit(&measured(n_log_n, 5, 0.05, 3)).unwrap();
    let possible: Vec<String> = std::iter::once(&fitted.best)
        .chain(&fitted.others)
        .map(|model| model.growth.to_string())
        .collect();
    assert!(possible.contains(&"n log n".to_owned()), "{possible:?}");
    assert!((2..12).contains(&possible.len()), "{possible:?}");
    assert!(
        fitted
            .others
            .is_sorted_by(|left, right| left.error <= right.error)
    );
    assert_eq!(fitted.is_above(growth("n")), Above::Yes, "{possible:?}");
}

#[test]
fn an_outlier_among_the_repetitions_does_not_change_the_growth() {
    let mut points = measured(n_log_n, 5, 0.01, 5);
    points[2].value *= 30.0;
    points[24].value *= 10.0;
    let fitted = fit(&points).unwrap();
    assert_eq!(fitted.is_above(growth("n^1.5")), Above::No);
    assert_eq!(fitted.is_above(growth("log n")), Above::Yes);
}

#[test]
fn a_bound_that_is_no_hypothesis_is_judged_by_its_own_curve() {
    let exact = fit(&measured(n_log_n, 5, 0.0, 1)).unwrap();
    assert_eq!(exact.is_above(growth("n^1.1")), Above::Yes);
    // Between 10 and 150 n log n rises more than n^1.25, but the curves are the same to within 5 %.
    assert_eq!(exact.is_above(growth("n^1.25")), Above::No);
    assert_eq!(exact.is_above(growth("n^1.3")), Above::No);
    let noisy = fit(&measured(|size| size.powf(1.1), 5, 0.05, 4)).unwrap();
    assert_ne!(noisy.is_above(growth("n^1.1")), Above::Yes);
}

#[test]
fn a_growth_that_nobody_notices_is_not_above_constant() {
    let fitted = fit(&measured(|size| 100.0 + 0.01 * size, 5, 0.0, 1)).unwrap();
    assert_eq!(fitted.best.growth, growth("n"));
    assert_eq!(fitted.is_above(Growth::CONSTANT), Above::No);
}

#[test]
fn a_falling_series_is_above_nothing() {
    let fitted = fit(&measured(|size| 100.0 - 10.0 * size.log2(), 5, 0.01, 2)).unwrap();
    assert!(fitted.best.is_falling(), "{fitted:?}");
    assert_eq!(fitted.is_above(Growth::CONSTANT), Above::No);
}

#[test]
fn too_little_data_gives_no_model_or_no_certainty() {
    assert_eq!(fit(&[]), None);
    let pair = [1.0, 2.0].map(|size| Point { size, value: size });
    assert_eq!(fit(&pair), None);
    // Three sizes without repetitions: any growth is possible.
    let three = [10.0, 20.0, 40.0].map(|size| Point {
        size,
        value: size * size,
    });
    let fitted = fit(&three).unwrap();
    assert_eq!(fitted.best.growth, growth("n^2"));
    assert_eq!(fitted.others.len(), 42);
    assert_eq!(fitted.is_above(growth("n")), Above::CannotTell);
    // The same value three times is constant, though nothing is ruled out.
    let flat = [10.0, 20.0, 40.0].map(|size| Point { size, value: 7.0 });
    assert_eq!(fit(&flat).unwrap().best.growth, Growth::CONSTANT);
    assert_eq!(fit(&flat).unwrap().is_above(Growth::CONSTANT), Above::No);
}

#[test]
fn a_series_of_zeros_or_with_values_below_zero_has_a_model() {
    let zeros = fit(&measured(|_| 0.0, 5, 0.05, 1)).unwrap();
    assert_eq!((zeros.best.growth, zeros.others.len()), (Growth::CONSTANT, 0));
    let crossing = fit(&measured(|size| size - 50.0, 3, 0.0, 1)).unwrap();
    assert_eq!(crossing.best.growth, growth("n"));
    assert!(
        (crossing.best.constant + 50.0).abs() < 1e-6,
        "{:?}",
        crossing.best
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_points_make_it_fail(
        points in prop::collection::vec(
            (
                prop_oneof![(0..40_u32).prop_map(f64::from), 0.0..1e9_f64],
                prop_oneof![(-2..3_i32).prop_map(f64::from), -1e9..1e9_f64, -1e300..1e300_f64],
            ),
            0..16,
        ),
    ) {
        let points: Vec<Point> = points.into_iter().map(|(size, value)| Point { size, value }).collect();
        if let Some(fitted) = fit(&points) {
            prop_assert!(fitted.best.error.is_finite());
            prop_assert!(fitted.others.iter().all(|other| other.growth != fitted.best.growth));
            prop_assert!(fitted.others.len() <= 42);
            for bound in ["1", "n log n", "n^5"] {
                fitted.is_above(growth(bound));
            }
        }
    }
}
