//! `criteria`: what must hold after a run, by metric.

use std::time::Duration;

use super::groups::Groups;
use super::known::{self, Known, KnownUnit};
use super::metrics::Made;
use super::properties::NAME;
use super::values::Span;
use super::{Scope, metric_values, nodes};
use crate::base::suggest::suggest;
use crate::measure::{Abort, Criterion, Expression, MetricName, MetricSpec, Severity};
use crate::topology::limits::{MAX_CRITERIA, MAX_TIMEOUT_SECONDS};
use crate::topology::raw::Time;
use crate::topology::raw_metrics::RawBound;
use crate::topology::reader::{At, Entries};
use crate::topology::shapes::{OneOrMany, TextOr};
use crate::topology::tree::shorten;

/// The criteria in the order of the file. One with a mistake may be left out or be without the key in question: the
/// mistake is in the sink.
pub(super) fn resolve(
    scope: &Scope<'_>,
    raw: Option<&At<Entries<OneOrMany<TextOr<RawBound>>>>>,
    made: &Made,
    properties: &[MetricSpec],
    groups: &Groups,
) -> Vec<Criterion> {
    let reader = Reader {
        scope,
        made,
        properties,
        groups,
    };
    let mut criteria = Vec::new();
    let mut count = 0;
    let entries = raw.and_then(At::get);
    for (key, list) in entries.into_iter().flat_map(|entries| &entries.0) {
        let Some(text) = key.get() else { continue };
        let subject = reader.subject(&key.span, text);
        let Some(list) = list.get() else { continue };
        if list.0.is_empty() {
            scope.sink.error_hint(
                &key.span,
                format!("`{}` has no criterion", shorten(text)),
                "add an expression such as `p99 < 2s`, or remove the entry".to_owned(),
            );
        }
        for at in &list.0 {
            count += 1;
            if count > MAX_CRITERIA {
                scope.sink.error_hint(
                    &at.span,
                    format!("the topology has more than {MAX_CRITERIA} criteria"),
                    "keep those that decide whether a run passes".to_owned(),
                );
                return criteria;
            }
            criteria.extend(reader.criterion(&subject, at));
        }
    }
    criteria
}

/// What a criterion is about.
struct Subject<'a> {
    text: &'a str,
    /// `None` if the text is no name.
    name: Option<MetricName>,
    /// `None` if it is not known which metric that is.
    known: Option<Known<'a>>,
}

struct Reader<'a> {
    scope: &'a Scope<'a>,
    made: &'a Made,
    properties: &'a [MetricSpec],
    groups: &'a Groups,
}

impl<'a> Reader<'a> {
    fn error(&self, span: &Span, message: impl Into<String>, hint: impl Into<String>) {
        let hint: String = hint.into();
        self.scope.sink.error_hint(span, message, hint);
    }

    fn subject(&self, span: &Span, text: &'a str) -> Subject<'a> {
        let (name, known) = match text.parse::<MetricName>() {
            Ok(name) => {
                let known = known::find(self.made, text).unwrap_or_else(|unknown| {
                    self.error(span, unknown.message, unknown.hint);
                    None
                });
                (Some(name), known)
            }
            Err(error) => {
                self.error(span, error.to_string(), NAME);
                (None, None)
            }
        };
        Subject { text, name, known }
    }

    fn criterion(&self, subject: &Subject<'_>, at: &At<TextOr<RawBound>>) -> Option<Criterion> {
        let short = RawBound::default();
        let (text, span, raw) = match at.get()? {
            TextOr::Text(text) => (Some(text), &at.span, &short),
            TextOr::Mapping(raw) => {
                if raw.is.is_none() {
                    let hint = "add what must hold, such as `is: p99 < 2s`";
                    self.error(&at.span, "the criterion has no `is`", hint);
                }
                let is = raw.is.as_ref();
                let span = is.map_or(&at.span, |is| &is.span);
                (is.and_then(At::get), span, raw.as_ref())
            }
        };
        let expression = text.and_then(|text| self.expression(subject, span, text));
        let severity = raw.severity.as_ref().and_then(|at| at.get().copied());
        let step = raw.step.as_ref().and_then(|at| self.step(subject, at));
        let on = raw.on.as_ref().and_then(|at| {
            let (names, sets) = (&self.groups.names, &self.groups.sets);
            nodes::known(self.scope, &at.span, &at.get()?.0, "node", names, sets)
        });
        let abort = self.abort(subject, raw, expression.as_ref());
        let require_samples = raw.require_samples.as_ref().and_then(|at| at.get().copied());
        Some(Criterion {
            metric: subject.name.clone()?,
            is: expression?,
            text: text?.trim().to_owned(),
            severity: severity.unwrap_or_default(),
            abort,
            step,
            on,
            require_samples: require_samples.unwrap_or(true),
            line: Some(self.scope.sink.locate(span.start).line),
        })
    }

    /// An expression whose bound can be compared with the metric.
    fn expression(&self, subject: &Subject<'_>, span: &Span, text: &str) -> Option<Expression> {
        let expression = Expression::parse(text)
            .inspect_err(|error| self.error(span, error.to_string(), error.hint()))
            .ok()?;
        let known = subject.known.as_ref();
        if let Some(KnownUnit::Is(unit)) = known.map(|known| known.unit(subject.text, self.properties))
            && let Err(error) = expression.bound_in(unit)
        {
            self.error(span, error.to_string(), metric_values::unit_hint(&error));
            return None;
        }
        Some(expression)
    }

    fn step(&self, subject: &Subject<'_>, at: &At<String>) -> Option<String> {
        let text = at.get()?;
        if !self.made.step_names().any(|step| step == text) {
            if self.made.complete {
                let hint = suggest(text, self.made.step_names())
                    .unwrap_or_else(|| "the topology has no steps in `workload`".to_owned());
                self.error(&at.span, format!("there is no step `{}`", shorten(text)), hint);
            }
            return None;
        }
        let Some(known) = &subject.known else {
            return Some(text.clone());
        };
        let steps = known.steps(self.made);
        if !steps.contains(&text.as_str()) {
            let hint = match steps.first() {
                Some(first) => format!("it is measured in `{first}`: leave out `step`, or name that one"),
                None => "it is not measured in a step: leave out `step`".to_owned(),
            };
            self.error(
                &at.span,
                format!("`{}` is not measured in the step `{text}`", subject.text),
                hint,
            );
            return None;
        }
        Some(text.clone())
    }

    fn abort(&self, subject: &Subject<'_>, raw: &RawBound, expression: Option<&Expression>) -> Option<Abort> {
        let after = raw.after.as_ref().map(|at| (at, self.after(at)));
        let abort = raw.abort.as_ref().filter(|at| at.get() != Some(&false));
        let Some(at) = abort else {
            if let Some((after, _)) = after {
                let hint = "add `abort: true`, or leave out `after`";
                self.error(&after.span, "`after` is for criteria with `abort: true`", hint);
            }
            return None;
        };
        at.get()?;
        if matches!(expression, Some(Expression::Growth { .. })) {
            self.error(
                &at.span,
                "a criterion on growth cannot end a run: it is judged over runs of several sizes",
                "leave out `abort`",
            );
            return None;
        }
        if let Some(expression) = expression.filter(|expression| expression.waits_for_samples()) {
            self.error(
                &at.span,
                format!("`{expression}` cannot end a run: it fails until enough samples have come"),
                "leave out `abort`, so that it is judged at the end; of `count`, `sum` and `max` an upper bound can \
                 end a run, and of `min` a lower one",
            );
            return None;
        }
        if subject.known.as_ref().is_some_and(|known| !known.is_live()) {
            self.error(
                &at.span,
                format!(
                    "`{}` is not known before its step ends, so it cannot end a run",
                    subject.text
                ),
                "leave out `abort`; it is for metrics that `regex` reads from `stdout` or `stderr`",
            );
            return None;
        }
        if raw.severity.as_ref().and_then(At::get) == Some(&Severity::Warn) {
            self.error(
                &at.span,
                "a criterion that only warns cannot end a run",
                "leave out `abort` or `severity: warn`",
            );
            return None;
        }
        let after = after.map_or(Some(Duration::ZERO), |(_, after)| after)?;
        Some(Abort { after })
    }

    /// A length of time, 0 included.
    fn after(&self, at: &At<Time>) -> Option<Duration> {
        let text = &at.get()?.0;
        let message = match humantime::parse_duration(text.trim()) {
            Ok(time) if time.as_secs() <= MAX_TIMEOUT_SECONDS => return Some(time),
            Ok(_) => format!(
                "after: {} is out of bounds; up to 30 days are allowed",
                shorten(text)
            ),
            Err(_) => format!("after: `{}` is not a length of time", shorten(text)),
        };
        self.error(
            &at.span,
            message,
            "write a number with its unit, such as 30s, 5m or 1h",
        );
        None
    }
}
