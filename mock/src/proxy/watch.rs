//! What is seen of a connection: it turns bytes of both directions into requests with their times.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::json_lines::Line;
use crate::record::LONGEST;

/// Most requests of a connection that wait for their answers. A client that sends more is not recorded any further.
pub(super) const MAX_WAITING: usize = 10_000;

/// The time since the start of the proxy, and its start in seconds since 1970.
pub(super) struct Clock {
    began: Instant,
    epoch: f64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            began: Instant::now(),
            epoch: epoch.as_secs_f64(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A request as a line of the recording.
    pub(super) fn line(&self, seen: Seen) -> Line {
        let microseconds = |seconds: f64| (seconds * 1e6).round() / 1e6;
        let seconds = seen.ended.saturating_sub(seen.started).as_secs_f64().min(LONGEST);
        Line {
            route: seen.route,
            started: microseconds(self.epoch + seen.started.as_secs_f64()),
            // A tenth of a microsecond: the fastest services take some microseconds.
            seconds: (seconds * 1e7).round() / 1e7,
            status: seen.status,
            error: seen.error.map(str::to_owned),
            bytes: seen.bytes,
        }
    }
}

/// One request with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) route: String,
    pub(super) started: Duration,
    pub(super) ended: Duration,
    pub(super) status: Option<u16>,
    pub(super) error: Option<&'static str>,
    pub(super) bytes: Option<u64>,
}

/// The connection does not speak the protocol, or a part of it that is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotUnderstood;

/// Reads both directions of a connection. Times are since the start of the proxy.
pub(super) trait Watch: Send {
    /// The connection is open.
    fn begin(&mut self, _now: Duration) {}

    /// The client has sent this.
    fn request(&mut self, bytes: &[u8], now: Duration) -> Result<(), NotUnderstood>;

    /// The service has sent this. Requests that are answered are added to `seen`.
    fn answer(&mut self, bytes: &[u8], now: Duration, seen: &mut Vec<Seen>) -> Result<(), NotUnderstood>;

    /// The connection has ended; `by_service` if the service closed it first.
    fn end(&mut self, now: Duration, by_service: bool, seen: &mut Vec<Seen>);
}

/// A connection as one request.
#[derive(Default)]
pub(super) struct Connection {
    started: Duration,
    bytes: u64,
}

impl Watch for Connection {
    fn begin(&mut self, now: Duration) {
        self.started = now;
    }

    fn request(&mut self, _: &[u8], _: Duration) -> Result<(), NotUnderstood> {
        Ok(())
    }

    fn answer(&mut self, bytes: &[u8], _: Duration, _: &mut Vec<Seen>) -> Result<(), NotUnderstood> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn end(&mut self, now: Duration, _: bool, seen: &mut Vec<Seen>) {
        seen.push(Seen {
            route: String::new(),
            started: self.started,
            ended: now,
            status: None,
            error: None,
            bytes: Some(self.bytes),
        });
    }
}

/// Requests of a connection that wait for their answers, first come, first answered.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    requests: std::collections::VecDeque<(String, Duration)>,
    /// When the last one was answered: the next one begins then at the earliest.
    answered: Duration,
}

impl Waiting {
    /// A request is complete.
    pub(super) fn add(&mut self, route: String, now: Duration) -> Result<(), NotUnderstood> {
        if self.requests.len() >= MAX_WAITING {
            return Err(NotUnderstood);
        }
        self.requests.push_back((route, now));
        Ok(())
    }

    /// The oldest one is answered: its route and when it began.
    pub(super) fn take(&mut self, now: Duration) -> Option<(String, Duration)> {
        let (route, sent) = self.requests.pop_front()?;
        let started = sent.max(self.answered);
        self.answered = now;
        Some((route, started))
    }

    /// The route of the oldest one.
    pub(super) fn first(&self) -> Option<&str> {
        self.requests.front().map(|(route, _)| route.as_str())
    }

    /// The connection has ended without an answer to the oldest one. Those after it may not have been read.
    pub(super) fn give_up(&mut self, now: Duration, by_service: bool, seen: &mut Vec<Seen>) {
        // A client that does not wait for the answer is no error of the service.
        if !by_service {
            return;
        }
        if let Some((route, started)) = self.take(now) {
            seen.push(Seen {
                route,
                started,
                ended: now,
                status: None,
                error: Some("empty_response"),
                bytes: None,
            });
        }
    }
}
