//! Recordings: what a service did, one entry for each request, and the limits of what is read.
//!
//! The formats are in [`crate::har`], [`crate::access_log`] and [`crate::json_lines`]. A recording is untrusted: its
//! bytes, lines, entries and routes are bounded, and a mistake in it is an error with its place.

pub(crate) mod lines;
pub(crate) mod moment;
mod open;
pub(crate) mod route;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub use open::{Options, read};

/// Most requests of a recording: 32 bytes of memory each.
pub const MAX_ENTRIES: usize = 5_000_000;

/// Most routes that are kept apart. Requests of further ones count as [`OTHER`].
pub const MAX_ROUTES: usize = 1_000;

/// The route of requests that are in none of the first [`MAX_ROUTES`].
pub const OTHER: &str = "*";

/// Longest service time that is read, in seconds: a day.
pub const LONGEST: f64 = 86_400.0;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Index of its route in [`Recording::routes`].
    pub route: u32,
    /// HTTP status, or 0 where the protocol has none.
    pub status: u16,
    /// Whether the answer was an error: a status of 500 or more, 429, or an error of the protocol.
    pub failed: bool,
    /// Size of the answer's body in bytes, if it is recorded.
    pub bytes: Option<u32>,
    /// When it began, in seconds since an arbitrary moment (usually 1970).
    pub started: f64,
    /// How long the service took, in seconds.
    pub seconds: f64,
}

/// One request as a reader found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    /// The route, as `route::of_http` or `route::of_text` writes it.
    pub(crate) route: &'a str,
    pub(crate) status: Option<u16>,
    pub(crate) failed: bool,
    pub(crate) bytes: Option<u64>,
    pub(crate) started: f64,
    pub(crate) seconds: f64,
}

/// Requests of one or more files.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    routes: Vec<String>,
    index: HashMap<String, u32>,
    entries: Vec<Entry>,
    /// Lines that are no request, such as those of scanners.
    pub skipped: u64,
    /// Requests whose route was not kept apart.
    pub others: u64,
    /// The coarsest resolution of the begins, in seconds: 1 for the time of an access log, infinity if some are not
    /// known.
    pub resolution: f64,
}

/// Why an entry is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The recording has [`MAX_ENTRIES`].
    Full,
    /// Its times are no times.
    NoTime,
}

impl Recording {
    /// The routes, in the order in which they appeared.
    pub fn routes(&self) -> &[String] {
        &self.routes
    }

    /// All requests, in the order of the files.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// From the first begin to the last end, in seconds; 0 without requests.
    pub fn span(&self) -> f64 {
        let first = self.entries.iter().map(|entry| entry.started).reduce(f64::min);
        let last = self.entries.iter().map(|entry| entry.started + entry.seconds);
        match (first, last.reduce(f64::max)) {
            (Some(first), Some(last)) => (last - first).max(0.0),
            _ => 0.0,
        }
    }

    /// Adds a request.
    pub(crate) fn push(&mut self, found: Found<'_>) -> Result<(), Refused> {
        let is_time = (0.0..=LONGEST).contains(&found.seconds) && found.started.is_finite();
        if !is_time {
            return Err(Refused::NoTime);
        }
        if self.entries.len() >= MAX_ENTRIES {
            return Err(Refused::Full);
        }
        let route = self.intern(found.route);
        self.entries.push(Entry {
            route,
            status: found.status.unwrap_or_default(),
            failed: found.failed || found.status.is_some_and(is_error),
            bytes: found.bytes.and_then(|bytes| u32::try_from(bytes).ok()),
            started: found.started,
            seconds: found.seconds,
        });
        Ok(())
    }

    fn intern(&mut self, route: &str) -> u32 {
        if let Some(known) = self.index.get(route) {
            return *known;
        }
        let name = if self.routes.len() < MAX_ROUTES {
            route
        } else {
            self.others += 1;
            OTHER
        };
        if let Some(known) = self.index.get(name) {
            return *known;
        }
        let number = u32::try_from(self.routes.len()).unwrap_or(u32::MAX);
        self.routes.push(name.to_owned());
        self.index.insert(name.to_owned(), number);
        number
    }
}

/// Whether a status is the fault of the service, and not an answer to a wrong request.
pub(crate) fn is_error(status: u16) -> bool {
    status >= 500 || status == 429
}

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be opened or read.
    #[error("failed to read the recording {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A place in it is wrong.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column in bytes, from 1.
        column: u64,
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// It is larger than what is read.
    #[error("the recording {} has more than {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, with its unit.
        limit: String,
    },
    /// It has no request.
    #[error("the recording {} has no request", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The format of an access log cannot be used.
    #[error("the log format `{format}` {message}")]
    Format {
        /// The format as it was given.
        format: String,
        /// What is wrong with it.
        message: String,
    },
}

impl RecordingError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => {
                "pass a HAR file, an access log or JSON lines, or `-` for standard input"
            }
            Self::Malformed { hint, .. } => hint,
            Self::TooLarge { .. } => "pass a part of it, such as the lines of an hour",
            Self::Empty { .. } => "record while requests are sent",
            Self::Format { .. } => {
                "write it as in nginx: '$remote_addr [$time_local] \"$request\" $status $request_time'"
            }
        }
    }

    pub(crate) fn too_large(path: &Path, limit: impl Into<String>) -> Self {
        Self::TooLarge {
            path: path.to_owned(),
            limit: limit.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(route: &str) -> Found<'_> {
        Found {
            route,
            status: Some(200),
            failed: false,
            bytes: Some(10),
            started: 1.0,
            seconds: 0.5,
        }
    }

    #[test]
    fn a_route_is_kept_once_and_the_surplus_is_one_route() {
        let mut recording = Recording::default();
        for number in 0..MAX_ROUTES + 5 {
            let route = format!("GET /{number}x");
            recording.push(found(&route)).unwrap();
            recording.push(found(&route)).unwrap();
        }
        assert_eq!(recording.routes().len(), MAX_ROUTES + 1);
        assert_eq!(recording.routes().last().unwrap(), OTHER);
        assert_eq!(recording.others, 10);
        assert_eq!(recording.entries().len(), 2 * (MAX_ROUTES + 5));
    }

    #[test]
    fn times_that_are_none_are_refused() {
        let mut recording = Recording::default();
        for seconds in [-0.1, f64::NAN, f64::INFINITY, 1e9] {
            let wrong = Found {
                seconds,
                ..found("GET /")
            };
            assert_eq!(recording.push(wrong), Err(Refused::NoTime), "{seconds}");
        }
        let wrong = Found {
            started: f64::NAN,
            ..found("GET /")
        };
        assert_eq!(recording.push(wrong), Err(Refused::NoTime));
    }

    #[test]
    fn errors_are_those_of_the_service() {
        let mut recording = Recording::default();
        for (status, failed) in [(200, false), (404, false), (429, true), (503, true)] {
            let answer = Found {
                status: Some(status),
                ..found("GET /")
            };
            recording.push(answer).unwrap();
            assert_eq!(recording.entries().last().unwrap().failed, failed, "{status}");
        }
    }

    #[test]
    fn the_span_is_from_the_first_begin_to_the_last_end() {
        let mut recording = Recording::default();
        assert!(recording.span().abs() < f64::EPSILON);
        for (started, seconds) in [(5.0, 1.0), (2.0, 6.0), (3.0, 0.1)] {
            let request = Found {
                started,
                seconds,
                ..found("GET /")
            };
            recording.push(request).unwrap();
        }
        assert!((recording.span() - 6.0).abs() < 1e-9);
    }
}
