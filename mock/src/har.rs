//! Recordings in the HTTP Archive format (HAR 1.2, <http://www.softwareishard.com/blog/har-12-spec/>), which browsers and
//! many proxies write.
//!
//! The service time is `timings.wait`, from the end of the request to the begin of the answer; without it `time`, which
//! contains name lookup, connecting and receiving as well. Requests that a browser answered from its cache or never
//! sent are skipped.

mod nested;

use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use crate::record::{Found, MAX_ENTRIES, Recording, RecordingError, Refused, moment, route};
use nested::{Each, Within};

/// Most bytes of a HAR file.
const MAX_BYTES: u64 = 2 << 30;

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "startedDateTime")]
    started: String,
    #[serde(default)]
    time: Option<f64>,
    request: Request,
    response: Response,
    #[serde(default)]
    timings: Timings,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    url: String,
}

#[derive(Deserialize)]
struct Response {
    status: i64,
    #[serde(default)]
    content: Content,
}

/// Size of the body without compression, or -1.
#[derive(Default, Deserialize)]
struct Content {
    #[serde(default)]
    size: Option<f64>,
}

/// Milliseconds; -1 is not known.
#[derive(Default, Deserialize)]
struct Timings {
    #[serde(default)]
    blocked: Option<f64>,
    #[serde(default)]
    dns: Option<f64>,
    /// With the time for TLS.
    #[serde(default)]
    connect: Option<f64>,
    #[serde(default)]
    send: Option<f64>,
    #[serde(default)]
    wait: Option<f64>,
}

impl Timings {
    /// What passed before the service had the request. A browser holds requests back for seconds.
    fn before_wait(&self) -> f64 {
        let parts = [self.blocked, self.dns, self.connect, self.send];
        parts.into_iter().flatten().filter(|part| *part > 0.0).sum()
    }
}

const HINT: &str = "pass a HAR 1.2 file, as the network view of a browser saves it";

/// Adds all requests of a HAR file to `recording`.
pub(crate) fn read(source: impl Read, path: &Path, recording: &mut Recording) -> Result<(), RecordingError> {
    let mut limited = Counted {
        source: source.take(MAX_BYTES),
        left: MAX_BYTES,
    };
    let mut is_full = false;
    let add = |entry: Entry| {
        if !is_full {
            is_full = !take(&entry, recording);
        }
    };
    let mut json = serde_json::Deserializer::from_reader(std::io::BufReader::new(&mut limited));
    let entries = Within::new("entries", Each::new(add));
    let read = serde::de::DeserializeSeed::deserialize(Within::new("log", entries), &mut json);
    let read = read.and_then(|()| json.end());
    drop(json);
    if is_full {
        return Err(RecordingError::too_large(path, format!("{MAX_ENTRIES} requests")));
    }
    let Err(error) = read else {
        return Ok(());
    };
    if limited.left == 0 {
        return Err(RecordingError::too_large(path, format!("{MAX_BYTES} bytes")));
    }
    if error.is_io() {
        return Err(RecordingError::Unreadable {
            path: path.to_owned(),
            source: error.into(),
        });
    }
    let text = error.to_string();
    Err(RecordingError::Malformed {
        path: path.to_owned(),
        line: error.line() as u64,
        column: (error.column() as u64).max(1),
        message: text.split(" at line ").next().unwrap_or_default().to_owned(),
        hint: HINT,
    })
}

/// Adds a request; `false` if there is no room.
fn take(entry: &Entry, recording: &mut Recording) -> bool {
    let wait = entry.timings.wait.filter(|wait| *wait >= 0.0);
    // Without any time it is skipped below, as one that is negative.
    let milliseconds = wait.or(entry.time).unwrap_or(-1.0);
    let status = u16::try_from(entry.response.status)
        .ok()
        .filter(|status| *status >= 100);
    // Where `time` is all that is known, it begins with the request.
    let before = wait.map_or(0.0, |_| entry.timings.before_wait());
    let started = moment::iso8601(&entry.started).map(|started| started + before / 1_000.0);
    // A browser gives status 0 to a request that was blocked or has failed; the service has not answered it.
    let (Some(status), Some(started)) = (status, started) else {
        recording.skipped += 1;
        return true;
    };
    let route = route::of_http(&entry.request.method, &entry.request.url);
    let size = entry.response.content.size.filter(|size| *size >= 0.0);
    let pushed = recording.push(Found {
        route: &route,
        status: Some(status),
        failed: false,
        bytes: size.map(|size| size as u64),
        started,
        seconds: milliseconds / 1_000.0,
    });
    match pushed {
        Ok(()) => true,
        Err(Refused::Full) => false,
        Err(Refused::NoTime) => {
            recording.skipped += 1;
            true
        }
    }
}

/// A reader that shows when its limit is reached.
struct Counted<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Recording, RecordingError> {
        let mut recording = Recording::default();
        read(text.as_bytes(), Path::new("r.har"), &mut recording)?;
        Ok(recording)
    }

    fn entry(status: i64, time: f64, more: &str) -> String {
        format!(
            r#"{{"startedDateTime": "2009-04-16T12:07:23.596Z", "time": {time},
            "request": {{"method": "GET", "url": "http://shop/items/7?x=1", "headers": [{{"name": "a", "value": "b"}}]}},
            "response": {{"status": {status}, "content": {{"size": 33, "text": "secret"}}}}, "cache": {{}}{more}}}"#
        )
    }

    fn file(entries: &[String]) -> String {
        let entries = entries.join(",\n");
        format!(
            r#"{{"log": {{"version": "1.2", "creator": {{"name": "x"}}, "entries": [{entries}], "comment": ""}}}}"#
        )
    }

    #[test]
    fn the_time_is_the_wait_and_else_all_of_it() {
        let timings = r#", "timings": {"blocked": 5, "wait": 37.5, "receive": -1}"#;
        let unknown = r#", "timings": {"wait": -1}"#;
        let text = file(&[
            entry(200, 50.0, timings),
            entry(500, 50.0, unknown),
            entry(200, 50.0, ""),
        ]);
        let recording = read_text(&text).unwrap();
        assert_eq!(recording.routes(), ["GET /items/*"]);
        let times: Vec<f64> = recording.entries().iter().map(|entry| entry.seconds).collect();
        for (time, wanted) in times.iter().zip([0.0375, 0.05, 0.05]) {
            assert!((time - wanted).abs() < 1e-9, "{times:?}");
        }
        let failed: Vec<bool> = recording.entries().iter().map(|entry| entry.failed).collect();
        assert_eq!(failed, [false, true, false]);
        assert_eq!(recording.entries()[0].bytes, Some(33));
        // The service had the first one 5 ms later than the browser.
        let later = recording.entries()[0].started - recording.entries()[1].started;
        assert!((later - 0.005).abs() < 1e-5, "{later}");
    }

    #[test]
    fn requests_that_were_never_answered_are_skipped() {
        let recording = read_text(&file(&[
            entry(0, 0.0, ""),
            entry(200, -1.0, ""),
            entry(204, 1.0, ""),
        ]))
        .unwrap();
        assert_eq!((recording.entries().len(), recording.skipped), (1, 2));
    }

    #[test]
    fn a_mistake_has_its_line_and_column() {
        for (text, wanted) in [
            ("{\"log\": 7}".to_owned(), "r.har:1:"),
            ("{\"log\": {\"entries\": {}}}".to_owned(), "r.har:1:"),
            ("{}".to_owned(), "missing field `log`"),
            (
                "{\"log\": {\"version\": \"1.2\"}}".to_owned(),
                "missing field `entries`",
            ),
            (file(&["\n{\"time\": 1}".to_owned()]), "r.har:2:"),
            (file(&[entry(200, 1.0, "")]) + "x", "trailing characters"),
            ("{\"log\": {\"entries\": [".to_owned(), "EOF while parsing"),
            ("[".repeat(100_000), "r.har:1:"),
        ] {
            let error = read_text(&text).unwrap_err();
            let start: String = text.chars().take(60).collect();
            assert!(error.to_string().contains(wanted), "{start}: {error}");
        }
    }
}
