//! A route of an endpoint: which requests it is for, and what they get.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Answer, Request};
use crate::body::Body;
use crate::error::MockError;
use crate::faults::Faults;
use crate::latency::Distribution;
use crate::observed::Declared;
use crate::pattern::{Pattern, split_query};
use crate::random::{self, Generator};
use crate::spec::{self, Protocol};

/// A route with its own random draws.
#[derive(Debug)]
pub(super) struct Route {
    behaviour: Arc<Behaviour>,
    draws: Generator,
    random_data: Generator,
}

/// What the endpoints of a range of ports share.
#[derive(Debug)]
struct Behaviour {
    label: String,
    /// `None`: all requests.
    pattern: Option<Pattern>,
    latency: Arc<Distribution>,
    faults: Faults,
    body: Arc<Body>,
    chunks: Option<spec::Chunks>,
    columns: Vec<spec::Column>,
    rows: u32,
}

/// What is drawn for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draw {
    /// The service time.
    pub(super) service: Duration,
    /// The index of the error that it gets.
    pub(super) fault: Option<usize>,
}

impl Route {
    /// The routes of a mock; the last one is for all requests.
    pub(super) fn all(name: &str, mock: &spec::Mock, seed: u64, dir: &Path) -> Result<Vec<Self>, MockError> {
        let latency = |written: Option<&spec::Latency>| match written {
            Some(written) => Distribution::new(written, dir).map(Arc::new),
            None => Ok(Arc::new(Distribution::NONE)),
        };
        let default = Behaviour {
            label: "default".to_owned(),
            pattern: None,
            latency: latency(mock.latency.as_ref())?,
            faults: Faults::new(
                mock.errors
                    .as_ref()
                    .map(|errors| errors.0.as_slice())
                    .unwrap_or_default(),
            ),
            body: Arc::new(Body::new(name, mock.body.as_ref(), dir)?),
            chunks: mock.chunks,
            columns: mock.columns.clone().unwrap_or_default(),
            rows: mock.rows.unwrap_or(1),
        };
        let mut all = Vec::with_capacity(mock.routes.len() + 1);
        for route in &mock.routes {
            all.push(Behaviour {
                label: label(&route.matches),
                pattern: Some(Pattern::new(&route.matches, mock.protocol)),
                latency: match &route.latency {
                    Some(written) => latency(Some(written))?,
                    None => Arc::clone(&default.latency),
                },
                faults: match &route.errors {
                    Some(errors) => Faults::new(&errors.0),
                    None => default.faults.clone(),
                },
                body: match &route.body {
                    Some(written) => Arc::new(Body::new(name, Some(written), dir)?),
                    None => Arc::clone(&default.body),
                },
                chunks: route.chunks.or(default.chunks),
                columns: route.columns.clone().unwrap_or_else(|| default.columns.clone()),
                rows: route.rows.unwrap_or(default.rows),
            });
        }
        all.push(default);
        let routes = all
            .into_iter()
            .map(|behaviour| Self::new(Arc::new(behaviour), seed));
        Ok(routes.collect())
    }

    fn new(behaviour: Arc<Behaviour>, seed: u64) -> Self {
        // By name, so that a new route does not change the draws of the others.
        let seed = random::derive(seed, random::seed_of(&behaviour.label));
        Self {
            behaviour,
            draws: Generator::new(seed),
            random_data: Generator::new(random::derive(seed, 1)),
        }
    }

    /// The same behaviour with random draws of its own.
    pub(super) fn sibling(&self, seed: u64) -> Self {
        Self::new(Arc::clone(&self.behaviour), seed)
    }

    /// Its name in reports.
    pub(super) fn label(&self) -> &str {
        &self.behaviour.label
    }

    /// What the observer compares with.
    pub(super) fn declared(&self) -> Declared {
        Declared {
            route: self.behaviour.label.clone(),
            latency: Arc::clone(&self.behaviour.latency),
        }
    }

    pub(super) fn matches(&self, request: &Request<'_>) -> bool {
        let pattern = self.behaviour.pattern.as_ref();
        pattern.is_none_or(|pattern| pattern.matches(request))
    }

    pub(super) fn needs_body(&self) -> bool {
        self.behaviour.body.needs_body()
    }

    pub(super) fn columns(&self) -> &[spec::Column] {
        &self.behaviour.columns
    }

    pub(super) fn rows(&self) -> u32 {
        self.behaviour.rows
    }

    /// Draws for the next request.
    pub(super) fn draw(&self) -> Draw {
        let (time, share) = self.draws.pair();
        Draw {
            service: self.behaviour.latency.draw(time),
            fault: self.behaviour.faults.choose(share),
        }
    }

    /// The answer of an error.
    pub(super) fn fault(&self, index: usize, protocol: Protocol) -> Option<(spec::FaultKind, Answer)> {
        let faults = &self.behaviour.faults;
        faults.answer(index, protocol, &self.random_data)
    }

    /// The usual answer. A template that fails is an error of the protocol.
    pub(super) fn body(&self, mock: &str, protocol: Protocol, request: &Request<'_>, route: usize) -> Answer {
        let (path, query) = match protocol {
            Protocol::Http => split_query(request.path),
            _ => (request.path, ""),
        };
        let request = Request { path, ..*request };
        match self.behaviour.body.render(mock, &request, query) {
            Ok(bytes) => Answer::Body {
                bytes,
                content_type: self.behaviour.body.content_type().to_owned(),
                status: None,
                route,
                chunks: self.behaviour.chunks,
            },
            Err(message) => Answer::Error {
                status: None,
                code: None,
                message,
            },
        }
    }
}

/// The name of a route in reports: its method and path, its command or its query.
fn label(matches: &spec::Match) -> String {
    let parts = [&matches.method, &matches.path, &matches.command, &matches.query];
    let given: Vec<&str> = parts.into_iter().filter_map(|part| part.as_deref()).collect();
    given.join(" ")
}
