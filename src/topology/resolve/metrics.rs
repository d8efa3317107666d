//! What the steps of the workload measure: their metrics, and the processes that they watch.

use indexmap::IndexMap;

use super::values::Span;
use super::{Scope, metric_values, readings};
use crate::measure::{MetricName, MetricSpec, RESERVED};
use crate::topology::limits::{MAX_COMM, MAX_METRIC_NAME, MAX_METRICS, MAX_WATCHED};
use crate::topology::raw::RawWorkload;
use crate::topology::raw_metrics::RawMetric;
use crate::topology::reader::At;
use crate::topology::tree::shorten;

/// What all steps measure.
pub(super) struct Made {
    /// The steps as they are written, valid or not, in their order.
    pub(super) steps: Vec<OfStep>,
    /// The metrics that they define, by name.
    pub(super) named: IndexMap<String, Named>,
    /// Whether all of it could be read: if not, an unknown name may be one of those that could not.
    pub(super) complete: bool,
}

/// What a step measures.
#[derive(Default)]
pub(super) struct OfStep {
    /// Its name, if that could be read.
    pub(super) name: Option<String>,
    pub(super) metrics: Vec<MetricSpec>,
    pub(super) watch: Vec<String>,
}

/// A metric that a step defines.
pub(super) struct Named {
    /// Index of its step.
    pub(super) step: usize,
    /// Its place in the topology.
    pub(super) at: usize,
    /// `None` if it has a mistake.
    pub(super) spec: Option<MetricSpec>,
}

impl Made {
    pub(super) fn read(scope: &Scope<'_>, raw: Option<&At<Vec<At<RawWorkload>>>>) -> Self {
        let mut made = Self {
            steps: Vec::new(),
            named: IndexMap::new(),
            complete: raw.is_none_or(|at| at.value.is_some()),
        };
        let list = raw.and_then(At::get);
        for (index, at) in list.into_iter().flatten().enumerate() {
            let step = match at.get() {
                Some(raw) => OfStep {
                    name: match &raw.name {
                        Some(at) => at.get().map(|name| name.0.clone()),
                        None => Some(format!("step{}", index + 1)),
                    },
                    metrics: made.metrics(scope, raw, index),
                    watch: made.watch(scope, raw),
                },
                None => OfStep::default(),
            };
            made.complete &= step.name.is_some();
            made.steps.push(step);
        }
        made
    }

    /// The names of the steps.
    pub(super) fn step_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.steps.iter().filter_map(|step| step.name.as_deref())
    }

    fn metrics(&mut self, scope: &Scope<'_>, raw: &RawWorkload, step: usize) -> Vec<MetricSpec> {
        let mut specs = Vec::new();
        let Some(at) = &raw.metrics else { return specs };
        self.complete &= at.value.is_some();
        for (key, raw) in at.get().into_iter().flat_map(|entries| &entries.0) {
            let Some(text) = key.get() else { continue };
            if let Some(first) = self.named.get(text) {
                let line = scope.sink.locate(first.at).line;
                scope.sink.error_hint(
                    &key.span,
                    format!("the metric `{}` is given twice", shorten(text)),
                    format!("it is first given in line {line}; name each metric of the topology differently"),
                );
                continue;
            }
            if self.named.len() == MAX_METRICS {
                scope.sink.error_hint(
                    &key.span,
                    format!("the steps define more than {MAX_METRICS} metrics"),
                    "write many metrics to one file, and read it with `format: openmetrics`".to_owned(),
                );
                self.complete = false;
                break;
            }
            let name = name(scope, &key.span, text);
            let spec = raw.get().and_then(|raw| spec(scope, &key.span, text, name, raw));
            specs.extend(spec.clone());
            let at = key.span.start;
            self.named.insert(text.clone(), Named { step, at, spec });
        }
        specs
    }

    fn watch(&mut self, scope: &Scope<'_>, raw: &RawWorkload) -> Vec<String> {
        let mut watched: Vec<String> = Vec::new();
        let Some(at) = &raw.watch else { return watched };
        self.complete &= at.value.is_some();
        let list = at.get().map(Vec::as_slice).unwrap_or_default();
        if list.len() > MAX_WATCHED {
            scope.sink.error_hint(
                &at.span,
                format!(
                    "the step watches {} processes; at most {MAX_WATCHED} are allowed",
                    list.len()
                ),
                "watch only those that criteria or comparisons need".to_owned(),
            );
            self.complete = false;
        }
        for at in list.iter().take(MAX_WATCHED) {
            let Some(text) = at.get() else {
                self.complete = false;
                continue;
            };
            let fault = if watched.contains(text) {
                Some((
                    format!("the process `{}` is given twice", shorten(text)),
                    "all processes of a name are measured together: name it once".to_owned(),
                ))
            } else {
                process_fault(text)
            };
            if let Some((message, hint)) = fault {
                scope.sink.error_hint(&at.span, message, hint);
                self.complete = false;
            } else {
                watched.push(text.clone());
            }
        }
        watched
    }
}

/// What is wrong with the name of a process: it must be one that the kernel keeps, and part of the name of a metric.
fn process_fault(text: &str) -> Option<(String, String)> {
    const HINT: &str = "write the name as in /proc/PID/comm";
    let shown = shorten(text);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:-/".contains(c);
    if text.is_empty() {
        return Some(("the name of a process is empty".to_owned(), HINT.to_owned()));
    }
    if let Some((_, last)) = text.rsplit_once('/').filter(|_| text.starts_with('/')) {
        return Some((
            format!("`{shown}` is a path, not the name of a process"),
            format!("{HINT}: `{}`", shorten(last.get(..MAX_COMM).unwrap_or(last))),
        ));
    }
    if let Some(c) = text.chars().find(|&c| !allowed(c)) {
        return Some((
            format!("the name of a process `{shown}` contains `{}`", c.escape_debug()),
            format!(
                "{HINT}; only letters, digits, `_`, `.`, `:`, `-` and `/` can be part of a metric's name"
            ),
        ));
    }
    (text.len() > MAX_COMM).then(|| {
        (
            format!(
                "the name of a process `{shown}` has {} bytes; Linux keeps {MAX_COMM}",
                text.len()
            ),
            format!("{HINT}: `{}`", &text[..MAX_COMM]),
        )
    })
}

/// The name of a metric of the user: a word that is not one of vcluster's own.
fn name(scope: &Scope<'_>, span: &Span, text: &str) -> Option<MetricName> {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && text.len() <= MAX_METRIC_NAME;
    if !plain {
        scope.sink.error_hint(
            span,
            format!("`{}` is not a name of a metric", shorten(text)),
            format!(
                "use 1 to {MAX_METRIC_NAME} lower-case letters, digits and `_`, beginning with a letter or `_`"
            ),
        );
        return None;
    }
    if RESERVED.contains(&text) {
        scope.sink.error_hint(
            span,
            format!("a metric cannot be called `{text}`: the name is reserved"),
            format!(
                "names of metrics that vcluster measures begin with it; write `{text}_` and what it measures"
            ),
        );
        return None;
    }
    text.parse().ok()
}

/// The metric with all its keys; every key is checked, also after a mistake.
fn spec(
    scope: &Scope<'_>,
    span: &Span,
    text: &str,
    name: Option<MetricName>,
    raw: &RawMetric,
) -> Option<MetricSpec> {
    let reading = readings::reading(scope, span, text, raw);
    let source = readings::source(scope, span, raw);
    let scale = raw.scale.as_ref().map_or(Some(1.0), |at| scale(scope, at));
    if raw.format.is_some() {
        only_from(scope, text, raw);
    }
    // Its properties are checked even if its name is wrong.
    let checked = name.clone().or_else(|| "unnamed".parse().ok())?;
    let properties = metric_values::spec(scope, checked, &raw.properties(), None)?;
    name?;
    Some(MetricSpec {
        source: Some(source?),
        reading: Some(reading?),
        scale: scale?,
        ..properties
    })
}

fn scale(scope: &Scope<'_>, at: &At<f64>) -> Option<f64> {
    let scale = *at.get()?;
    let good = scale.is_finite() && scale != 0.0;
    if !good {
        scope.sink.error_hint(
            &at.span,
            format!("scale: {scale} is out of bounds"),
            "write a number other than 0, such as 0.001".to_owned(),
        );
    }
    good.then_some(scale)
}

/// The series of a file differ in unit and direction, so none of this can be said of all of them.
fn only_from(scope: &Scope<'_>, name: &str, raw: &RawMetric) {
    let name = shorten(name);
    for (key, span) in [
        ("scale", raw.scale.as_ref().map(|at| &at.span)),
        ("unit", raw.unit.as_ref().map(|at| &at.span)),
        ("better", raw.better.as_ref().map(|at| &at.span)),
        ("min_change", raw.min_change.as_ref().map(|at| &at.span)),
        ("floor", raw.floor.as_ref().map(|at| &at.span)),
    ] {
        let Some(span) = span else { continue };
        let hint = if key == "scale" {
            "leave out `scale`; bounds of criteria may have another unit of the same kind".to_owned()
        } else {
            format!(
                "write it for each series, in `metrics` at the top of the file: `{name}.SERIES: {{ {key}: ... }}`"
            )
        };
        scope.sink.error_hint(
            span,
            format!("`{key}` is for one metric, but `format` reads many"),
            hint,
        );
    }
}
