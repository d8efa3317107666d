//! Recordings as JSON lines: what `vcluster mock record` writes, and a form that other recorders can write.
//!
//! One object in each line: `{"route": "GET /x", "started": 1767225600.25, "seconds": 0.003, "status": 200}`. `seconds`
//! is required; further keys are ignored.

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use crate::record::lines::Lines;
use crate::record::{Found, Recording, RecordingError, Refused, route};

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// `METHOD PATH` of HTTP, the command of Redis, the query of PostgreSQL, empty for TCP.
    #[serde(default)]
    pub route: String,
    /// When it began, in seconds since 1970 or any other moment; not a number if that is not known.
    #[serde(default = "unknown")]
    pub started: f64,
    /// How long the service took, in seconds.
    pub seconds: f64,
    /// Status of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error, if the answer was one that has no status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Size of the answer's body in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// A begin that is not known. No JSON contains it.
fn unknown() -> f64 {
    f64::NAN
}

/// The line as text, with its line break.
pub(crate) fn text(line: &Line) -> String {
    // Numbers and strings always can be written; a time that is no number becomes null.
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    text
}

const HINT: &str =
    "write one object in each line: {\"route\": \"GET /x\", \"started\": 1.5, \"seconds\": 0.003}";

/// Adds all lines of a recording to `recording`.
pub(crate) fn read<R: BufRead>(
    lines: &mut Lines<'_, R>,
    recording: &mut Recording,
) -> Result<(), RecordingError> {
    while lines.advance()? {
        if lines.line().iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line: Line = match serde_json::from_slice(lines.line()) {
            Ok(line) => line,
            // A recorder that was killed while it wrote.
            Err(error) if error.is_eof() && !lines.is_terminated() => {
                recording.skipped += 1;
                continue;
            }
            Err(error) => {
                let text = error.to_string();
                // The place is in the error of this file already.
                let text = text.split(" at line ").next().unwrap_or_default().to_owned();
                return Err(lines.malformed(error.column().saturating_sub(1), text, HINT));
            }
        };
        let route = route::of_text(&line.route);
        if line.started.is_nan() {
            recording.resolution = f64::INFINITY;
        }
        let pushed = recording.push(Found {
            route: &route,
            status: line.status,
            failed: line.error.is_some(),
            bytes: line.bytes,
            started: if line.started.is_nan() { 0.0 } else { line.started },
            seconds: line.seconds,
        });
        match pushed {
            Ok(()) => {}
            Err(Refused::Full) => return Err(lines.full()),
            Err(Refused::NoTime) => {
                let text = format!("`seconds` is {}, and not 0 to 86400", line.seconds);
                return Err(lines.malformed(0, text, HINT));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read_text(text: &str) -> Result<Recording, RecordingError> {
        let mut recording = Recording::default();
        let mut lines = Lines::new(text.as_bytes(), Path::new("r.jsonl"));
        read(&mut lines, &mut recording)?;
        Ok(recording)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let line = Line {
            route: "GET /items/*".to_owned(),
            started: 1_767_225_600.25,
            seconds: 0.003,
            status: Some(503),
            error: None,
            bytes: Some(12),
        };
        let recording = read_text(&text(&line).repeat(3)).unwrap();
        assert_eq!(recording.routes(), ["GET /items/*"]);
        assert_eq!(recording.entries().len(), 3);
        let entry = recording.entries()[2];
        assert!(entry.failed && entry.status == 503 && entry.bytes == Some(12));
        assert!((entry.seconds - 0.003).abs() < 1e-12 && (entry.started - 1_767_225_600.25).abs() < 1e-6);
    }

    #[test]
    fn only_the_time_is_needed_and_more_keys_are_ignored() {
        let recording = read_text("{\"seconds\":1,\"trace\":[1,{\"a\":2}]}\n\n  \n").unwrap();
        assert_eq!(recording.entries().len(), 1);
        assert_eq!(recording.routes(), [""]);
        assert!(recording.resolution.is_infinite());
        assert!(read_text("{\"seconds\":1,\"started\":0}\n").unwrap().resolution < 1e-9);
    }

    #[test]
    fn a_mistake_has_its_line_and_column() {
        for (text, wanted) in [
            ("{\"seconds\":1}\n{\"seconds\":\"x\"}\n", "r.jsonl:2:"),
            ("{\"route\":\"GET /\"}\n", "missing field `seconds`"),
            ("{\"seconds\":-1}\n", "`seconds` is -1, and not 0 to 86400"),
            ("{\"seconds\":1\n", "r.jsonl:1:"),
            ("nonsense\n", "r.jsonl:1:"),
        ] {
            let error = read_text(text).unwrap_err();
            assert!(error.to_string().contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn the_last_line_of_a_recorder_that_was_killed_is_skipped() {
        let recording = read_text("{\"seconds\":1}\n{\"secon").unwrap();
        assert_eq!((recording.entries().len(), recording.skipped), (1, 1));
    }
}
