//! One route of two sides, and the verdict on it. Pure.

use statrs::function::erf::erfc;

use super::{Route, Sample, Side, Verdict};
use crate::fit;
use crate::latency::Distribution;

/// Shares of errors that differ by less do not matter.
const ERRORS: f64 = 0.01;

/// The sides of one route.
pub(super) struct Compared {
    reference: Side,
    recorded: Side,
    distance: f64,
    /// Times of each side; infinity for a distribution that is known exactly.
    sizes: (f64, f64),
    /// Requests of each side, for the errors.
    requests: (f64, f64),
}

impl Compared {
    /// Of a distribution and a rate of errors.
    pub(super) fn exact(distribution: &Distribution, errors: f64, sample: &Sample) -> Self {
        Self {
            reference: Side {
                requests: None,
                p50: distribution.quantile(0.5),
                p99: distribution.quantile(0.99),
                errors,
            },
            recorded: sample.side(),
            distance: fit::distance(&sample.times, distribution, fit::resolution(&sample.times)),
            sizes: (f64::INFINITY, sample.times.len() as f64),
            requests: (f64::INFINITY, sample.requests as f64),
        }
    }

    /// Of two recordings.
    pub(super) fn samples(old: &Sample, new: &Sample) -> Self {
        Self {
            reference: old.side(),
            recorded: new.side(),
            distance: fit::two_samples(&old.times, &new.times),
            sizes: (old.times.len() as f64, new.times.len() as f64),
            requests: (old.requests as f64, new.requests as f64),
        }
    }

    /// Whether there is something to compare.
    pub(super) fn has_both(&self) -> bool {
        self.requests.0 > 0.0 && self.requests.1 > 0.0
    }

    pub(super) fn judge(self, route: &str, alpha: f64, tolerance: f64) -> Route {
        let critical = fit::critical(self.sizes.0, self.sizes.1, alpha).min(1.0);
        let p_value = fit::p_value(self.distance, self.sizes.0, self.sizes.1);
        let verdict = if self.distance > critical.max(tolerance) || self.errors_differ(alpha) {
            Verdict::Drifted
        } else if critical <= 2.0 * tolerance {
            Verdict::Same
        } else {
            Verdict::TooFew
        };
        Route {
            route: route.to_owned(),
            reference: self.reference,
            recorded: self.recorded,
            distance: self.distance,
            critical,
            p_value,
            verdict,
        }
    }

    /// Whether the shares of errors differ by more than chance: the test of two proportions with their normal
    /// approximation.
    fn errors_differ(&self, alpha: f64) -> bool {
        let (old, new) = (self.reference.errors, self.recorded.errors);
        let (first, second) = self.requests;
        let difference = (old - new).abs();
        if difference <= ERRORS || first <= 0.0 || second <= 0.0 {
            return false;
        }
        let common = if first.is_infinite() {
            old
        } else {
            (old * first + new * second) / (first + second)
        };
        let deviation = (common * (1.0 - common) * (1.0 / first + 1.0 / second))
            .max(0.0)
            .sqrt();
        // Without any deviation (the mock has no errors), a single one is too many.
        erfc(difference / deviation / std::f64::consts::SQRT_2) < alpha
    }
}
