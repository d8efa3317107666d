//! Counts what a mock received and answered. It does not decide anything.

mod times;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::latency::Distribution;
use crate::spec::FaultKind;
pub use times::{Quantiles, Times};

/// A route and its declared service time.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its name.
    pub route: String,
    /// The distribution of its service time.
    pub latency: Arc<Distribution>,
}

/// The counters of a mock.
#[derive(Debug)]
pub struct Observer {
    requests: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    abandoned: AtomicU64,
    faults: [AtomicU64; FAULTS.len()],
    active: Level,
    connections: AtomicU64,
    connections_refused: AtomicU64,
    accept_failures: AtomicU64,
    open: Level,
    latency: Times,
    late: Times,
    routes: Vec<ObservedRouteState>,
}

#[derive(Debug)]
struct ObservedRouteState {
    declared: Declared,
    requests: AtomicU64,
    service: Times,
}

/// A number that rises and falls, with its maximum.
#[derive(Debug, Default)]
struct Level {
    now: AtomicU64,
    most: AtomicU64,
}

impl Level {
    fn rise(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    fn fall(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The largest share of equal times with which distributions are compared.
const STEP: f64 = 0.01;

const FAULTS: [FaultKind; 6] = [
    FaultKind::Status,
    FaultKind::Error,
    FaultKind::EmptyResponse,
    FaultKind::RandomDataThenClose,
    FaultKind::ConnectionResetByPeer,
    FaultKind::Timeout,
];

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The usual answer.
    Answered {
        /// The service time that was drawn.
        service: Duration,
        /// The service time that passed.
        served: Duration,
    },
    /// An error that was drawn.
    Fault {
        /// Its kind.
        kind: FaultKind,
        /// The service time that was drawn.
        service: Duration,
        /// The service time that passed.
        served: Duration,
    },
    /// The queue was full.
    Refused,
}

/// What a mock received and answered. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observed {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that got the usual answer.
    pub answered: u64,
    /// Requests that got an error that was drawn, by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// Requests that found the queue full.
    pub refused: u64,
    /// Requests whose client left before the answer, or that the stop ended.
    pub abandoned: u64,
    /// The most requests at a time, waiting or served.
    pub most_concurrent: u64,
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections beyond `connection.max`.
    pub connections_refused: u64,
    /// Attempts to accept a connection that the system refused, usually because of the limit of open files. Clients
    /// wait meanwhile.
    pub accept_failures: u64,
    /// The most connections at a time.
    pub most_connections: u64,
    /// From the arrival of a request to its answer, with the wait for a worker.
    pub latency: Option<Quantiles>,
    /// How much longer service times were than those that were drawn: the error of the mock itself.
    pub late: Option<Quantiles>,
    /// Service times by route, in the order of the file; the last one is for all other requests.
    pub routes: Vec<ObservedRoute>,
}

/// The service times of a route, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObservedRoute {
    /// Its name.
    pub route: String,
    /// Requests that arrived for it.
    pub requests: u64,
    /// The declared service time.
    pub declared: Quantiles,
    /// The service time that passed, without the wait for a worker.
    pub service: Option<Quantiles>,
    /// The largest difference between both distribution functions (Kolmogorov and Smirnov), 0 to 1. `None` without
    /// requests, and where more than 1 % of the requests have the same declared time above 0, as with a constant one or
    /// with recorded times that are rounded: the slightest delay moves all of them beyond the step.
    pub distance: Option<f64>,
    /// The distance that is exceeded with a probability of 5 % if both distributions are the same: 1.358 / sqrt(n).
    pub critical: Option<f64>,
}

impl Observer {
    /// Counters for these routes.
    pub fn new(routes: Vec<Declared>) -> Self {
        let routes = routes.into_iter().map(|declared| ObservedRouteState {
            declared,
            requests: AtomicU64::new(0),
            service: Times::default(),
        });
        Self {
            requests: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            faults: FAULTS.map(|_| AtomicU64::new(0)),
            active: Level::default(),
            connections: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            accept_failures: AtomicU64::new(0),
            open: Level::default(),
            latency: Times::default(),
            late: Times::default(),
            routes: routes.collect(),
        }
    }

    /// A request of a route has arrived.
    pub fn arrived(&self, route: usize) -> Counted<'_> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(route) = self.routes.get(route) {
            route.requests.fetch_add(1, Ordering::Relaxed);
        }
        self.active.rise();
        Counted {
            observer: self,
            route,
            arrived: Instant::now(),
            finished: false,
        }
    }

    /// A connection was accepted.
    pub fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.rise();
    }

    /// A connection that was accepted has ended.
    pub fn connection_closed(&self) {
        self.open.fall();
    }

    /// A connection was closed because there were too many.
    pub fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The system refused to accept a connection.
    pub fn accept_failed(&self) {
        self.accept_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// All of it.
    pub fn observed(&self) -> Observed {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let errors = FAULTS.iter().zip(&self.faults);
        Observed {
            requests: read(&self.requests),
            answered: read(&self.answered),
            errors: errors
                .map(|(kind, count)| (kind.as_str(), read(count)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            refused: read(&self.refused),
            abandoned: read(&self.abandoned),
            most_concurrent: read(&self.active.most),
            connections: read(&self.connections),
            connections_refused: read(&self.connections_refused),
            accept_failures: read(&self.accept_failures),
            most_connections: read(&self.open.most),
            latency: self.latency.quantiles(),
            late: self.late.quantiles(),
            routes: self.routes.iter().map(ObservedRouteState::observed).collect(),
        }
    }
}

impl ObservedRouteState {
    fn observed(&self) -> ObservedRoute {
        let declared = &self.declared.latency;
        let service = self.service.quantiles();
        let comparable = service.is_some() && !declared.is_constant() && declared.largest_step() <= STEP;
        let count = service.map_or(0, |service| service.count);
        ObservedRoute {
            route: self.declared.route.clone(),
            requests: self.requests.load(Ordering::Relaxed),
            declared: Quantiles::declared(declared),
            service,
            distance: comparable.then(|| self.service.distance(declared)),
            // Smirnov 1948, for large n.
            critical: comparable.then(|| 1.358 / (count.max(1) as f64).sqrt()),
        }
    }
}

/// A request that has arrived. If this is dropped before [`Counted::finish`], the client has left.
#[derive(Debug)]
pub struct Counted<'a> {
    observer: &'a Observer,
    route: usize,
    arrived: Instant,
    finished: bool,
}

impl Counted<'_> {
    /// What became of it.
    pub fn finish(&mut self, outcome: Outcome) {
        self.finished = true;
        let observer = self.observer;
        let (service, served) = match outcome {
            Outcome::Answered { service, served } => {
                observer.answered.fetch_add(1, Ordering::Relaxed);
                (service, served)
            }
            Outcome::Fault {
                kind,
                service,
                served,
            } => {
                let place = FAULTS.iter().position(|known| *known == kind);
                if let Some(count) = place.and_then(|place| observer.faults.get(place)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                (service, served)
            }
            Outcome::Refused => {
                observer.refused.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        if let Some(route) = observer.routes.get(self.route) {
            route.service.record(served);
        }
        observer.late.record(served.saturating_sub(service));
        let answers = !matches!(
            outcome,
            Outcome::Fault {
                kind: FaultKind::Timeout,
                ..
            }
        );
        if answers {
            observer.latency.record(self.arrived.elapsed());
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.observer.active.fall();
        if !self.finished {
            self.observer.abandoned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
