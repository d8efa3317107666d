//! HTTP/1.x by message. An answer that comes before its request is complete, HTTP/2 and upgraded connections are not
//! recorded.

mod messages;

use std::time::Duration;

use super::watch::{NotUnderstood, Seen, Waiting, Watch};
use crate::record::route;
use messages::{Event, Framing, Messages};

/// Reads both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Http {
    requests: Messages,
    answers: Messages,
    waiting: Waiting,
    /// The route of the request that is being read.
    route: String,
    /// The status of the answer that is being read.
    status: u16,
}

impl Watch for Http {
    fn request(&mut self, bytes: &[u8], now: Duration) -> Result<(), NotUnderstood> {
        let mut rest = bytes;
        while let Some(event) = self.requests.next(&mut rest, now)? {
            match event {
                Event::Head(head) => {
                    let head = Head::parse(&head)?;
                    let (method, target) = head.request()?;
                    self.route = route::of_http(method, target);
                    self.requests.body(head.framing()?.unwrap_or(Framing::None));
                }
                Event::End(_) => self.waiting.add(std::mem::take(&mut self.route), now)?,
            }
        }
        Ok(())
    }

    fn answer(&mut self, bytes: &[u8], now: Duration, seen: &mut Vec<Seen>) -> Result<(), NotUnderstood> {
        let mut rest = bytes;
        while let Some(event) = self.answers.next(&mut rest, now)? {
            match event {
                Event::Head(head) => self.head_of_answer(&head)?,
                Event::End(size) => self.end_of_answer(size, now, seen)?,
            }
        }
        Ok(())
    }

    fn end(&mut self, now: Duration, by_service: bool, seen: &mut Vec<Seen>) {
        if let Some(size) = self.answers.closed() {
            // It is complete all the same where it was the last one.
            let _ = self.end_of_answer(size, now, seen);
        } else {
            self.waiting.give_up(now, by_service, seen);
        }
    }
}

impl Http {
    /// Whether the answer is followed by the real one: 100 (Continue) and 103 (Early Hints), not 101.
    fn is_interim(&self) -> bool {
        (100..=199).contains(&self.status) && self.status != 101
    }

    fn head_of_answer(&mut self, head: &[u8]) -> Result<(), NotUnderstood> {
        let head = Head::parse(head)?;
        self.status = head.status()?;
        // 100 (Continue) comes before the request is complete.
        if self.is_interim() {
            self.answers.body(Framing::None);
            return Ok(());
        }
        let Some(route) = self.waiting.first() else {
            // An answer to a request that is not complete cannot be told from one to the request before it.
            return if self.requests.is_between() {
                self.unasked(&head)
            } else {
                Err(NotUnderstood)
            };
        };
        let has_none = route.starts_with("HEAD ") || matches!(self.status, 100..=199 | 204 | 304);
        let framing = if has_none {
            Framing::None
        } else {
            head.framing()?.unwrap_or(Framing::UntilClose)
        };
        self.answers.body(framing);
        Ok(())
    }

    /// An answer without a request, such as 408 before the service closes an idle connection.
    fn unasked(&mut self, head: &Head<'_>) -> Result<(), NotUnderstood> {
        self.answers.body(head.framing()?.unwrap_or(Framing::UntilClose));
        Ok(())
    }

    fn end_of_answer(&mut self, size: u64, now: Duration, seen: &mut Vec<Seen>) -> Result<(), NotUnderstood> {
        if self.is_interim() {
            return Ok(());
        }
        let begun = self.answers.begun();
        if let Some((route, started)) = self.waiting.take(now) {
            let is_tunnel = self.status == 101 || (route.starts_with("CONNECT ") && self.status < 300);
            seen.push(Seen {
                route,
                started,
                ended: begun.max(started),
                status: Some(self.status),
                error: None,
                bytes: Some(size),
            });
            if is_tunnel {
                return Err(NotUnderstood);
            }
        }
        Ok(())
    }
}

/// The first line and the header fields of a message.
struct Head<'a> {
    first: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Head<'a> {
    fn parse(head: &'a [u8]) -> Result<Self, NotUnderstood> {
        let text = std::str::from_utf8(head).map_err(|_| NotUnderstood)?;
        let mut lines = text.lines();
        let first = lines.next().ok_or(NotUnderstood)?;
        // What has no colon is of no interest here: the service refuses it.
        let fields = lines.filter_map(|line| line.split_once(':')).collect();
        Ok(Self { first, fields })
    }

    /// Method and target.
    fn request(&self) -> Result<(&'a str, &'a str), NotUnderstood> {
        let mut words = self.first.split(' ');
        let (method, target) = (words.next(), words.next());
        let version = words.next().unwrap_or_default();
        match (method, target) {
            (Some(method), Some(target)) if version.starts_with("HTTP/1.") => Ok((method, target)),
            _ => Err(NotUnderstood),
        }
    }

    fn status(&self) -> Result<u16, NotUnderstood> {
        let mut words = self.first.split(' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|status| status.parse().ok());
        let status = status.filter(|status| (100..=999).contains(status) && version.starts_with("HTTP/1."));
        status.ok_or(NotUnderstood)
    }

    /// How the body is framed (RFC 9112, section 6.3); `None` where the header does not say.
    fn framing(&self) -> Result<Option<Framing>, NotUnderstood> {
        let values = |name: &'static str| {
            let is_it = move |field: &&(&str, &str)| field.0.trim().eq_ignore_ascii_case(name);
            self.fields.iter().filter(is_it).map(|field| field.1.trim())
        };
        if let Some(encoding) = values("transfer-encoding").next_back() {
            let last = encoding.rsplit(',').next().unwrap_or_default();
            let is_chunked = last.trim().eq_ignore_ascii_case("chunked");
            return Ok(is_chunked.then_some(Framing::Chunked));
        }
        let mut lengths = values("content-length").map(str::parse::<u64>);
        let Some(first) = lengths.next() else {
            return Ok(None);
        };
        let first = first.map_err(|_| NotUnderstood)?;
        if lengths.any(|other| other != Ok(first)) {
            return Err(NotUnderstood);
        }
        Ok(Some(Framing::Length(first)))
    }
}
