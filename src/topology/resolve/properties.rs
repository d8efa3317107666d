//! The top-level `metrics`: properties of metrics that no step defines.

use super::known::{self, Known};
use super::metrics::Made;
use super::{Scope, metric_values};
use crate::measure::{MetricName, MetricSpec};
use crate::topology::limits::MAX_METRICS;
use crate::topology::raw_metrics::RawProperties;
use crate::topology::reader::{At, Entries};
use crate::topology::tree::shorten;

/// The hint for a text that cannot be the name of any metric.
pub(super) const NAME: &str =
    "use at most 200 letters, digits, `_`, `.`, `:`, `-` and `/`, beginning with a letter or `_`";

pub(super) fn resolve(
    scope: &Scope<'_>,
    raw: Option<&At<Entries<RawProperties>>>,
    made: &Made,
) -> Vec<MetricSpec> {
    let mut specs = Vec::new();
    let entries = raw.and_then(At::get);
    for (index, (key, raw)) in entries.into_iter().flat_map(|entries| &entries.0).enumerate() {
        if index == MAX_METRICS {
            scope.sink.error_hint(
                &key.span,
                format!("`metrics` has more than {MAX_METRICS} entries"),
                "describe only metrics that criteria or comparisons use".to_owned(),
            );
            break;
        }
        let Some(text) = key.get() else { continue };
        let name = match text.parse::<MetricName>() {
            Ok(name) => name,
            Err(error) => {
                scope
                    .sink
                    .error_hint(&key.span, error.to_string(), NAME.to_owned());
                continue;
            }
        };
        let measured = match known::find(made, text) {
            Ok(Some(Known::Builtin(builtin))) => Some(builtin),
            Ok(Some(Known::Series(_)) | None) => None,
            Ok(Some(Known::Defined(named))) => {
                let line = scope.sink.locate(named.at).line;
                scope.sink.error_hint(
                    &key.span,
                    format!("the metric `{}` is defined by its step", shorten(text)),
                    format!("write its properties there, in line {line}"),
                );
                continue;
            }
            Err(unknown) => {
                scope.sink.error_hint(&key.span, unknown.message, unknown.hint);
                continue;
            }
        };
        let spec = raw
            .get()
            .and_then(|raw| metric_values::spec(scope, name, raw, measured.as_ref()));
        specs.extend(spec);
    }
    specs
}
