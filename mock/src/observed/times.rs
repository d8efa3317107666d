//! Times that were observed, in a histogram with a resolution of 0.1 %.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::latency::Distribution;

/// The smallest difference that is kept, in nanoseconds.
const RESOLUTION: u64 = 1_000;
/// Where a histogram begins to grow, in nanoseconds.
const FIRST_LIMIT: u64 = 10_000_000;
/// The longest time that is kept, in nanoseconds: longer than a service time and a wait can be in practice.
const LONGEST: u64 = 24 * 3600 * 1_000_000_000;

/// Observed times. The memory is about 100 kB, once there is one of a second.
#[derive(Debug)]
pub struct Times(Mutex<Option<Histogram<u64>>>);

/// Quantiles of times, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many times these are of; 0 for a declared distribution.
    #[serde(skip_serializing_if = "is_zero")]
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// 90 % do not exceed it.
    pub p90: f64,
    /// 99 % do not exceed it.
    pub p99: f64,
    /// 99.9 % do not exceed it.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Quantiles {
    /// The quantiles of a declared distribution.
    pub fn declared(distribution: &Distribution) -> Self {
        Self {
            count: 0,
            p50: distribution.quantile(0.5),
            p90: distribution.quantile(0.9),
            p99: distribution.quantile(0.99),
            p99_9: distribution.quantile(0.999),
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

/// A histogram that grows. `None` does not happen with these bounds.
fn histogram() -> Option<Histogram<u64>> {
    let mut histogram = Histogram::new_with_bounds(RESOLUTION, FIRST_LIMIT, 3).ok()?;
    histogram.auto(true);
    Some(histogram)
}

impl Times {
    /// Adds a time.
    pub fn record(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(LONGEST).min(LONGEST);
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if times.is_none() {
            // Not before the first one: most routes of a large file are never used.
            *times = histogram();
        }
        if let Some(times) = times.as_mut() {
            // It grows, so that it fails only if there is no memory address for the time.
            let _ = times.record(nanoseconds);
        }
    }

    /// Their quantiles; `None` if there is none.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = times.as_ref().filter(|times| !times.is_empty())?;
        let seconds = |quantile| times.value_at_quantile(quantile) as f64 / 1e9;
        Some(Quantiles {
            count: times.len(),
            p50: seconds(0.5),
            p90: seconds(0.9),
            p99: seconds(0.99),
            p99_9: seconds(0.999),
        })
    }

    /// The largest difference between their distribution function and a declared one (Kolmogorov and Smirnov).
    pub fn distance(&self, declared: &Distribution) -> f64 {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(times) = times.as_ref().filter(|times| !times.is_empty()) else {
            return 0.0;
        };
        let all = times.len() as f64;
        let mut before = 0_u64;
        let mut largest: f64 = 0.0;
        for bucket in times.iter_recorded() {
            let value = bucket.value_iterated_to();
            let after = before + bucket.count_since_last_iteration();
            // Within a bucket both functions rise; they are compared at its ends, and a step at its begin is inside.
            let low = declared.share_below(times.lowest_equivalent(value) as f64 / 1e9);
            let high = declared.cdf(times.highest_equivalent(value) as f64 / 1e9);
            largest = largest
                .max((low - before as f64 / all).abs())
                .max((high - after as f64 / all).abs());
            before = after;
        }
        largest
    }
}
