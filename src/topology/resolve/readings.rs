//! Where the samples of a metric are, and how they are read.

use super::values::Span;
use super::{Scope, files};
use crate::base::suggest::nearest;
use crate::measure::{MetricSource, Reading, pattern};
use crate::topology::raw_metrics::{Format, RawMetric};
use crate::topology::reader::At;
use crate::topology::tree::shorten;

/// The longest JSON pointer, in bytes.
const MAX_POINTER: usize = 1_000;

/// How a metric is read: exactly one of `regex`, `json` and `format`.
pub(super) fn reading(scope: &Scope<'_>, span: &Span, name: &str, raw: &RawMetric) -> Option<Reading> {
    let given: Vec<(&str, &Span)> = [
        ("regex", raw.regex.as_ref().map(|at| &at.span)),
        ("json", raw.json.as_ref().map(|at| &at.span)),
        ("format", raw.format.as_ref().map(|at| &at.span)),
    ]
    .into_iter()
    .filter_map(|(key, span)| Some((key, span?)))
    .collect();
    match given.as_slice() {
        [_] => {}
        [] => {
            scope.sink.error_hint(
                span,
                format!("nothing says how the metric `{}` is read", shorten(name)),
                "add one of `regex: 'joined in ([0-9.]+) s'`, `json: /path/to/number` and `format: openmetrics`"
                    .to_owned(),
            );
            return None;
        }
        [(first, _), (second, place), ..] => {
            scope.sink.error_hint(
                place,
                format!("the metric has both `{first}` and `{second}`"),
                "keep one of the two".to_owned(),
            );
            return None;
        }
    }
    if let Some(at) = &raw.regex {
        return regex(scope, at);
    }
    if let Some(at) = &raw.json {
        return pointer(scope, at);
    }
    Some(match raw.format.as_ref()?.get()? {
        Format::Openmetrics | Format::Prometheus => Reading::OpenMetrics,
        Format::Jsonl => Reading::JsonLines,
    })
}

fn regex(scope: &Scope<'_>, at: &At<String>) -> Option<Reading> {
    let text = at.get()?;
    match pattern(text) {
        Ok(_) => Some(Reading::Regex(text.clone())),
        Err(error) => {
            scope
                .sink
                .error_hint(&at.span, error.to_string(), error.hint().to_owned());
            None
        }
    }
}

/// RFC 6901, section 3.
fn pointer(scope: &Scope<'_>, at: &At<String>) -> Option<Reading> {
    let text = at.get()?;
    let is_relative = !text.is_empty() && !text.starts_with('/');
    let mut escapes = text.split('~').skip(1);
    let is_unescaped = escapes.any(|rest| !rest.starts_with(['0', '1']));
    let (message, hint) = if text.len() > MAX_POINTER || text.chars().any(char::is_control) {
        (
            "is too long or contains control characters",
            format!("write at most {MAX_POINTER} printable characters"),
        )
    } else if is_relative {
        (
            "is not a JSON pointer: it does not begin with `/`",
            format!("write `{}`", as_pointer(text)),
        )
    } else if is_unescaped {
        (
            "is not a JSON pointer: a `~` is not followed by 0 or 1",
            "write `~0` for a `~` in a key, and `~1` for a `/`".to_owned(),
        )
    } else {
        return Some(Reading::Json(text.clone()));
    };
    scope
        .sink
        .error_hint(&at.span, format!("json: `{}` {message}", shorten(text)), hint);
    None
}

/// What is probably meant by a path in the form of JSONPath or jq: `$.jobs[0].read` is `/jobs/0/read`.
fn as_pointer(text: &str) -> String {
    let words = text.split(['.', '[', ']', '/', '\'', '"', '$']);
    let words = words.filter(|word| !word.is_empty());
    let pointer: String = words
        .map(|word| format!("/{}", word.replace('~', "~0")))
        .collect();
    if pointer.is_empty() {
        "/key".to_owned()
    } else {
        shorten(&pointer)
    }
}

/// Where a metric is read from; with a regex the standard output by default.
pub(super) fn source(scope: &Scope<'_>, span: &Span, raw: &RawMetric) -> Option<MetricSource> {
    const WANTED: &str = "write `stdout`, `stderr`, or the absolute path of a file on the node";
    let Some(at) = &raw.from else {
        if raw.regex.is_some() || (raw.json.is_none() && raw.format.is_none()) {
            return Some(MetricSource::Stdout);
        }
        let hint = "add `from: /path` of a file on the node, or `from: stdout`".to_owned();
        scope.sink.error_hint(span, "the metric has no `from`", hint);
        return None;
    };
    let text = at.get()?;
    let (message, hint) = match text.as_str() {
        "stdout" => return Some(MetricSource::Stdout),
        "stderr" => return Some(MetricSource::Stderr),
        path if path.starts_with('/') => match files::check_glob(path) {
            Ok(()) => return Some(MetricSource::File(path.to_owned())),
            Err(message) => (
                format!("from: {message}"),
                "write an absolute path; `*`, `?` and `[...]` are allowed".to_owned(),
            ),
        },
        other => (
            format!(
                "from: `{}` is neither `stdout`, `stderr` nor an absolute path",
                shorten(other)
            ),
            nearest(other, ["stdout", "stderr"])
                .map_or_else(|| WANTED.to_owned(), |near| format!("did you mean `{near}`?")),
        ),
    };
    scope.sink.error_hint(&at.span, message, hint);
    None
}
