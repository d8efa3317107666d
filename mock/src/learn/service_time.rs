//! The service time, the errors and the size of bodies of some requests, and what they rest on.

use std::collections::BTreeMap;

use serde::Serialize;

use super::quantiles;
use crate::fit::{self, Fitted, Method};
use crate::latency::Distribution;
use crate::record::Entry;
use crate::spec::{
    Body, Empirical, Fault, FaultKind, Faults, Latency, Lognormal, Normal, Protocol, Quantiles, Size, Time,
    Uniform,
};

/// The largest body of a mock that is learnt, in bytes.
const MAX_BODY: u64 = 64 << 20;

/// The largest sigma that a mock accepts.
const MAX_SIGMA: f64 = 10.0;

/// What a part of a mock rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Basis {
    /// The route; empty for all requests.
    pub route: String,
    /// Its requests.
    pub requests: usize,
    /// Those that failed.
    pub failed: usize,
    /// How many times the service time rests on: those of requests that succeeded and did not wait.
    pub used: usize,
    /// The unit to which the times are rounded, in seconds; 0 if none is visible.
    pub resolution: f64,
    /// Recorded median, in seconds.
    pub p50: f64,
    /// Recorded 99th percentile, in seconds.
    pub p99: f64,
    /// The service time of the mock.
    pub latency: Latency,
    /// The name of its distribution.
    pub distribution: &'static str,
    /// How its parameters were found; `None` for quantiles.
    pub method: Option<Method>,
    /// Its distance from the recorded times, 0 to 1.
    pub distance: f64,
    /// The closest distribution with parameters and its distance, if it was not close enough.
    pub rejected: Option<(&'static str, f64)>,
    /// The errors of the mock.
    pub errors: Faults,
    /// Median size of the bodies, in bytes.
    pub bytes: Option<u64>,
}

impl Basis {
    /// The body of the mock.
    pub(super) fn body(&self) -> Option<Body> {
        let bytes = self.bytes.filter(|bytes| *bytes <= MAX_BODY)?;
        Some(Body {
            size: Some(Size(bytes)),
            ..Body::default()
        })
    }
}

/// What these requests show. `unloaded` is by index of `entries`.
pub(super) fn basis<'a>(
    route: &str,
    entries: impl IntoIterator<Item = &'a Entry>,
    unloaded: &[bool],
    protocol: Protocol,
) -> Basis {
    let entries: Vec<&Entry> = entries.into_iter().collect();
    let good = || entries.iter().zip(unloaded).filter(|(entry, _)| !entry.failed);
    let mut times: Vec<f64> = good()
        .filter(|(_, is)| **is)
        .map(|(entry, _)| entry.seconds)
        .collect();
    if times.len() < fit::FEW {
        // A route that is rare or always fails: its times are better than none.
        times = good().map(|(entry, _)| entry.seconds).collect();
    }
    if times.is_empty() {
        times = entries.iter().map(|entry| entry.seconds).collect();
    }
    times.sort_by(f64::total_cmp);
    let mut sizes: Vec<u32> = good().filter_map(|(entry, _)| entry.bytes).collect();
    sizes.sort_unstable();
    let has_body = matches!(protocol, Protocol::Http | Protocol::Redis);
    let bytes = sizes
        .get(sizes.len() / 2)
        .filter(|_| has_body)
        .copied()
        .map(u64::from);
    let chosen = choose(&times);
    Basis {
        route: route.to_owned(),
        requests: entries.len(),
        failed: entries.iter().filter(|entry| entry.failed).count(),
        used: times.len(),
        resolution: fit::resolution(&times),
        p50: fit::quantile(&times, 0.5),
        p99: fit::quantile(&times, 0.99),
        latency: chosen.latency,
        distribution: chosen.distribution,
        method: chosen.method,
        distance: chosen.distance,
        rejected: chosen.rejected,
        errors: errors(&entries, protocol),
        bytes,
    }
}

/// The chosen service time.
struct Chosen {
    latency: Latency,
    distribution: &'static str,
    method: Option<Method>,
    distance: f64,
    rejected: Option<(&'static str, f64)>,
}

/// The closest distribution if it is close enough, else the quantiles.
fn choose(sorted: &[f64]) -> Chosen {
    let fitted = fit::fit(sorted);
    for fitted in &fitted {
        if let Some(latency) = written(fitted).filter(|_| fitted.is_close()) {
            return Chosen {
                latency,
                distribution: fit::name(&fitted.shape),
                method: Some(fitted.method),
                distance: fitted.distance,
                rejected: None,
            };
        }
    }
    let points = quantiles::points(sorted);
    let distance = quantiles::distance(sorted, &points);
    Chosen {
        latency: Latency::Empirical(Empirical::Inline(Quantiles { quantiles: points })),
        distribution: "empirical",
        method: None,
        distance,
        rejected: fitted
            .first()
            .map(|closest| (fit::name(&closest.shape), closest.distance)),
    }
}

/// A distribution as it is written in a mock; `None` if a mock cannot have it.
fn written(fitted: &Fitted) -> Option<Latency> {
    let time = Time::from_seconds;
    Some(match &fitted.shape {
        Distribution::Constant(value) => Latency::Constant(time(*value)),
        Distribution::Uniform { min, max } => Latency::Uniform(Uniform {
            min: time(*min),
            max: time(*max),
        }),
        Distribution::Normal { mean, stddev } => Latency::Normal(Normal {
            mean: time(*mean),
            stddev: time(*stddev),
        }),
        Distribution::Lognormal { median, sigma } => {
            let is_possible = *median >= 1e-9 && *sigma <= MAX_SIGMA;
            if !is_possible {
                return None;
            }
            let by_p99 = fitted.method == Method::MedianAndP99;
            Latency::Lognormal(Lognormal {
                median: time(*median),
                p99: by_p99.then(|| time(fitted.shape.quantile(0.99))),
                sigma: (!by_p99).then(|| (sigma * 1e4).round() / 1e4),
            })
        }
        Distribution::Empirical(_) => return None,
    })
}

/// The errors with their rates, the most frequent first.
fn errors(entries: &[&Entry], protocol: Protocol) -> Faults {
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.failed) {
        *counts.entry(entry.status).or_default() += 1;
    }
    let mut counts: Vec<(u16, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(status, count)| (std::cmp::Reverse(*count), *status));
    let fault = |(status, count): (u16, usize)| {
        // Rounded down, so that the rates never add up to more than 1.
        let rate = (count as f64 / entries.len() as f64 * 1e6).floor() / 1e6;
        let kind = match protocol {
            Protocol::Http if (200..=599).contains(&status) => FaultKind::Status,
            Protocol::Grpc => FaultKind::Status,
            Protocol::Redis | Protocol::Postgres => FaultKind::Error,
            Protocol::Http | Protocol::Tcp => FaultKind::EmptyResponse,
        };
        let has_status = kind == FaultKind::Status && protocol == Protocol::Http;
        Fault {
            rate,
            kind,
            status: has_status.then_some(status),
            code: None,
            message: None,
        }
    };
    Faults(
        counts
            .into_iter()
            .map(fault)
            .filter(|fault| fault.rate > 0.0)
            .collect(),
    )
}
