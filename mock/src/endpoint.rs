//! An endpoint: decides what every request gets and when. It does not read from or write to connections.

mod route;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use tokio::time::Instant;

use crate::capacity::{Admission, Workers};
use crate::error::MockError;
use crate::observed::{Observed, Observer, Outcome};
use crate::random;
use crate::spec::{self, Protocol};
use crate::timer;
use route::{Draw, Route};

/// One endpoint: behaviour shared by all connections to it.
#[derive(Debug)]
pub struct Endpoint {
    name: String,
    protocol: Protocol,
    limits: spec::ConnectionLimits,
    workers: Workers,
    routes: Vec<Route>,
    seed: u64,
    observer: Arc<Observer>,
    open: AtomicU32,
}

/// What is known of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method of HTTP, `POST` for gRPC, command of Redis, `query` for PostgreSQL, empty for TCP.
    pub method: &'a str,
    /// Path with query of HTTP, path of gRPC, first key of Redis, SQL of PostgreSQL, empty for TCP.
    pub path: &'a str,
    /// Its body, or the beginning of it; see [`Endpoint::needs_body`].
    pub body: &'a [u8],
}

/// What a request gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The usual answer.
    Body {
        /// The body.
        bytes: Bytes,
        /// Its media type.
        content_type: String,
        /// The status of HTTP or gRPC, if it is not that of success.
        status: Option<u16>,
        /// The route, for [`Endpoint::columns`] and [`Endpoint::rows`].
        route: usize,
        /// How to send it in pieces.
        chunks: Option<spec::Chunks>,
    },
    /// An error in the protocol's own form.
    Error {
        /// The status of HTTP or gRPC.
        status: Option<u16>,
        /// The prefix of an error of Redis, or the SQLSTATE of PostgreSQL.
        code: Option<String>,
        /// The text.
        message: String,
    },
    /// The queue is full: the protocol's own error for overload.
    Overloaded,
    /// Close the connection.
    Close,
    /// Close the connection as an answer that was meant to contain something.
    EmptyResponse,
    /// Send these bytes, then close the connection.
    RandomDataThenClose(Bytes),
    /// Reset the connection.
    Reset,
    /// Keep the connection open without an answer until the client closes it.
    Never,
}

impl Endpoint {
    /// An endpoint of a mock. Files of the mock are looked up in `dir`.
    pub fn new(name: &str, mock: &spec::Mock, dir: &Path) -> Result<Self, MockError> {
        let mut problems = Vec::new();
        mock.problems(name, &mut problems);
        if !problems.is_empty() {
            return Err(MockError::Invalid { problems });
        }
        let seed = mock.seed.unwrap_or_else(|| random::seed_of(name));
        let routes = Route::all(name, mock, seed, dir)?;
        let declared = routes.iter().map(Route::declared).collect();
        Ok(Self {
            name: name.to_owned(),
            protocol: mock.protocol,
            limits: mock.connection,
            workers: Workers::new(mock.capacity.as_ref()),
            routes,
            seed,
            observer: Arc::new(Observer::new(declared)),
            open: AtomicU32::new(0),
        })
    }

    /// The same behaviour for another port: workers, connections and random draws of its own, and the same count
    /// of what is observed.
    #[must_use]
    pub fn sibling(&self, mock: &spec::Mock, index: u64) -> Self {
        let seed = random::derive(self.seed, index);
        Self {
            name: self.name.clone(),
            protocol: self.protocol,
            limits: self.limits,
            workers: Workers::new(mock.capacity.as_ref()),
            routes: self.routes.iter().map(|route| route.sibling(seed)).collect(),
            seed,
            observer: Arc::clone(&self.observer),
            open: AtomicU32::new(0),
        }
    }

    /// The name of its mock.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The seed of its random draws.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Behaviour of its connections.
    pub fn limits(&self) -> &spec::ConnectionLimits {
        &self.limits
    }

    /// Whether an answer depends on the body of its request. If not, the body need not be kept.
    pub fn needs_body(&self) -> bool {
        self.routes.iter().any(Route::needs_body)
    }

    /// The index of the route that a request matches; the last one is the default.
    pub fn route_of(&self, request: &Request<'_>) -> usize {
        let default = self.routes.len().saturating_sub(1);
        let found = self.routes[..default]
            .iter()
            .position(|route| route.matches(request));
        found.unwrap_or(default)
    }

    /// The name of a route in reports.
    pub fn label(&self, route: usize) -> &str {
        self.routes.get(route).map(Route::label).unwrap_or_default()
    }

    /// The columns that a mock of PostgreSQL gives for a route; none: one column of text with the body.
    pub fn columns(&self, route: usize) -> &[spec::Column] {
        self.routes.get(route).map(Route::columns).unwrap_or_default()
    }

    /// The rows that a mock of PostgreSQL gives for a route.
    pub fn rows(&self, route: usize) -> u32 {
        self.routes.get(route).map_or(1, Route::rows)
    }

    /// Waits for a worker, lets the service time pass, and returns what to answer. Counts the request.
    ///
    /// A request whose future is dropped leaves the queue or its worker at once, and is counted as abandoned.
    pub async fn answer(&self, request: &Request<'_>) -> Answer {
        let index = self.route_of(request);
        let Some(route) = self.routes.get(index) else {
            return Answer::Close;
        };
        let mut counted = self.observer.arrived(index);
        let permit = match self.workers.take().await {
            Admission::Served(permit) => permit,
            Admission::Overloaded(when_full) => {
                counted.finish(Outcome::Refused);
                return match when_full {
                    spec::WhenFull::Close => Answer::Close,
                    spec::WhenFull::Reject | spec::WhenFull::Wait => Answer::Overloaded,
                };
            }
        };
        let Draw { service, fault } = route.draw();
        let start = Instant::now();
        let served = if service.is_zero() {
            // There was no wait that could be late.
            service
        } else {
            timer::until(start + service).await;
            start.elapsed()
        };
        drop(permit);
        if let Some(index) = fault
            && let Some((kind, answer)) = route.fault(index, self.protocol)
        {
            counted.finish(Outcome::Fault {
                kind,
                service,
                served,
            });
            return answer;
        }
        let answer = route.body(&self.name, self.protocol, request, index);
        counted.finish(Outcome::Answered { service, served });
        answer
    }

    /// What was seen so far, by all endpoints of the mock.
    pub fn observed(&self) -> Observed {
        self.observer.observed()
    }

    /// Counts an attempt to accept a connection that the system refused.
    pub fn accept_failed(&self) {
        self.observer.accept_failed();
    }

    /// Counts a connection that was accepted. `None` if there are `connection.max` already; that one is counted as
    /// refused.
    pub fn connected(self: &Arc<Self>) -> Option<ConnectionGuard> {
        let most = self.limits.max.map_or(u32::MAX, std::num::NonZeroU32::get);
        let taken = self
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                (open < most).then(|| open + 1)
            });
        if taken.is_err() {
            self.observer.connection_refused();
            return None;
        }
        self.observer.connection_opened();
        Some(ConnectionGuard(Arc::clone(self)))
    }
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub struct ConnectionGuard(Arc<Endpoint>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.observer.connection_closed();
    }
}
