//! The capacity of a service, from how its latency depends on the number of requests that it works on. Pure.
//!
//! A service with `c` workers and a queue answers a request that arrives as the k-th one after `S * max(1, k / c)`, where
//! `S` is its service time: up to `c` requests do not disturb each other, further ones wait for their turn. So the number
//! of workers is where latency begins to grow in proportion.

use serde::Serialize;

use crate::fit;
use crate::record::Entry;

/// Fewer requests than this with the same number in flight say nothing.
const FEW: usize = 20;

/// So many different numbers in flight are needed.
const LEVELS: usize = 3;

/// Latency must grow by this factor, and so must the number in flight beyond the workers.
const GROWTH: f64 = 1.5;

/// The share of the variation of the logarithms of latency that the workers must explain.
const EXPLAINED: f64 = 0.8;

/// The most workers that are tried.
const MOST: u32 = 10_000;

/// What a recording shows of the capacity.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Load {
    /// Latency grows in proportion to the requests in flight.
    Determined {
        /// Requests that are served at a time.
        workers: u32,
        /// The most requests in flight.
        in_flight: u32,
        /// The share of the variation of latency that the workers explain, 0 to 1.
        explained: f64,
    },
    /// The recording does not show it.
    NotDetermined {
        /// Why.
        reason: String,
    },
}

impl Load {
    /// The workers, if they are known.
    pub fn workers(&self) -> Option<u32> {
        match self {
            Self::Determined { workers, .. } => Some(*workers),
            Self::NotDetermined { .. } => None,
        }
    }
}

/// The number of requests in flight when each request began, itself included.
pub(crate) fn in_flight(entries: &[Entry]) -> Vec<u32> {
    let mut starts: Vec<f64> = entries.iter().map(|entry| entry.started).collect();
    let mut ends: Vec<f64> = entries
        .iter()
        .map(|entry| entry.started + entry.seconds)
        .collect();
    starts.sort_by(f64::total_cmp);
    ends.sort_by(f64::total_cmp);
    let count = |entry: &Entry| {
        let begun = starts.partition_point(|start| *start <= entry.started);
        let ended = ends.partition_point(|end| *end <= entry.started);
        // A request without any duration has ended when it begins.
        u32::try_from(begun.saturating_sub(ended).max(1)).unwrap_or(u32::MAX)
    };
    entries.iter().map(count).collect()
}

/// One number of requests in flight, and the latency with it relative to the usual one of each route.
struct Level {
    in_flight: f64,
    latency: f64,
}

/// What the requests show. `medians` are the medians of the routes, by index; `resolution` is that of the begins.
pub(super) fn capacity(entries: &[Entry], in_flight: &[u32], medians: &[f64], resolution: f64) -> Load {
    let not = |reason: String| Load::NotDetermined { reason };
    let most = in_flight.iter().copied().max().unwrap_or(0);
    let mut usual: Vec<f64> = entries.iter().map(|entry| entry.seconds).collect();
    usual.sort_by(f64::total_cmp);
    if resolution.is_infinite() {
        return not("the recording does not say when requests began: write `started`".to_owned());
    }
    if resolution > fit::quantile(&usual, 0.5) {
        return not(format!(
            "the begins of requests are known to {resolution} s only, and most requests are shorter"
        ));
    }
    if most < 2 {
        return not("no two requests were in flight at the same time".to_owned());
    }
    let levels = levels(entries, in_flight, medians);
    if levels.len() < LEVELS {
        return not(format!(
            "fewer than {LEVELS} numbers of requests in flight occurred {FEW} times"
        ));
    }
    let least = levels
        .iter()
        .map(|level| level.latency)
        .fold(f64::INFINITY, f64::min);
    let largest = levels.iter().map(|level| level.latency).fold(0.0, f64::max);
    if largest < GROWTH * least {
        return not(format!(
            "latency did not grow with up to {most} requests in flight"
        ));
    }
    let Some((workers, explained)) = fit_workers(&levels) else {
        return not("latency does not depend on the requests in flight".to_owned());
    };
    let reached = levels.iter().map(|level| level.in_flight).fold(0.0, f64::max);
    if explained < EXPLAINED || reached < GROWTH * f64::from(workers) {
        return not(format!(
            "latency grew, but not in proportion to the requests in flight (up to {most})"
        ));
    }
    Load::Determined {
        workers,
        in_flight: most,
        explained,
    }
}

/// The levels that occurred often enough, lowest first. From 16 on, about four levels are one doubling.
fn levels(entries: &[Entry], in_flight: &[u32], medians: &[f64]) -> Vec<Level> {
    let bucket = |count: u32| match count {
        0..=16 => count,
        _ => 16 + (4.0 * (f64::from(count) / 16.0).log2()).floor() as u32,
    };
    let mut found: Vec<(u32, u32, f64)> = Vec::new();
    for (entry, count) in entries.iter().zip(in_flight) {
        let median = medians.get(entry.route as usize).copied().unwrap_or(0.0);
        if median > 0.0 && !entry.failed {
            found.push((bucket(*count), *count, entry.seconds / median));
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0).then(left.2.total_cmp(&right.2)));
    let mut levels = Vec::new();
    for level in found.chunk_by(|left, right| left.0 == right.0) {
        let latency = level[level.len() / 2].2;
        if level.len() >= FEW && latency > 0.0 {
            let sum: f64 = level.iter().map(|request| f64::from(request.1)).sum();
            levels.push(Level {
                in_flight: sum / level.len() as f64,
                latency,
            });
        }
    }
    levels
}

/// The number of workers with the least squares of the logarithms, and the share that it explains. `None` without
/// variation.
fn fit_workers(levels: &[Level]) -> Option<(u32, f64)> {
    let count = levels.len() as f64;
    let rest = |expected: &dyn Fn(f64) -> f64| {
        let errors: Vec<f64> = levels
            .iter()
            .map(|level| level.latency.ln() - expected(level.in_flight))
            .collect();
        let mean = errors.iter().sum::<f64>() / count;
        errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>()
    };
    let all = rest(&|_| 0.0);
    if all <= 0.0 {
        return None;
    }
    let most = levels.iter().map(|level| level.in_flight).fold(1.0, f64::max);
    let most = (most.ceil() as u32).clamp(1, MOST);
    let mut best = (1, f64::INFINITY);
    for workers in 1..=most {
        let left = rest(&|in_flight| (in_flight / f64::from(workers)).max(1.0).ln());
        if left < best.1 {
            best = (workers, left);
        }
    }
    Some((best.0, 1.0 - best.1 / all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(started: f64, seconds: f64) -> Entry {
        Entry {
            route: 0,
            status: 200,
            failed: false,
            bytes: None,
            started,
            seconds,
        }
    }

    /// Requests of `clients` clients without pauses, who share workers that take 10 ms for each.
    fn closed(clients: u32, workers: u32, from: f64) -> Vec<Entry> {
        let latency = 0.010 * (f64::from(clients) / f64::from(workers)).max(1.0);
        let mut entries = Vec::new();
        for round in 0..100 {
            for client in 0..clients {
                // Clients begin one after the other, evenly spread.
                let offset = latency * f64::from(client) / f64::from(clients);
                entries.push(entry(from + f64::from(round) * latency + offset, latency - 1e-6));
            }
        }
        entries
    }

    fn learn(entries: &[Entry], resolution: f64) -> Load {
        let mut times: Vec<f64> = entries.iter().map(|entry| entry.seconds).collect();
        times.sort_by(f64::total_cmp);
        let median = fit::quantile(&times, 0.5);
        capacity(entries, &in_flight(entries), &[median], resolution)
    }

    #[test]
    fn the_requests_in_flight_are_counted_at_each_begin() {
        let entries = [entry(0.0, 1.0), entry(0.5, 1.0), entry(1.0, 1.0), entry(5.0, 0.0)];
        assert_eq!(in_flight(&entries), [1, 2, 2, 1]);
    }

    #[test]
    fn the_workers_are_where_latency_begins_to_grow_in_proportion() {
        let mut entries = Vec::new();
        for (number, clients) in [1, 2, 4, 8, 16, 32, 64].into_iter().enumerate() {
            entries.extend(closed(clients, 8, 100.0 * number as f64));
        }
        let load = learn(&entries, 1e-3);
        let Load::Determined {
            workers,
            in_flight,
            explained,
        } = load
        else {
            panic!("{load:?}");
        };
        assert!((7..=9).contains(&workers), "{workers}");
        assert_eq!(in_flight, 64);
        assert!(explained > 0.95, "{explained}");
    }

    #[test]
    fn a_recording_that_never_loaded_the_service_determines_nothing() {
        let one = closed(1, 8, 0.0);
        let mut some = one.clone();
        for (number, clients) in [2, 4, 6].into_iter().enumerate() {
            some.extend(closed(clients, 8, 100.0 * (number + 1) as f64));
        }
        for (entries, resolution, wanted) in [
            (&one, 1e-3, "no two requests"),
            (&some, 1e-3, "latency did not grow"),
            (&some, 1.0, "known to 1 s only"),
            (&some, f64::INFINITY, "does not say when"),
            (&Vec::new(), 0.0, "no two requests"),
        ] {
            let Load::NotDetermined { reason } = learn(entries, resolution) else {
                panic!("{wanted}");
            };
            assert!(reason.contains(wanted), "{reason}");
        }
    }

    #[test]
    fn latency_that_grows_for_another_reason_determines_nothing() {
        // The slow requests are of a time with two clients; with 16 clients they are as fast as with one.
        let mut entries = Vec::new();
        for (number, clients) in [1_u32, 2, 3, 4, 8, 16].into_iter().enumerate() {
            let slow = if clients == 2 { 20.0 } else { 1.0 };
            let mut part = closed(clients, 16, 100.0 * number as f64);
            for request in &mut part {
                request.seconds *= slow;
            }
            entries.extend(part);
        }
        assert_eq!(learn(&entries, 1e-3).workers(), None);
    }
}
