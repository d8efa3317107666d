//! Learns a mock from a recording of the real service: the service time of each route, the errors, the sizes of
//! bodies, and the capacity. It states what each of them rests on. Pure.

mod capacity;
mod quantiles;
mod routes;
mod service_time;
mod yaml;

#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use indexmap::IndexMap;
use serde::Serialize;

use crate::error::MockError;
use crate::fit;
use crate::record::{Entry, Recording};
use crate::spec::{self, Capacity, Listen, Mock, Mocks, Protocol, WhenFull};

pub use capacity::Load;
pub(crate) use capacity::in_flight;
pub use service_time::Basis;

/// Most routes that get a part of the mock. Requests of the others get what all requests have in common.
pub const MAX_ROUTES: usize = 100;

/// Fewer unloaded requests than this are no basis for the service time; then all requests are.
const UNLOADED: usize = 100;

/// How a mock is learnt.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the mock.
    pub name: String,
    /// What it speaks; without it, the routes show it.
    pub protocol: Option<Protocol>,
    /// Where it is to listen.
    pub listen: Listen,
}

/// Why nothing can be learnt.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The recording has no request.
    #[error("the recording has no request")]
    Empty,
    /// The routes do not show the protocol.
    #[error("the recording does not show its protocol: its first route is `{route}`")]
    Protocol {
        /// The first route.
        route: String,
    },
    /// The options give no mock.
    #[error(transparent)]
    Mock(#[from] MockError),
}

impl LearnError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Empty => Some("record while requests are sent".to_owned()),
            Self::Protocol { .. } => Some("pass --protocol".to_owned()),
            Self::Mock(error) => error.hint(),
        }
    }
}

/// A mock, and what it rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Learnt {
    /// The file of mocks, with the one mock.
    #[serde(skip)]
    pub mocks: Mocks,
    /// Its requests.
    pub requests: usize,
    /// From the first begin to the last end, in seconds.
    pub span: f64,
    /// What the recording shows of the capacity.
    pub capacity: Load,
    /// All requests together, which is what a request of no route gets.
    pub all: Basis,
    /// The routes, in the order of the mock.
    pub routes: Vec<Basis>,
    /// What is to be known about the recording.
    pub notes: Vec<String>,
}

/// Learns a mock.
pub fn learn(recording: &Recording, options: &Options) -> Result<Learnt, LearnError> {
    let entries = recording.entries();
    if entries.is_empty() {
        return Err(LearnError::Empty);
    }
    let protocol = match options.protocol {
        Some(protocol) => protocol,
        None => routes::protocol(recording.routes())?,
    };
    let counts = in_flight(entries);
    let load = if protocol == Protocol::Tcp {
        Load::NotDetermined {
            reason: "a connection is no request".to_owned(),
        }
    } else {
        capacity::capacity(entries, &counts, &medians(recording), recording.resolution)
    };
    let unloaded = unloaded(entries, &counts, load.workers());
    let all = service_time::basis("", entries, &unloaded, protocol);
    let mut parts = routes::parts(recording, &unloaded, protocol);
    let mut notes = notes(recording, &all);
    if parts.len() > MAX_ROUTES {
        notes.push(format!(
            "{} rare routes have no part of their own",
            parts.len() - MAX_ROUTES
        ));
        parts.truncate(MAX_ROUTES);
    }
    // One route for everything needs no pattern.
    if recording.routes().len() == 1 {
        parts.clear();
    }
    routes::in_order_of_matching(&mut parts);
    let mock = mock(protocol, options.listen, &load, &all, &parts);
    let mocks = Mocks {
        mocks: IndexMap::from([(options.name.clone(), mock)]),
    };
    let problems = mocks.problems();
    if !problems.is_empty() {
        return Err(MockError::Invalid { problems }.into());
    }
    Ok(Learnt {
        mocks,
        requests: entries.len(),
        span: recording.span(),
        capacity: load,
        all,
        routes: parts,
        notes,
    })
}

impl Learnt {
    /// The file of mocks as YAML, with what each part rests on as comments.
    pub fn yaml(&self) -> String {
        yaml::text(self)
    }
}

/// The median time of the requests of each route that succeeded, by index.
fn medians(recording: &Recording) -> Vec<f64> {
    let mut times = vec![Vec::new(); recording.routes().len()];
    for entry in recording.entries().iter().filter(|entry| !entry.failed) {
        if let Some(times) = times.get_mut(entry.route as usize) {
            times.push(entry.seconds);
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        fit::quantile(&times, 0.5)
    };
    times.into_iter().map(median).collect()
}

/// For each request whether its time has no wait in it: a mock with a capacity adds the wait itself.
fn unloaded(entries: &[Entry], counts: &[u32], workers: Option<u32>) -> Vec<bool> {
    let Some(workers) = workers else {
        return vec![true; entries.len()];
    };
    let unloaded: Vec<bool> = counts.iter().map(|count| *count <= workers).collect();
    if unloaded.iter().filter(|is| **is).count() < UNLOADED {
        return vec![true; entries.len()];
    }
    unloaded
}

fn mock(protocol: Protocol, listen: Listen, load: &Load, all: &Basis, parts: &[Basis]) -> Mock {
    let mut mock = Mock::new(protocol, listen);
    mock.capacity = load.workers().and_then(NonZeroU32::new).map(|workers| Capacity {
        workers,
        queue: None,
        when_full: WhenFull::default(),
    });
    mock.latency = Some(all.latency.clone());
    mock.errors = (!all.errors.0.is_empty()).then(|| all.errors.clone());
    mock.body = all.body();
    mock.routes = parts
        .iter()
        .filter_map(|part| {
            Some(spec::Route {
                matches: routes::pattern(&part.route, protocol)?,
                latency: Some(part.latency.clone()),
                // An empty list in place of the errors of all requests.
                errors: (!part.errors.0.is_empty() || mock.errors.is_some()).then(|| part.errors.clone()),
                body: part.body(),
                ..spec::Route::default()
            })
        })
        .collect();
    mock
}

fn notes(recording: &Recording, all: &Basis) -> Vec<String> {
    let mut notes = Vec::new();
    if recording.skipped > 0 {
        notes.push(format!(
            "{} lines that are no request were skipped",
            recording.skipped
        ));
    }
    if recording.others > 0 {
        notes.push(format!(
            "{} requests are of routes beyond the first {}",
            recording.others,
            crate::record::MAX_ROUTES
        ));
    }
    if all.resolution > 0.0 {
        notes.push(format!(
            "recorded times are multiples of {} ms: the mock cannot be finer",
            all.resolution * 1e3
        ));
    }
    if all.used < fit::FEW {
        notes.push(format!("only {} times were recorded: record more", all.used));
    }
    notes
}
