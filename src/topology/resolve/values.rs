//! Texts to typed values; a text that does not parse is recorded as a mistake.

use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use handlebars::Context;
use serde_json::{Map, Value};

use super::Scope;
use crate::base::failure::UserFacing;
use crate::base::name::NameError;
use crate::base::units::MiB;
use crate::template::{TemplateError, is_template};
use crate::topology::limits::{MAX_MIB, MAX_TIMEOUT_SECONDS};
use crate::topology::raw::Vars;
use crate::topology::reader::At;
use crate::topology::tree::shorten;

pub(super) type Span = Range<usize>;

/// A name of one of the kinds in [`crate::base::name`].
pub(super) fn name<T: FromStr<Err = NameError>>(scope: &Scope<'_>, span: &Span, text: &str) -> Option<T> {
    text.parse()
        .inspect_err(|error: &NameError| {
            scope
                .sink
                .error_hint(span, error.to_string(), error.hint().to_owned());
        })
        .ok()
}

/// A size from `least` to 16 TiB.
pub(super) fn size(scope: &Scope<'_>, span: &Span, text: &str, what: &str, least: u64) -> Option<MiB> {
    let size: MiB = match text.trim().parse() {
        Ok(size) => size,
        Err(error) => {
            let error: crate::base::units::SizeError = error;
            let message = format!("{what}: `{}` is not a size in whole MiB", shorten(text));
            scope.sink.error_hint(span, message, error.hint().to_owned());
            return None;
        }
    };
    if !(least..=MAX_MIB).contains(&size.0) {
        scope.sink.error_hint(
            span,
            format!(
                "{what}: {size} is out of bounds; {} to 16 TiB are allowed",
                MiB(least)
            ),
            "write a size within these bounds, such as 512MiB or 4GiB".to_owned(),
        );
        return None;
    }
    Some(size)
}

/// A timeout, above 0 and at most 30 days.
pub(super) fn time(scope: &Scope<'_>, span: &Span, text: &str) -> Option<Duration> {
    let Ok(time) = humantime::parse_duration(text.trim()) else {
        scope.sink.error_hint(
            span,
            format!("`{}` is not a length of time", shorten(text)),
            "write a number with its unit, such as 30s, 5m or 1h".to_owned(),
        );
        return None;
    };
    if time.is_zero() || time.as_secs() > MAX_TIMEOUT_SECONDS {
        scope.sink.error_hint(
            span,
            format!(
                "a timeout of {} is out of bounds; up to 30 days are allowed",
                shorten(text)
            ),
            "write a time above 0, such as 30s, 5m or 1h".to_owned(),
        );
        return None;
    }
    Some(time)
}

/// A lease: a length of time from a minute to a year, or `never`.
pub(super) fn lease(scope: &Scope<'_>, span: &Span, text: &str) -> Option<Duration> {
    if text.trim() == "never" {
        return None;
    }
    crate::base::units::lease(text)
        .inspect_err(|error| {
            scope
                .sink
                .error_hint(span, error.to_string(), error.hint().to_owned());
        })
        .ok()
}

/// A whole number from 1 to a limit.
pub(super) fn number(scope: &Scope<'_>, span: &Span, text: &str, what: &str, limit: u64) -> Option<u32> {
    match text.trim().parse::<u64>() {
        Ok(number) if (1..=limit).contains(&number) => u32::try_from(number).ok(),
        _ => {
            let message = format!(
                "{what}: `{}` is not a whole number from 1 to {limit}",
                shorten(text)
            );
            let hint = "write digits only, within these bounds".to_owned();
            scope.sink.error_hint(span, message, hint);
            None
        }
    }
}

/// An IP address; `wanted` describes its kind in the message.
pub(super) fn address<T: FromStr>(scope: &Scope<'_>, span: &Span, text: &str, wanted: &str) -> Option<T> {
    let value = text.trim().parse().ok();
    if value.is_none() {
        scope.sink.error_hint(
            span,
            format!("`{}` is not {wanted}", shorten(text)),
            "write it in numbers, such as 192.0.2.7; names are not resolved here".to_owned(),
        );
    }
    value
}

/// A value in the template language, rendered with the data of its host or node.
pub(super) fn rendered(
    scope: &Scope<'_>,
    span: &Span,
    text: &str,
    what: impl Display,
    context: &Context,
) -> Option<String> {
    if !is_template(text) {
        return Some(text.to_owned());
    }
    let report = |error: &TemplateError| template_error(scope, span, &what.to_string(), error);
    let template = scope.engine.compile(text, "value").inspect_err(report).ok()?;
    let unknown = template.unknown_names(text, context);
    unknown.iter().for_each(report);
    if !unknown.is_empty() {
        return None;
    }
    scope.engine.render(&template, context).inspect_err(report).ok()
}

/// A mistake in a template that is written in the topology itself.
pub(super) fn template_error(scope: &Scope<'_>, span: &Span, what: &str, error: &TemplateError) {
    scope
        .sink
        .error_hint(span, format!("{what}: {}", error.message), error.hint());
}

/// The variables as they are written; none if there are none.
pub(super) fn vars(raw: Option<&At<Vars>>) -> Map<String, Value> {
    raw.and_then(At::get)
        .map(|vars| vars.0.clone())
        .unwrap_or_default()
}

/// Variables with every text in them rendered.
pub(super) fn rendered_vars(
    scope: &Scope<'_>,
    span: &Span,
    vars: &Map<String, Value>,
    what: &str,
    context: &Context,
) -> Option<Map<String, Value>> {
    vars.iter()
        .map(|(key, value)| Some((key.clone(), rendered_value(scope, span, value, what, context)?)))
        .collect()
}

fn rendered_value(
    scope: &Scope<'_>,
    span: &Span,
    value: &Value,
    what: &str,
    context: &Context,
) -> Option<Value> {
    Some(match value {
        Value::String(text) => rendered(scope, span, text, what, context)?.into(),
        Value::Array(list) => list
            .iter()
            .map(|item| rendered_value(scope, span, item, what, context))
            .collect::<Option<Vec<_>>>()?
            .into(),
        Value::Object(map) => rendered_vars(scope, span, map, what, context)?.into(),
        other => other.clone(),
    })
}

/// Whether any text in the variables uses the template language.
pub(super) fn uses_templates(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Array(list) => list.iter().any(uses_templates),
        Value::Object(map) => map.values().any(uses_templates),
        _ => false,
    }
}
