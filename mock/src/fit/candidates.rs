//! The parameters of each distribution for recorded times.

use super::{Method, Z99, quantile};
use crate::latency::Distribution;

/// A spread below this share of the median is none: the clock of the recorder is not better.
const CONSTANT: f64 = 0.01;

/// The distributions with their parameters, the simplest first. Empty without times.
pub(super) fn all(sorted: &[f64]) -> Vec<(Distribution, Method)> {
    let (Some(min), Some(max)) = (sorted.first().copied(), sorted.last().copied()) else {
        return Vec::new();
    };
    let median = quantile(sorted, 0.5);
    let mut found = vec![(Distribution::Constant(median), Method::Median)];
    if max <= min || (quantile(sorted, 0.99) - min) <= CONSTANT * median {
        return found;
    }
    found.push((Distribution::Uniform { min, max }, Method::Range));
    found.push((normal(sorted), Method::MaximumLikelihood));
    if median > 0.0 {
        let p99 = quantile(sorted, 0.99);
        let sigma = (p99 / median).ln() / Z99;
        if sigma > 0.0 {
            found.push((Distribution::Lognormal { median, sigma }, Method::MedianAndP99));
        }
    }
    found.extend(lognormal(sorted).map(|shape| (shape, Method::MaximumLikelihood)));
    found
}

/// Mean and standard deviation of values, by Welford's method, which does not lose digits.
fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let before = value - mean;
        mean += before / count;
        squares += before * (value - mean);
    }
    let spread: f64 = if count > 0.0 { squares / count } else { 0.0 };
    (mean, spread.max(0.0).sqrt())
}

fn normal(sorted: &[f64]) -> Distribution {
    let (mean, stddev) = moments(sorted.iter().copied());
    Distribution::Normal { mean, stddev }
}

/// By maximum likelihood: mean and standard deviation of the logarithms. `None` if a time is zero.
fn lognormal(sorted: &[f64]) -> Option<Distribution> {
    if sorted.first().is_none_or(|least| *least <= 0.0) {
        return None;
    }
    let (mean, sigma) = moments(sorted.iter().map(|time| time.ln()));
    (sigma > 0.0).then(|| Distribution::Lognormal {
        median: mean.exp(),
        sigma,
    })
}
