//! Distributions of service times: which one fits recorded times, and how well. Pure.
//!
//! The distance is that of Kolmogorov and Smirnov: the largest difference between the share of recorded times up to a
//! value and the share that the distribution has there.

mod candidates;
mod smirnov;

use serde::Serialize;

use crate::latency::Distribution;
pub use smirnov::{critical, p_value, two_samples};

/// The largest distance with which a distribution is chosen: at no time is the share of requests that are answered by
/// then wrong by more than five percent points. See [`bound`] for few times.
pub const BOUND: f64 = 0.05;

/// How far the p99 of a distribution may be from the recorded one, as a share of it. The distance hardly depends on the
/// tail, but users do.
pub const TAIL: f64 = 0.2;

/// From this many times on, the recorded p99 is good enough to judge a tail by it: five times are above it.
const JUDGED: usize = 500;

/// Fewer times than this say little about a distribution.
pub const FEW: usize = 30;

/// How the parameters were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// From the median and the 99th percentile, so that both are right.
    MedianAndP99,
    /// The parameters with which the recorded times are most probable.
    MaximumLikelihood,
    /// From the least and the largest time.
    Range,
    /// The median.
    Median,
}

/// A distribution that was fitted to times.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The distribution.
    pub shape: Distribution,
    /// How its parameters were found.
    pub method: Method,
    /// Its distance from the recorded times, 0 to 1.
    pub distance: f64,
    /// The largest distance with which it is chosen.
    pub bound: f64,
    /// Its p99 divided by the recorded one; `None` where either is zero, or times are too few.
    pub tail: Option<f64>,
}

/// The largest distance with which a distribution is chosen for so many times: [`BOUND`], or if that is less than
/// chance alone makes in 5 % of all cases, `0.886 / sqrt(count)` (Lilliefors 1967: parameters from the same times).
pub fn bound(count: usize) -> f64 {
    (0.886 / (count.max(1) as f64).sqrt()).clamp(BOUND, 1.0)
}

impl Fitted {
    /// Whether it may stand for the recorded times.
    pub fn is_close(&self) -> bool {
        self.distance <= self.bound && self.tail.is_none_or(|tail| (tail - 1.0).abs() <= TAIL)
    }
}

impl Method {
    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MedianAndP99 => "by median and p99",
            Self::MaximumLikelihood => "by maximum likelihood",
            Self::Range => "by least and largest time",
            Self::Median => "by median",
        }
    }
}

/// The name of a distribution in a file of mocks.
pub fn name(shape: &Distribution) -> &'static str {
    match shape {
        Distribution::Constant(_) => "constant",
        Distribution::Uniform { .. } => "uniform",
        Distribution::Normal { .. } => "normal",
        Distribution::Lognormal { .. } => "lognormal",
        Distribution::Empirical(_) => "empirical",
    }
}

/// The 99th percentile of the standard normal distribution.
pub(crate) const Z99: f64 = 2.326_347_874_040_841;

/// The time at a quantile (0 to 1) of sorted times: the smallest one that at least this share of them does not exceed.
/// Zero without times.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The unit to which recorded times are rounded, in seconds: 1 ms, 0.1 ms or 10 us if all of them are multiples of it,
/// else 0.
pub fn resolution(times: &[f64]) -> f64 {
    let units = [1e-3, 1e-4, 1e-5];
    let are_multiples = |unit: &f64| {
        let is_multiple = |time: &f64| ((time / unit) - (time / unit).round()).abs() < 1e-4;
        times.iter().all(is_multiple)
    };
    // A single time is a multiple of something.
    let is_enough = times.len() >= FEW;
    units
        .into_iter()
        .find(|unit| is_enough && are_multiples(unit))
        .unwrap_or(0.0)
}

/// The distance of a distribution from sorted times that are rounded to a unit (0: they are exact).
pub fn distance(sorted: &[f64], shape: &Distribution, unit: f64) -> f64 {
    let count = sorted.len() as f64;
    // A distribution with steps is looked at just below and just above each time.
    let half = (unit / 2.0).max(1e-9);
    let mut largest: f64 = 0.0;
    let mut before = 0;
    for equal in sorted.chunk_by(|left, right| left.total_cmp(right).is_eq()) {
        let Some(value) = equal.first().copied() else {
            continue;
        };
        let upto = before + equal.len();
        let below = shape.cdf(value - half) - before as f64 / count;
        let above = shape.cdf(value + half) - upto as f64 / count;
        largest = largest.max(below.abs()).max(above.abs());
        before = upto;
    }
    largest
}

/// All distributions fitted to sorted times, the closest first; of equally close ones the simplest first.
pub fn fit(sorted: &[f64]) -> Vec<Fitted> {
    let unit = resolution(sorted);
    let p99 = quantile(sorted, 0.99);
    let judge = |(shape, method): (Distribution, Method)| {
        let fitted_p99 = shape.quantile(0.99);
        let has_tail = sorted.len() >= JUDGED && p99 > 0.0 && fitted_p99 > 0.0;
        Fitted {
            distance: distance(sorted, &shape, unit),
            bound: bound(sorted.len()),
            tail: has_tail.then(|| fitted_p99 / p99),
            shape,
            method,
        }
    };
    let mut fitted: Vec<Fitted> = candidates::all(sorted).into_iter().map(judge).collect();
    fitted.sort_by(|left, right| left.distance.total_cmp(&right.distance));
    fitted
}

/// The closest distribution that may stand for these sorted times; `None` if their quantiles are needed.
pub fn choose(sorted: &[f64]) -> Option<Fitted> {
    fit(sorted).into_iter().find(Fitted::is_close)
}

#[cfg(test)]
mod tests;
