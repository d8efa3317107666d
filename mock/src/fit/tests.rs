//! Fits of times whose distribution is known, and the test of Smirnov against published values.

use super::*;

/// The quantiles of a distribution at equal steps, which are as its times without chance.
fn times(count: usize, quantile: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut times: Vec<f64> = (0..count)
        .map(|number| quantile((number as f64 + 0.5) / count as f64))
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The quantile of the standard normal distribution; that of `Normal` is never negative, so it is moved.
fn z(share: f64) -> f64 {
    let moved = Distribution::Normal {
        mean: 100.0,
        stddev: 1.0,
    };
    moved.quantile(share) - 100.0
}

fn near(found: f64, wanted: f64, share: f64) -> bool {
    (found - wanted).abs() <= wanted.abs() * share
}

#[test]
fn times_of_a_lognormal_distribution_give_its_parameters_back() {
    let times = times(2_000, |share| 0.003 * (1.1 * z(share)).exp());
    let fitted = choose(&times).unwrap();
    let Distribution::Lognormal { median, sigma } = fitted.shape else {
        panic!("{fitted:?}");
    };
    assert!(near(median, 0.003, 0.02) && near(sigma, 1.1, 0.03), "{fitted:?}");
    assert!(fitted.distance < 0.01, "{fitted:?}");
}

#[test]
fn the_other_distributions_are_recognised_too() {
    let uniform = times(2_000, |share| 0.002 + 0.01 * share);
    assert_eq!(name(&choose(&uniform).unwrap().shape), "uniform");
    let normal = times(2_000, |share| 0.050 + 0.004 * z(share));
    let fitted = choose(&normal).unwrap();
    let Distribution::Normal { mean, stddev } = fitted.shape else {
        panic!("{fitted:?}");
    };
    assert!(near(mean, 0.050, 0.01) && near(stddev, 0.004, 0.02), "{fitted:?}");
    let constant = vec![0.005; 100];
    let fitted = choose(&constant).unwrap();
    assert_eq!(fitted.shape, Distribution::Constant(0.005));
    assert!(fitted.distance < 1e-9, "{fitted:?}");
}

#[test]
fn two_peaks_are_no_known_distribution() {
    let times = times(2_000, |share| {
        if share < 0.7 {
            0.001 + share * 1e-4
        } else {
            0.2 + share * 0.01
        }
    });
    assert_eq!(choose(&times), None);
}

#[test]
fn a_distribution_with_a_wrong_tail_is_not_chosen() {
    // One and a half percent of slow requests hardly change the distance, but the p99 is ten times as high.
    let slow = |share: f64| {
        if share < 0.985 {
            0.010 * z(share / 0.985).exp()
        } else {
            1.0
        }
    };
    let times = times(2_000, slow);
    let close = fit(&times)
        .into_iter()
        .find(|fitted| fitted.distance <= BOUND)
        .unwrap();
    assert!(close.tail.is_some_and(|tail| tail < 1.0 - TAIL), "{close:?}");
    assert_eq!(choose(&times), None);
}

#[test]
fn rounding_to_milliseconds_does_not_count_as_a_distance() {
    let rounded = times(2_000, |share| (20.0 * (0.4 * z(share)).exp()).round() / 1_000.0);
    assert!(near(resolution(&rounded), 1e-3, 1e-9));
    let fitted = choose(&rounded).unwrap();
    assert_eq!(name(&fitted.shape), "lognormal");
    assert!(fitted.distance < 0.02, "{fitted:?}");
}

#[test]
fn nothing_and_zero_and_one_time_are_no_panic() {
    assert_eq!(choose(&[]), None);
    assert!(quantile(&[], 0.5).abs() < f64::EPSILON);
    assert_eq!(choose(&[0.0; 40]).unwrap().shape, Distribution::Constant(0.0));
    assert_eq!(choose(&[0.25]).unwrap().shape, Distribution::Constant(0.25));
    // A single request of many took no time at all: no logarithm of zero.
    let mut some = vec![0.0];
    some.extend((1..100).map(|number| f64::from(number) * 1e-3));
    assert!(fit(&some).iter().all(|fitted| fitted.distance.is_finite()));
}

#[test]
fn quantiles_are_recorded_times() {
    let times = [1.0, 2.0, 3.0, 4.0];
    for (share, wanted) in [
        (0.0, 1.0),
        (0.25, 1.0),
        (0.5, 2.0),
        (0.51, 3.0),
        (1.0, 4.0),
        (7.0, 4.0),
    ] {
        assert!(near(quantile(&times, share), wanted, 1e-12), "{share}");
    }
}

#[test]
fn the_distance_of_two_sets_is_the_one_counted_by_hand() {
    // Up to 2 there are 2 of 4 and none of 2; up to 4 all of 4 and 1 of 2.
    assert!(near(two_samples(&[1.0, 2.0, 3.0, 4.0], &[3.0, 9.0]), 0.5, 1e-12));
    assert!(two_samples(&[1.0, 1.0, 2.0], &[1.0, 1.0, 2.0]).abs() < 1e-12);
    assert!(near(two_samples(&[1.0], &[2.0]), 1.0, 1e-12));
    assert!(two_samples(&[], &[2.0]).abs() < 1e-12);
}

#[test]
fn critical_values_and_probabilities_are_those_of_the_published_table() {
    // 1.358 and 1.628 for 5 % and 1 % (Smirnov 1948).
    assert!(near(
        critical(100.0, 100.0, 0.05),
        1.358 * (0.02_f64).sqrt(),
        0.001
    ));
    assert!(near(critical(f64::INFINITY, 100.0, 0.01), 0.1628, 0.001));
    assert!(critical(0.0, 10.0, 0.05).is_infinite());
    // The limiting distribution: 0.05 at 1.3581, 0.01 at 1.6276, 0.27 at 1.
    assert!(near(p_value(0.13581, f64::INFINITY, 100.0), 0.05, 0.001));
    assert!(near(p_value(0.16276, 100.0, f64::INFINITY), 0.01, 0.001));
    assert!(near(p_value(0.1, f64::INFINITY, 100.0), 0.270, 0.001));
    assert!(near(p_value(0.0, 10.0, 10.0), 1.0, 1e-12));
}
