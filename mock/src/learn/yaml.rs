//! A learnt mock as YAML: one line for each value, and comments with what it rests on.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

use super::{Basis, Learnt, Load};
use crate::fit::{BOUND, TAIL};
use crate::spec::{Mock, Time};

/// The file of mocks.
pub(super) fn text(learnt: &Learnt) -> String {
    let mut text = format!(
        "# Learnt from {} requests in {:.1} s. A distribution with parameters is used where its distance (Kolmogorov\n\
         # and Smirnov) from the recorded times is at most {BOUND} (for fewer than 314 times 0.886 / sqrt(n)) and its p99\n\
         # is within {:.0} % of the recorded one; quantiles where none is that close.\n",
        learnt.requests,
        learnt.span,
        TAIL * 100.0
    );
    for note in &learnt.notes {
        let _ = writeln!(text, "# Note: {note}.");
    }
    text.push_str("mocks:\n");
    for (name, mock) in &learnt.mocks.mocks {
        let _ = writeln!(text, "  {}:", scalar(name));
        one(&mut text, learnt, mock);
    }
    text
}

fn one(text: &mut String, learnt: &Learnt, mock: &Mock) {
    line(text, 4, "protocol", &mock.protocol);
    line(text, 4, "listen", &mock.listen);
    let _ = writeln!(text, "    # {}", capacity(&learnt.capacity));
    if let Some(capacity) = &mock.capacity {
        // Only what was found; the rest is as by default.
        let _ = writeln!(text, "    capacity: {{ workers: {} }}", capacity.workers);
    }
    let _ = writeln!(text, "    # all: {}", rests_on(&learnt.all));
    line(text, 4, "latency", &mock.latency);
    option(text, 4, "errors", mock.errors.as_ref());
    option(text, 4, "body", mock.body.as_ref());
    if mock.routes.is_empty() {
        return;
    }
    text.push_str("    routes:\n");
    for (route, basis) in mock.routes.iter().zip(&learnt.routes) {
        let _ = writeln!(text, "      # {}", rests_on(basis));
        let _ = writeln!(text, "      - match: {}", flow(&route.matches));
        line(text, 8, "latency", &route.latency);
        option(text, 8, "errors", route.errors.as_ref());
        option(text, 8, "body", route.body.as_ref());
    }
}

fn capacity(load: &Load) -> String {
    match load {
        Load::Determined {
            workers,
            in_flight,
            explained,
        } => format!(
            "capacity: latency grows in proportion to the requests in flight from {workers} on (up to {in_flight}; \
             explains {:.0} %)",
            explained * 100.0
        ),
        Load::NotDetermined { reason } => format!("capacity: not determined: {reason}"),
    }
}

/// What a part rests on, on one line.
fn rests_on(basis: &Basis) -> String {
    let time = |seconds: f64| Time::from_seconds((seconds * 1e7).round() / 1e7).to_string();
    let mut text = format!(
        "{} requests, {} failed, p50 {}, p99 {} of {}; {}",
        basis.requests,
        basis.failed,
        time(basis.p50),
        time(basis.p99),
        basis.used,
        basis.distribution
    );
    if let Some(method) = basis.method {
        let _ = write!(text, " {}", method.as_str());
    }
    let _ = write!(text, ", distance {:.3}", basis.distance);
    if let Some((name, distance)) = basis.rejected {
        let _ = write!(text, " (closest with parameters: {name}, {distance:.3})");
    }
    text
}

fn option<T: Serialize>(text: &mut String, indent: usize, key: &str, value: Option<&T>) {
    if let Some(value) = value {
        line(text, indent, key, value);
    }
}

fn line<T: Serialize>(text: &mut String, indent: usize, key: &str, value: &T) {
    let _ = writeln!(text, "{:indent$}{key}: {}", "", flow(value));
}

/// A value in the flow style of YAML.
fn flow<T: Serialize>(value: &T) -> String {
    let mut text = String::new();
    // The types of a mock always can be written.
    write_flow(&mut text, &serde_json::to_value(value).unwrap_or_default());
    text
}

fn write_flow(text: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            text.push_str("{ ");
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                text.push_str(&scalar(key));
                text.push_str(": ");
                write_flow(text, value);
            }
            text.push_str(" }");
        }
        Value::Array(list) => {
            text.push('[');
            for (index, value) in list.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                write_flow(text, value);
            }
            text.push(']');
        }
        Value::String(string) => text.push_str(&scalar(string)),
        other => text.push_str(&other.to_string()),
    }
}

/// A string: plain where YAML cannot read it as anything else, else in double quotes as in JSON.
fn scalar(text: &str) -> String {
    let is_key = text.len() > 3
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && !["null", "true", "false"].contains(&text);
    let is_measure = ["ns", "us", "ms", "s", "B", "KiB", "MiB", "GiB"]
        .iter()
        .any(|unit| {
            let number = text.strip_suffix(unit).unwrap_or_default();
            number.starts_with(|c: char| c.is_ascii_digit())
                && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        });
    if is_key || is_measure || ["p99", "min", "max"].contains(&text) {
        return text.to_owned();
    }
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_yaml_could_read_as_something_else_are_quoted() {
        for (text, wanted) in [
            ("lognormal", "lognormal"),
            ("3.2ms", "3.2ms"),
            ("4KiB", "4KiB"),
            ("true", "\"true\""),
            ("null", "\"null\""),
            ("no", "\"no\""),
            ("0x1B", "\"0x1B\""),
            ("1e3", "\"1e3\""),
            ("GET", "\"GET\""),
            ("/a: b # \"c\"\n", "\"/a: b # \\\"c\\\"\\n\""),
            ("", "\"\""),
        ] {
            assert_eq!(scalar(text), wanted, "{text}");
        }
    }

    #[test]
    fn values_are_written_in_flow_style() {
        let value = serde_json::json!({"rate": 0.01, "kind": "status", "list": [[0, "x"], []], "none": null});
        assert_eq!(
            flow(&value),
            "{ rate: 0.01, kind: status, list: [[0, \"x\"], []], none: null }"
        );
    }
}
