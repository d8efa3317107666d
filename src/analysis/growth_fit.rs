//! The growth model of a series: which `constant + factor * n^a * log2(n)^b` it follows, and which other ones
//! it could.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::hypotheses::{hypotheses, is_constant, term};
use super::least_squares::line;
use super::series::{Point, Series};
use crate::measure::Growth;

/// Below this many sizes there is no model: a line goes through any two.
const LEAST_SIZES: usize = 3;

/// The constant, the factor, and the shape: along a limited range `n^a * log2(n)^b` has one degree of
/// freedom, because a factor of the logarithm is nearly the same as a somewhat larger exponent.
const PARAMETERS: usize = 3;

/// The confidence that a growth is impossible before it is ruled out, as in comparisons.
const ALPHA: f64 = 0.01;

/// A relative distance from all medians that is only rounding.
pub(super) const ROUNDING: f64 = 1e-9;

/// A simpler growth is chosen if its error is at most this many times that of the best.
const SIMPLER: f64 = 1.25;

/// Below this relative difference within the measured range nobody notices a growth, as for changes in
/// comparisons.
const NOTICEABLE: f64 = 0.05;

/// A growth is faster than another if it rises this many times as much between the smallest and the largest
/// size.
const FASTER: f64 = 1.1;

/// A model: `constant + factor * growth`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// How it grows; falls, if the factor is below 0.
    pub growth: Growth,
    /// Its constant.
    pub constant: f64,
    /// Its factor; 0 for constant growth.
    pub factor: f64,
    /// Its leave-one-out error: the root of the mean squared relative error with which each median is
    /// predicted from the other sizes. Relative to the median; to the mean of all, if one of them is not
    /// above 0.
    pub error: f64,
}

impl Model {
    /// Its value at a size of at least 1.
    pub fn at(&self, size: f64) -> f64 {
        self.constant + self.factor * term(self.growth, size)
    }

    /// Whether it falls with the size.
    pub fn is_falling(&self) -> bool {
        self.factor < 0.0
    }
}

/// Whether a series grows faster than a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Above {
    /// All growths that are possible do, and the bound is not among them.
    Yes,
    /// None that is possible does.
    No,
    /// Some do: the data do not tell.
    CannotTell,
}

/// The models of a series. Only [`fit`] makes one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// The one to use: the simplest of those that predict best.
    pub best: Model,
    /// What else is possible by the data, the smallest error first.
    pub others: Vec<Model>,
    /// How many sizes were measured.
    pub sizes: usize,
    /// How many values the size with the fewest has.
    pub repetitions: usize,
    #[serde(skip)]
    series: Series,
    /// The misfit above which a growth is ruled out.
    #[serde(skip)]
    limit: f64,
}

/// A model with the sum of its squared distances.
struct Candidate {
    model: Model,
    misfit: f64,
}

/// The growth of a series: constant, or one of the 42 of Extra-P. `None` below 3 sizes (5 with 5 repetitions
/// each are recommended), or if the values are too large to be computed with.
///
/// Each growth is fitted to the medians of the sizes by least squares of relative distances, so that small
/// sizes count as much as large ones and outliers among the repetitions do not. Extra-P minimises absolute
/// distances of the means.
///
/// Possible are those whose misfit exceeds that of the closest by no more than the noise explains: the
/// confidence region of the shape by the ratio of likelihoods, at 99 % (Bates and Watts 1988, "Nonlinear
/// regression analysis", chapter 6). The noise is that of the repetitions, or the misfit of the closest if
/// that is larger, as for a series that follows none of them. With too few values to know either (3 sizes
/// without repetitions), nothing is ruled out.
///
/// Chosen is constant if that is possible. Else the simplest whose leave-one-out error is at most a quarter
/// above the smallest. Without repetitions, constant must also predict at least half as well as the best.
pub fn fit(points: &[Point]) -> Option<Fit> {
    let series = Series::of(points);
    if series.levels.len() < LEAST_SIZES {
        return None;
    }
    let candidates: Vec<Candidate> = hypotheses()
        .into_iter()
        .filter_map(|growth| candidate(growth, &series))
        .collect();
    let closest = candidates
        .iter()
        .map(|candidate| candidate.misfit)
        .min_by(f64::total_cmp)?;
    let limit = limit(&series, closest);
    let mut possible: Vec<Model> = candidates
        .into_iter()
        .filter(|candidate| candidate.misfit <= limit)
        .map(|candidate| candidate.model)
        .collect();
    let repeated = series.count() > series.levels.len();
    let best = possible.remove(choose(&possible, repeated)?);
    if is_constant(best.growth) {
        // Every growth with a factor near 0 fits a constant series. What nobody would notice is no
        // alternative.
        let (first, last) = (series.levels.first()?.size, series.levels.last()?.size);
        let rise = |model: &Model| (model.at(last) - model.at(first)).abs();
        possible.retain(|model| rise(model) > NOTICEABLE * best.constant.abs());
    }
    possible.sort_by(|left, right| left.error.total_cmp(&right.error));
    Some(Fit {
        best,
        others: possible,
        sizes: series.levels.len(),
        repetitions: series.repetitions(),
        series,
        limit,
    })
}

/// The model of a growth; `None` if it cannot be computed.
fn candidate(growth: Growth, series: &Series) -> Option<Candidate> {
    let (terms, medians, weights) = (series.terms(growth), series.medians(), series.weights());
    let (constant, factor) = line(&terms, &medians, &weights);
    let expected: Vec<f64> = terms.iter().map(|term| constant + factor * term).collect();
    let misfit = series.misfit(&expected);
    let squares = series.levels.iter().enumerate().map(|(left_out, level)| {
        let mut weights = weights.clone();
        weights[left_out] = 0.0;
        let (constant, factor) = line(&terms, &medians, &weights);
        ((level.median - constant - factor * terms[left_out]) / level.scale).powi(2)
    });
    let error = (squares.sum::<f64>() / terms.len() as f64).sqrt();
    let finite = [constant, factor, misfit, error]
        .iter()
        .all(|number| number.is_finite());
    let model = Model {
        growth,
        constant,
        factor,
        error,
    };
    finite.then_some(Candidate { model, misfit })
}

/// The misfit up to which a growth is possible, given that of the closest one.
fn limit(series: &Series, closest: f64) -> f64 {
    let (count, sizes) = (series.count(), series.levels.len());
    // With repetitions the noise is known from them, else from what the closest leaves.
    let spare = sizes.saturating_sub(PARAMETERS);
    let freedom = if count > sizes { count - sizes } else { spare };
    let Ok(distribution) = StudentsT::new(0.0, 1.0, freedom.min(1_000) as f64) else {
        // Without a degree of freedom nothing is ruled out.
        return f64::INFINITY;
    };
    let quantile = distribution.inverse_cdf(1.0 - ALPHA / 2.0);
    // The variance of a median of normal values is pi / 2 times that of a mean; of two values they are the
    // same.
    let loss = if series.levels.iter().any(|level| level.values.len() > 2) {
        FRAC_PI_2
    } else {
        1.0
    };
    let noise = loss * series.noise().powi(2);
    let variance = noise.max(closest / spare.max(1) as f64);
    (closest + quantile.powi(2) * variance).max(ROUNDING.powi(2) * count as f64)
}

/// The place of the model to use among the possible ones, simplest first; `None` if there is none.
fn choose(possible: &[Model], repeated: bool) -> Option<usize> {
    let growing = possible.iter().filter(|model| !is_constant(model.growth));
    let least = growing.map(|model| model.error).fold(f64::INFINITY, f64::min);
    let constant = possible.first().filter(|model| is_constant(model.growth));
    let predicts = |constant: &Model| constant.error <= (2.0 * least).max(ROUNDING);
    if constant.is_some_and(|constant| repeated || predicts(constant)) {
        return Some(0);
    }
    let bound = (SIMPLER * least).max(ROUNDING);
    possible
        .iter()
        .position(|model| !is_constant(model.growth) && model.error <= bound)
}

impl Fit {
    /// Whether the series grows faster than a bound, as far as the measured sizes tell.
    ///
    /// Yes only if the bound itself is ruled out, and all possible models grow noticeably faster: they rise
    /// more than it between the smallest and the largest size, and the closest curve with its shape misses
    /// theirs by at least 5 % somewhere between. So `n^1.25` is not above `n log n` between 10 and 150, where
    /// it rises less, although it rises more at much larger sizes. A falling series is above nothing.
    pub fn is_above(&self, bound: Growth) -> Above {
        let models = std::iter::once(&self.best).chain(&self.others);
        let (mut some, mut all) = (false, true);
        for model in models {
            let faster = self.grows_faster(model, bound);
            some |= faster;
            all &= faster;
        }
        if !some {
            Above::No
        } else if all && self.rules_out(bound) {
            Above::Yes
        } else {
            Above::CannotTell
        }
    }

    /// The closest curve with the shape of a bound through values at the sizes.
    fn shaped(&self, bound: Growth, values: &[f64]) -> Vec<f64> {
        let terms = self.series.terms(bound);
        let (constant, factor) = line(&terms, values, &self.series.weights());
        terms.iter().map(|term| constant + factor * term).collect()
    }

    fn rules_out(&self, bound: Growth) -> bool {
        let closest = self.shaped(bound, &self.series.medians());
        self.series.misfit(&closest) > self.limit
    }

    fn grows_faster(&self, model: &Model, bound: Growth) -> bool {
        let levels = &self.series.levels;
        let (Some(first), Some(last)) = (levels.first(), levels.last()) else {
            return false;
        };
        // A logarithm is 0 at 1, which has no ratio.
        let rise = |growth: Growth| growth.at(last.size.max(2.0)) / growth.at(first.size.max(2.0));
        if model.factor <= 0.0 || rise(model.growth) <= FASTER * rise(bound) {
            return false;
        }
        let curve: Vec<f64> = levels.iter().map(|level| model.at(level.size)).collect();
        let closest = self.shaped(bound, &curve);
        let mut misses = levels.iter().zip(curve.iter().zip(&closest));
        misses.any(|(level, (curve, closest))| (curve - closest).abs() >= NOTICEABLE * level.scale)
    }
}

#[cfg(test)]
mod tests;
