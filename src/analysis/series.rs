//! Measured values by size, as the models see them.

use super::hypotheses::term;
use super::spread;
use crate::measure::{Growth, median};

/// The smallest median, as a share of the largest, with which distances are still relative to the median of
/// their size.
const SMALLEST_SHARE: f64 = 1e-9;

/// The value of one run at one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The size, at least 1.
    pub size: f64,
    /// The value, finite.
    pub value: f64,
}

/// The values of all runs at one size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Level {
    pub(super) size: f64,
    /// In ascending order; never empty.
    pub(super) values: Vec<f64>,
    pub(super) median: f64,
    /// What distances at this size are divided by.
    pub(super) scale: f64,
}

/// All sizes, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) levels: Vec<Level>,
    /// Whether distances are relative to the median of their size: where all medians are above 0. Times and
    /// counts vary by a share of themselves, so that otherwise only the largest size would count. Else they
    /// are relative to the mean size of all medians.
    pub(super) relative: bool,
}

impl Series {
    /// Points with a size below 1 or numbers that are not finite are left out.
    pub(super) fn of(points: &[Point]) -> Self {
        let usable = |point: &&Point| point.size.is_finite() && point.size >= 1.0 && point.value.is_finite();
        let mut points: Vec<Point> = points.iter().filter(usable).copied().collect();
        points.sort_by(|left, right| {
            let by_size = left.size.total_cmp(&right.size);
            by_size.then(left.value.total_cmp(&right.value))
        });
        let mut levels: Vec<Level> = points
            .chunk_by(|left, right| left.size.total_cmp(&right.size).is_eq())
            .map(|runs| {
                let values: Vec<f64> = runs.iter().map(|point| point.value).collect();
                let median = median(&values).unwrap_or_default();
                Level {
                    size: runs[0].size,
                    values,
                    median,
                    scale: median,
                }
            })
            .collect();
        let least = levels
            .iter()
            .map(|level| level.median)
            .fold(f64::INFINITY, f64::min);
        let most = levels.iter().map(|level| level.median).fold(0.0, f64::max);
        let relative = least > 0.0 && least >= SMALLEST_SHARE * most;
        if !relative {
            let count = levels.len() as f64;
            let mean: f64 = levels.iter().map(|level| level.median.abs() / count).sum();
            for level in &mut levels {
                level.scale = if mean > 0.0 { mean } else { 1.0 };
            }
        }
        Self { levels, relative }
    }

    /// The number of values.
    pub(super) fn count(&self) -> usize {
        self.levels.iter().map(|level| level.values.len()).sum()
    }

    /// The fewest values of a size.
    pub(super) fn repetitions(&self) -> usize {
        let counts = self.levels.iter().map(|level| level.values.len());
        counts.min().unwrap_or(0)
    }

    /// The terms of a growth at the sizes.
    pub(super) fn terms(&self, growth: Growth) -> Vec<f64> {
        self.levels.iter().map(|level| term(growth, level.size)).collect()
    }

    /// The medians of the sizes.
    pub(super) fn medians(&self) -> Vec<f64> {
        self.levels.iter().map(|level| level.median).collect()
    }

    /// What the squared distance of each median counts: its number of values, by the square of its scale.
    pub(super) fn weights(&self) -> Vec<f64> {
        // Only ratios matter, so that very small and very large scales do no harm.
        let largest = self.levels.iter().map(|level| level.scale).fold(0.0, f64::max);
        let weight = |level: &Level| level.values.len() as f64 * (largest / level.scale).powi(2);
        self.levels.iter().map(weight).collect()
    }

    /// The sum of the squared distances of the medians from those of a model, each times its number of
    /// values.
    pub(super) fn misfit(&self, expected: &[f64]) -> f64 {
        let square = |(level, expected): (&Level, &f64)| {
            level.values.len() as f64 * ((level.median - expected) / level.scale).powi(2)
        };
        self.levels.iter().zip(expected).map(square).sum()
    }

    /// The standard deviation of single values around the median of their size, as a share of the scale; 0
    /// without repetitions.
    pub(super) fn noise(&self) -> f64 {
        let scaled: Vec<Vec<f64>> = self
            .levels
            .iter()
            .map(|level| level.values.iter().map(|value| value / level.scale).collect())
            .collect();
        let groups: Vec<&[f64]> = scaled.iter().map(Vec::as_slice).collect();
        spread::pooled(&groups)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the results are exact")]
mod tests {
    use super::*;

    fn points(points: &[(f64, f64)]) -> Vec<Point> {
        points
            .iter()
            .map(|(size, value)| Point {
                size: *size,
                value: *value,
            })
            .collect()
    }

    #[test]
    fn points_are_grouped_by_size_and_those_that_are_none_left_out() {
        let series = Series::of(&points(&[
            (20.0, 9.0),
            (10.0, 3.0),
            (20.0, 7.0),
            (10.0, 1.0),
            (10.0, 2.0),
            (0.5, 1.0),
            (f64::NAN, 1.0),
            (10.0, f64::INFINITY),
        ]));
        let found: Vec<(f64, usize, f64)> = series
            .levels
            .iter()
            .map(|level| (level.size, level.values.len(), level.median))
            .collect();
        assert_eq!(found, [(10.0, 3, 2.0), (20.0, 2, 8.0)]);
        assert_eq!((series.count(), series.repetitions()), (5, 2));
    }

    #[test]
    fn distances_are_relative_where_all_medians_are_above_zero() {
        let series = Series::of(&points(&[(1.0, 2.0), (2.0, 4.0), (2.0, 4.0)]));
        assert!(series.relative);
        // 10 % off at both sizes, and the second has two values.
        assert!((series.misfit(&[2.2, 3.6]) - 0.03).abs() < 1e-12);
        // By values and squared scale: 1 * (4 / 2)^2 and 2 * (4 / 4)^2.
        assert_eq!(series.weights(), [4.0, 2.0]);
    }

    #[test]
    fn a_series_with_a_median_of_zero_or_below_has_one_scale() {
        for (values, scale) in [([-1.0, 3.0], 2.0), ([0.0, 3.0], 1.5), ([0.0, 0.0], 1.0)] {
            let series = Series::of(&points(&[(1.0, values[0]), (2.0, values[1])]));
            assert!(!series.relative);
            assert!(
                series
                    .levels
                    .iter()
                    .all(|level| (level.scale - scale).abs() < 1e-12)
            );
        }
    }

    #[test]
    fn noise_is_the_relative_spread_within_the_sizes() {
        let mut all = Vec::new();
        for size in [10.0, 100.0] {
            all.extend([0.9, 1.0, 1.1].map(|share| (size, share * size)));
        }
        // Differences of 10, 10, 20 percent at both sizes.
        assert!((Series::of(&points(&all)).noise() - 0.1 * 1.0483).abs() < 1e-9);
        assert_eq!(Series::of(&points(&[(1.0, 1.0), (2.0, 2.0)])).noise(), 0.0);
    }
}
