//! The form of a line of JSON for programs: on standard output with `--format json`, and in the `events.jsonl` of a run.
//! A header with the version comes first; each further line carries its number, the seconds since then, and its type.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::text::is_hazard;

/// Version of the lines.
pub const JSON_VERSION: u32 = 1;

#[derive(Serialize)]
struct Header {
    version: u32,
    r#type: &'static str,
    release: &'static str,
}

#[derive(Serialize)]
struct Line<'a, T> {
    seq: u64,
    elapsed: f64,
    r#type: &'a str,
    #[serde(flatten)]
    content: T,
}

/// The first line.
pub(crate) fn header() -> String {
    let header = Header {
        version: JSON_VERSION,
        r#type: "vcluster",
        release: env!("CARGO_PKG_VERSION"),
    };
    serde_json::to_string(&header).unwrap_or_default() + "\n"
}

/// A line of the given type. `content` must serialize to a JSON object.
pub(crate) fn format(seq: u64, elapsed: Duration, kind: &str, content: &impl Serialize) -> String {
    let elapsed = (elapsed.as_secs_f64() * 1000.0).round() / 1000.0;
    let line = Line {
        seq,
        elapsed,
        r#type: kind,
        content,
    };
    match serde_json::to_string(&line) {
        Ok(text) => harmless(text) + "\n",
        // Content that is not an object is a bug; the reader must still get a line of JSON.
        Err(error) => {
            serde_json::json!({"seq": seq, "elapsed": elapsed, "type": "error", "error": error.to_string()})
                .to_string()
                + "\n"
        }
    }
}

/// JSON without characters that control a terminal: those that serde does not escape (C1, DEL, text
/// direction) are escaped. They occur in strings only, so it is the same JSON.
pub fn harmless(json: String) -> String {
    if !json.chars().any(is_hazard) {
        return json;
    }
    let mut safe = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if is_hazard(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}
