//! Checks whether a mock still behaves as the real service: compares the service times and the errors of a mock, or of a
//! recording, with those of a new recording, route by route. Pure, except for files that a mock uses.

mod judge;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::endpoint::{Endpoint, Request};
use crate::error::MockError;
use crate::fit;
use crate::latency::Distribution;
use crate::learn::in_flight;
use crate::record::Recording;
use crate::spec::{Mock, Protocol};
use judge::Compared;

/// What counts as a difference.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The probability of a false alarm, of all routes together.
    pub alpha: f64,
    /// Distances up to this one do not matter. The default is what `learn` accepts.
    pub tolerance: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            tolerance: fit::BOUND,
        }
    }
}

/// Whether a route behaves as the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A difference of twice the tolerance would have been found, and there is none.
    Same,
    /// The times or the errors differ by more than the tolerance, and by more than chance.
    Drifted,
    /// Too few requests to decide.
    TooFew,
}

/// The times and errors of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Side {
    /// Its requests; `None` for a mock, whose distribution is known exactly.
    pub requests: Option<usize>,
    /// Median in seconds.
    pub p50: f64,
    /// 99th percentile in seconds.
    pub p99: f64,
    /// The share of requests that failed.
    pub errors: f64,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Route {
    /// The route; empty where requests have none.
    pub route: String,
    /// The mock, or the recording of it.
    pub reference: Side,
    /// The new recording.
    pub recorded: Side,
    /// The largest difference between the shares of requests up to a time, 0 to 1.
    pub distance: f64,
    /// The distance that chance alone exceeds with the probability of `alpha`, divided by the number of routes of which
    /// both sides have requests.
    pub critical: f64,
    /// The probability of at least this distance by chance alone.
    pub p_value: f64,
    /// What follows.
    pub verdict: Verdict,
}

/// All routes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The routes, in the order of the new recording; then those that it lacks.
    pub routes: Vec<Route>,
    /// Drifted if one is; too few if no route could be judged.
    pub verdict: Verdict,
}

/// Compares a recording with a mock. With a capacity, only requests that found a free worker are compared, because the
/// others waited.
pub fn against_mock(
    name: &str,
    mock: &Mock,
    dir: &Path,
    recording: &Recording,
    options: Options,
) -> Result<Check, MockError> {
    let endpoint = Endpoint::new(name, mock, dir)?;
    let new = Sample::of(recording, mock.capacity.map(|capacity| capacity.workers.get()));
    let compared = |index: usize, sample: &Sample| {
        let part = mock.routes.get(index);
        let latency = part
            .and_then(|part| part.latency.as_ref())
            .or(mock.latency.as_ref());
        let distribution = match latency {
            Some(latency) => Distribution::new(latency, dir)?,
            None => Distribution::NONE,
        };
        let faults = part
            .and_then(|part| part.errors.as_ref())
            .or(mock.errors.as_ref());
        let rate = faults.map_or(0.0, |faults| faults.0.iter().map(|fault| fault.rate).sum());
        Ok::<Compared, MockError>(Compared::exact(&distribution, rate, sample))
    };
    let mut pairs = Vec::new();
    let mut is_recorded = vec![false; mock.routes.len()];
    for (route, sample) in recording.routes().iter().zip(&new) {
        let index = endpoint.route_of(&request(route, mock.protocol));
        if let Some(is_recorded) = is_recorded.get_mut(index) {
            *is_recorded = true;
        }
        pairs.push((route.as_str(), compared(index, sample)?));
    }
    let none = Sample::default();
    for (index, _) in is_recorded.iter().enumerate().filter(|(_, is)| !**is) {
        pairs.push((endpoint.label(index), compared(index, &none)?));
    }
    Ok(check(pairs, options))
}

/// Compares a recording with an earlier one, such as that of the mock.
pub fn against_recording(before: &Recording, recording: &Recording, options: Options) -> Check {
    let (old, new) = (Sample::of(before, None), Sample::of(recording, None));
    let mut by_route: BTreeMap<&str, &Sample> =
        before.routes().iter().map(String::as_str).zip(&old).collect();
    let none = Sample::default();
    let mut pairs = Vec::new();
    for (route, sample) in recording.routes().iter().zip(&new) {
        let old = by_route.remove(route.as_str()).unwrap_or(&none);
        pairs.push((route.as_str(), Compared::samples(old, sample)));
    }
    for (route, old) in by_route {
        pairs.push((route, Compared::samples(old, &none)));
    }
    check(pairs, options)
}

fn check(pairs: Vec<(&str, Compared)>, options: Options) -> Check {
    // Bonferroni: with many routes, one of them differs by chance. Those without requests cannot.
    let tested = pairs.iter().filter(|(_, compared)| compared.has_both()).count();
    let alpha = options.alpha / tested.max(1) as f64;
    let routes: Vec<Route> = pairs
        .into_iter()
        .map(|(route, compared)| compared.judge(route, alpha, options.tolerance))
        .collect();
    let has = |verdict: Verdict| routes.iter().any(|route| route.verdict == verdict);
    let verdict = if has(Verdict::Drifted) {
        Verdict::Drifted
    } else if has(Verdict::Same) {
        Verdict::Same
    } else {
        Verdict::TooFew
    };
    Check { routes, verdict }
}

/// The request that a route of a recording stands for.
fn request(route: &str, protocol: Protocol) -> Request<'_> {
    let (method, path) = match protocol {
        Protocol::Http => route.split_once(' ').unwrap_or(("", route)),
        Protocol::Grpc => ("POST", route.split_once(' ').map_or(route, |(_, path)| path)),
        Protocol::Redis => (route, ""),
        Protocol::Postgres => ("query", route),
        Protocol::Tcp => ("", ""),
    };
    Request {
        method,
        path,
        body: &[],
    }
}

/// The times of one route of a recording.
#[derive(Clone, Debug, Default)]
struct Sample {
    /// Sorted, of requests that succeeded.
    times: Vec<f64>,
    requests: usize,
    failed: usize,
}

impl Sample {
    /// One for each route, without the times of requests that found no free one of so many workers.
    fn of(recording: &Recording, workers: Option<u32>) -> Vec<Self> {
        let mut samples = vec![Self::default(); recording.routes().len()];
        // With begins to the second, nearly all requests would seem to be in flight.
        let counts = match workers {
            Some(_) if recording.resolution < 0.01 => in_flight(recording.entries()),
            _ => Vec::new(),
        };
        for (number, entry) in recording.entries().iter().enumerate() {
            let Some(sample) = samples.get_mut(entry.route as usize) else {
                continue;
            };
            sample.requests += 1;
            let waited = counts
                .get(number)
                .is_some_and(|count| workers.is_some_and(|workers| *count > workers));
            if entry.failed {
                sample.failed += 1;
            } else if !waited {
                sample.times.push(entry.seconds);
            }
        }
        for sample in &mut samples {
            sample.times.sort_by(f64::total_cmp);
        }
        samples
    }

    fn errors(&self) -> f64 {
        self.failed as f64 / self.requests.max(1) as f64
    }

    fn side(&self) -> Side {
        Side {
            requests: Some(self.requests),
            p50: fit::quantile(&self.times, 0.5),
            p99: fit::quantile(&self.times, 0.99),
            errors: self.errors(),
        }
    }
}
