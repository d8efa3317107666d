//! JSON lines: one object per line with `metric`, `value`, and optionally `unit` and `labels`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lines::Line;
use super::number::shown;
use super::problems::Problem;
use super::sink::{Series, Sink};
use crate::base::text;
use crate::measure::Unit;

/// A line. Other keys are ignored.
#[derive(Deserialize)]
struct Record<'a> {
    metric: String,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(default)]
    unit: Option<String>,
    #[serde(borrow, default)]
    labels: Option<BTreeMap<String, &'a RawValue>>,
}

/// Takes a line.
pub(super) fn line(line: &Line<'_>, sink: &mut Sink) {
    let bytes = line.bytes.trim_ascii();
    if bytes.is_empty() {
        return;
    }
    let read = record(bytes).and_then(|record| {
        let value = record.value.get().as_bytes();
        Ok((record.metric, value, labels(record.labels)?, unit(record.unit)?))
    });
    match read {
        Ok((name, value, labels, unit)) => sink.series(Series {
            name: &name,
            value,
            labels,
            unit,
        }),
        // The last line was not written to its end.
        Err(_) if !line.ended => sink.problem_at(Problem::Torn, line.number, &shown(bytes)),
        Err(why) => sink.problem_at(Problem::Malformed, line.number, &why),
    }
}

fn record(bytes: &[u8]) -> Result<Record<'_>, String> {
    // A record could be read from an array as well.
    if !bytes.starts_with(b"{") {
        return Err(format!("{} is not an object", shown(bytes)));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        // The line in the message is always 1.
        let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason);
        text::line(text::shortened(reason, 100).as_bytes())
    })
}

fn labels(labels: Option<BTreeMap<String, &RawValue>>) -> Result<BTreeMap<String, String>, String> {
    let labels = labels.unwrap_or_default().into_iter();
    labels
        .map(|(name, value)| {
            let json = value.get();
            let value = match json.as_bytes().first() {
                Some(b'"') => serde_json::from_str(json).ok(),
                Some(b'{' | b'[' | b'n') => None,
                _ => Some(json.to_owned()),
            };
            let wrong = || {
                format!(
                    "the label {} has the value {}",
                    shown(name.as_bytes()),
                    shown(json.as_bytes())
                )
            };
            let value = value.ok_or_else(wrong)?;
            Ok((name, value))
        })
        .collect()
}

fn unit(unit: Option<String>) -> Result<Option<Unit>, String> {
    let Some(text) = unit.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match Unit::new(&text) {
        Some(unit) => Ok(Some(unit)),
        None => Err(format!("{} is not a unit", shown(text.as_bytes()))),
    }
}
