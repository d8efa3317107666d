//! What a model predicts for a size that was not measured, how far that can be off, and whether it deserves
//! trust.

use std::iter::once;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::growth_fit::{Fit, Model, ROUNDING, fit};
use super::hypotheses::{is_constant, term};
use super::interval::Interval;
use super::least_squares::line;
use super::series::{Point, Series};
use crate::measure::median;

/// The share of medians at the predicted size that the interval of a model is to have.
const CONFIDENCE: f64 = 0.95;

/// How often a model is fitted again: each end of its interval then has 10 outcomes beyond it.
const RESAMPLES: usize = 400;

/// A prediction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The value of the best model.
    pub value: f64,
    /// Where the median of as many runs as were measured is expected.
    pub interval: Interval,
}

/// A prediction for the largest measured size from all others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// The size that was left out.
    pub size: f64,
    /// What the others predict for it.
    pub predicted: f64,
    /// Where its median is expected.
    pub interval: Interval,
    /// The median that was measured.
    pub measured: f64,
    /// Whether it lies in the interval, up to rounding. If not, no prediction for a larger size deserves trust.
    pub inside: bool,
}

impl Fit {
    /// The value at a size, with an interval in which the median of as many runs as were measured is expected
    /// with a probability of 95 %. `points` are those that were fitted; without any, nothing is known.
    ///
    /// The interval has the uncertainty of the values, by the residual bootstrap (Efron and Tibshirani 1993,
    /// chapter 9): values are drawn from a model and its residuals, the model is fitted to them, and a
    /// residual is added to its prediction. It has that of the choice of the model as well: it spans the
    /// intervals of all models that are possible by the data. It does not have what no measurement tells:
    /// that something else happens at larger sizes.
    ///
    /// If all values are above 0, the interval does not reach below 0, unless the prediction does.
    pub fn predict(&self, points: &[Point], size: f64, seed: u64) -> Prediction {
        let value = self.best.at(size);
        let series = Series::of(points);
        if series.levels.is_empty() {
            return Prediction {
                value,
                interval: Interval::UNBOUNDED,
            };
        }
        let mut rng = Rng::with_seed(seed);
        let mut interval = Interval {
            low: value,
            high: value,
        };
        for model in once(&self.best).chain(&self.others) {
            let own = interval_of(model, &series, size, &mut rng);
            interval.low = interval.low.min(own.low);
            interval.high = interval.high.max(own.high);
        }
        let positive = |values: &[f64]| values.iter().all(|value| *value > 0.0);
        if series.levels.iter().all(|level| positive(&level.values)) {
            interval.low = interval.low.max(0.0).min(value);
        }
        Prediction { value, interval }
    }
}

/// The interval of one model.
fn interval_of(model: &Model, series: &Series, size: f64, rng: &mut Rng) -> Interval {
    let (terms, weights) = (series.terms(model.growth), series.weights());
    let residuals = residuals(model, series);
    let predicted_term = term(model.growth, size);
    let mut outcomes: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn: Vec<f64> = series
                .levels
                .iter()
                .map(|level| {
                    let noise = median_of_drawn(&residuals, level.values.len(), rng);
                    model.at(level.size) + level.scale * noise
                })
                .collect();
            let (constant, factor) = line(&terms, &drawn, &weights);
            let center = constant + factor * predicted_term;
            let common = series.levels.first().map_or(0.0, |level| level.scale);
            let scale = if series.relative { center.abs() } else { common };
            center + scale * median_of_drawn(&residuals, series.repetitions(), rng)
        })
        .collect();
    Interval::central(&mut outcomes, CONFIDENCE)
}

/// The distances of all values from a model by their scale, widened to make up for those that the fit has
/// taken away.
fn residuals(model: &Model, series: &Series) -> Vec<f64> {
    let parameters = if is_constant(model.growth) { 1 } else { 2 };
    let count = series.count();
    let widened = (count as f64 / count.saturating_sub(parameters).max(1) as f64).sqrt();
    let mut residuals = Vec::with_capacity(count);
    for level in &series.levels {
        let expected = model.at(level.size);
        residuals.extend(
            level
                .values
                .iter()
                .map(|value| widened * (value - expected) / level.scale),
        );
    }
    residuals
}

/// The median of residuals drawn with replacement; 0 without any.
fn median_of_drawn(residuals: &[f64], count: usize, rng: &mut Rng) -> f64 {
    if residuals.is_empty() {
        return 0.0;
    }
    let mut drawn: Vec<f64> = (0..count)
        .map(|_| residuals[rng.usize(..residuals.len())])
        .collect();
    drawn.sort_unstable_by(f64::total_cmp);
    median(&drawn).unwrap_or(0.0)
}

/// Predicts the median of the largest size from all others. `None` below 4 sizes, or if the others have no
/// model.
pub fn held_out(points: &[Point], seed: u64) -> Option<HeldOut> {
    let series = Series::of(points);
    let largest = series.levels.last()?;
    let rest: Vec<Point> = points
        .iter()
        .copied()
        .filter(|point| point.size < largest.size)
        .collect();
    let prediction = fit(&rest)?.predict(&rest, largest.size, seed);
    let Interval { low, high } = prediction.interval;
    // The interval of an exact series is a point.
    let rounding = ROUNDING * largest.median.abs().max(prediction.value.abs());
    let widened = Interval {
        low: low - rounding,
        high: high + rounding,
    };
    Some(HeldOut {
        size: largest.size,
        predicted: prediction.value,
        interval: prediction.interval,
        measured: largest.median,
        inside: widened.contains(largest.median),
    })
}

#[cfg(test)]
mod tests {
    // Also in the prelude of proptest.
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::random::standard_normal;

    fn measured(value: impl Fn(f64) -> f64, variation: f64, seed: u64) -> Vec<Point> {
        let mut rng = Rng::with_seed(seed);
        let mut points = Vec::new();
        for size in [10.0, 20.0, 40.0, 80.0, 150.0] {
            for _ in 0..5 {
                let noise = 1.0 + variation * standard_normal(&mut rng);
                points.push(Point {
                    size,
                    value: value(size) * noise,
                });
            }
        }
        points
    }

    #[test]
    fn an_exact_series_is_predicted_exactly() {
        let points = measured(|size| 2.0 + 0.5 * size, 0.0, 1);
        let prediction = fit(&points).unwrap().predict(&points, 1000.0, 1);
        assert!((prediction.value - 502.0).abs() < 1e-6, "{prediction:?}");
        let Interval { low, high } = prediction.interval;
        assert!(
            (low - 502.0).abs() < 1e-6 && (high - 502.0).abs() < 1e-6,
            "{prediction:?}"
        );
        let held_out = held_out(&points, 1).unwrap();
        assert_eq!((held_out.size, held_out.measured), (150.0, 77.0));
        assert!((held_out.predicted - 77.0).abs() < 1e-6, "{held_out:?}");
    }

    #[test]
    fn every_exact_series_has_its_largest_size_inside() {
        for constant in 0..=20 {
            for factor in 0..=20 {
                let value = |size: f64| f64::from(constant) + f64::from(factor) * size;
                let held_out = held_out(&measured(value, 0.0, 1), 1).unwrap();
                assert!(held_out.inside, "{constant} + {factor} n: {held_out:?}");
            }
        }
    }

    #[test]
    fn the_interval_spans_what_all_possible_models_predict() {
        let points = measured(|size| size * size.log2(), 0.05, 3);
        let fitted = fit(&points).unwrap();
        assert!(!fitted.others.is_empty());
        let prediction = fitted.predict(&points, 1000.0, 1);
        for model in &fitted.others {
            assert!(
                prediction.interval.contains(model.at(1000.0)),
                "{prediction:?}, {model:?}"
            );
        }
        assert!(prediction.interval.contains(prediction.value), "{prediction:?}");
        // The truth is 9,966, and the interval says something.
        assert!(prediction.interval.contains(9_966.0), "{prediction:?}");
        assert!(prediction.interval.high < 20_000.0, "{prediction:?}");
    }

    #[test]
    fn the_largest_size_mostly_lies_in_its_interval() {
        let inside = (0..20)
            .filter(|seed| {
                held_out(&measured(|size| size * size.log2(), 0.05, *seed), 1)
                    .unwrap()
                    .inside
            })
            .count();
        assert!(inside >= 17, "{inside} of 20");
    }

    #[test]
    fn a_break_at_the_largest_size_lies_outside_of_the_interval() {
        let kinked = measured(|size| if size > 100.0 { 20.0 * size } else { size }, 0.05, 1);
        let held_out = held_out(&kinked, 1).unwrap();
        assert!(!held_out.inside, "{held_out:?}");
        assert!(
            held_out.measured > 2_500.0 && held_out.interval.high < 1_000.0,
            "{held_out:?}"
        );
    }

    #[test]
    fn an_interval_of_values_above_zero_is_not_below_zero() {
        let points = measured(|size| 100.0 - 10.0 * size.log2(), 0.1, 2);
        let prediction = fit(&points).unwrap().predict(&points, 600.0, 1);
        assert!(
            prediction.interval.low >= 0.0_f64.min(prediction.value),
            "{prediction:?}"
        );
        assert!(prediction.interval.contains(prediction.value), "{prediction:?}");
    }

    #[test]
    fn too_few_sizes_cannot_be_held_out_and_no_points_say_nothing() {
        let three: Vec<Point> = measured(|size| size, 0.0, 1).into_iter().take(15).collect();
        assert_eq!(held_out(&three, 1), None);
        assert_eq!(held_out(&[], 1), None);
        let prediction = fit(&three).unwrap().predict(&[], 100.0, 1);
        assert_eq!(prediction.interval, Interval::UNBOUNDED);
    }

    #[test]
    fn equal_seeds_give_equal_intervals() {
        let points = measured(|size| size, 0.05, 1);
        let fitted = fit(&points).unwrap();
        assert_eq!(
            fitted.predict(&points, 300.0, 4),
            fitted.predict(&points, 300.0, 4)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]

        #[test]
        fn no_points_make_it_fail(
            points in prop::collection::vec((0..9_u32, -1e300..1e300_f64), 0..12),
            size in -10.0..1e9_f64,
        ) {
            let point = |(size, value): (u32, f64)| Point { size: f64::from(size), value };
            let points: Vec<Point> = points.into_iter().map(point).collect();
            if let Some(found) = held_out(&points, 1) {
                prop_assert!(found.inside || !found.interval.contains(found.measured));
            }
            if let Some(fitted) = fit(&points) {
                fitted.predict(&points, size, 1);
            }
        }
    }
}
