//! The text formats of Prometheus (0.0.4) and OpenMetrics (1.0):
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>. Every series keeps its own name. Times and exemplars are
//! checked and left out.

use std::collections::{BTreeMap, HashMap};

use super::limits;
use super::lines::Line;
use super::number::{finite, shown};
use super::problems::Problem;
use super::sink::{Series, Sink};
use crate::measure::Unit;

/// Separates the words of a line.
const BLANK: [char; 2] = [' ', '\t'];

/// Units of the families of a file.
#[derive(Debug, Default)]
pub(super) struct Families(HashMap<String, Unit>);

/// Takes a line.
pub(super) fn line(line: &Line<'_>, families: &mut Families, sink: &mut Sink) {
    let bytes = line.bytes.trim_ascii();
    // The end of the last line is missing, and perhaps digits before it.
    if !line.ended && !bytes.is_empty() && bytes != b"# EOF" {
        sink.problem_at(Problem::Torn, line.number, &shown(bytes));
        return;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        sink.problem_at(Problem::Malformed, line.number, "it is not UTF-8");
        return;
    };
    if text.is_empty() {
        return;
    }
    if let Some(comment) = text.strip_prefix('#') {
        families.comment(comment);
        return;
    }
    match point(text) {
        Ok(point) if is_name(point.name, true) => {
            let unit = families.unit(point.name);
            sink.series(Series {
                name: point.name,
                value: point.value.as_bytes(),
                labels: point.labels,
                unit,
            });
        }
        Ok(point) => sink.bad_name(point.name),
        Err(why) => sink.problem_at(
            Problem::Malformed,
            line.number,
            &format!("{} {why}", shown(bytes)),
        ),
    }
}

impl Families {
    /// Reads `UNIT FAMILY UNIT`; everything else is for people.
    fn comment(&mut self, comment: &str) {
        let words: Vec<&str> = comment
            .split(BLANK)
            .filter(|word| !word.is_empty())
            .take(4)
            .collect();
        if let ["UNIT", family, unit] = words[..]
            && self.0.len() < limits::NAMES
            && let Some(unit) = known_unit(unit)
        {
            self.0.insert(family.to_owned(), unit);
        }
    }

    /// The unit of a series. The buckets and counts of a family are numbers of observations.
    fn unit(&self, name: &str) -> Option<Unit> {
        let of = |suffix: &str| name.strip_suffix(suffix).and_then(|family| self.0.get(family));
        let unit = ["", "_total", "_sum", "_gsum"].into_iter().find_map(of);
        unit.cloned().or_else(|| of("_created").map(|_| Unit::seconds()))
    }
}

/// A unit by its long name, as both formats write them. A ratio has none.
fn known_unit(text: &str) -> Option<Unit> {
    match text {
        "seconds" => Some(Unit::seconds()),
        "bytes" => Some(Unit::bytes()),
        "milliseconds" => Unit::new("ms"),
        "microseconds" => Unit::new("us"),
        "nanoseconds" => Unit::new("ns"),
        "percent" => Unit::new("%"),
        "ratio" => None,
        other => Unit::new(other),
    }
}

/// A line with a value.
struct Point<'a> {
    name: &'a str,
    labels: BTreeMap<String, String>,
    value: &'a str,
}

/// Reads `NAME{LABELS} VALUE [TIME] [# {LABELS} VALUE [TIME]]`.
fn point(text: &str) -> Result<Point<'_>, &'static str> {
    let end = text.find(['{', ' ', '\t']).ok_or("has no value")?;
    let (name, rest) = text.split_at(end);
    let (labels, rest) = match rest.trim_start_matches(BLANK).strip_prefix('{') {
        Some(inner) => labels(inner)?,
        None => (BTreeMap::new(), rest),
    };
    let (point, exemplar) = match rest.split_once('#') {
        Some((point, exemplar)) => (point, Some(exemplar)),
        None => (rest, None),
    };
    let value = value(point)?;
    if let Some(exemplar) = exemplar {
        let inner = exemplar.trim_start_matches(BLANK).strip_prefix('{');
        let (_, rest) = self::labels(inner.ok_or("has an exemplar without labels")?)?;
        self::value(rest)?;
    }
    Ok(Point { name, labels, value })
}

/// Reads `VALUE [TIME]`.
fn value(text: &str) -> Result<&str, &'static str> {
    let mut words = text.split(BLANK).filter(|word| !word.is_empty());
    let value = words.next().ok_or("has no value")?;
    let is_time = words.next().is_none_or(|time| finite(time.as_bytes()).is_some());
    if is_time && words.next().is_none() {
        Ok(value)
    } else {
        Err("has more than a value and a time")
    }
}

/// Reads `NAME="VALUE",...}`; gives the rest as well.
fn labels(text: &str) -> Result<(BTreeMap<String, String>, &str), &'static str> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(BLANK);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once('=').ok_or("has labels without end")?;
        let name = name.trim_end_matches(BLANK);
        if !is_name(name, false) {
            return Err("has a label with a wrong name");
        }
        let quoted = after.trim_start_matches(BLANK).strip_prefix('"');
        let (value, after) = unquoted(quoted.ok_or("has a label without quotes")?)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err("has a label twice");
        }
        let after = after.trim_start_matches(BLANK);
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.starts_with('}') => after,
            None => return Err("has labels without end"),
        };
    }
}

/// Reads the value of a label up to its closing quote. A backslash before anything that needs none is text.
fn unquoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            plain => value.push(plain),
        }
    }
    Err("has a label without closing quote")
}

/// Whether a text is the name of a metric, in which colons are allowed, or of a label.
fn is_name(text: &str, colons: bool) -> bool {
    let allowed = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    text.starts_with(allowed) && text.chars().all(|c| allowed(c) || c.is_ascii_digit())
}
