//! Metrics and criteria as they are written. Editors show the doc comments.

use schemars::JsonSchema;
use serde::Deserialize;

use super::raw_values::{Amount, Nodes, Time};
use super::reader::Field;
use crate::measure::{Better, Severity};

/// The format of a text with many metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "MetricFormat")]
pub(super) enum Format {
    /// The text format of OpenMetrics.
    Openmetrics,
    /// The text format of Prometheus.
    Prometheus,
    /// One JSON object per line, with `metric`, `value` and optionally `unit` and `labels`.
    Jsonl,
}

/// A metric that a step makes: where its samples are, and how they are read, by exactly one of `regex`, `json` and
/// `format`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["regex"]},
    {"required": ["from", "json"]},
    {"required": ["from", "format"]}
]))]
#[schemars(rename = "Metric")]
pub(super) struct RawMetric {
    /// Where the samples are: `stdout` or `stderr` of the step, or files on its nodes afterwards: an absolute path,
    /// `*`, `?` and `[...]` allowed. Default with `regex`: `stdout`.
    #[schemars(regex(pattern = "^(stdout|stderr|/.*[^/])$"))]
    #[schemars(extend("examples" = ["stdout", "stderr", "/tmp/fio.json"]))]
    pub(super) from: Field<String>,
    /// A regular expression with one capture group, which is the number. Every match is a sample. `^` and `$` are the
    /// begin and the end of a line.
    #[schemars(extend("examples" = ["joined in ([0-9.]+) s"]))]
    pub(super) regex: Field<String>,
    /// A JSON pointer (RFC 6901) to the number in a JSON document.
    #[schemars(regex(pattern = "^(/([^~]|~[01])*)?$"))]
    #[schemars(extend("examples" = ["/jobs/0/write/clat_ns/percentile/99.000000"]))]
    pub(super) json: Field<String>,
    /// The format of a text with many metrics. Their names begin with that of this one: `NAME.requests_total`.
    pub(super) format: Field<Format>,
    /// What every value is multiplied by. Default: 1.
    #[schemars(extend("examples" = [0.001]))]
    pub(super) scale: Field<f64>,
    /// The unit of the values, after `scale`: `ns`, `us`, `ms`, `s`, `min`, `h`, `B`, `kB`, `MiB` and the like, `%`,
    /// or any other word.
    #[schemars(extend("examples" = ["s", "ms", "MiB"]))]
    pub(super) unit: Field<String>,
    /// Which direction is an improvement.
    pub(super) better: Field<Better>,
    /// The smallest relative change that counts in a comparison: `5%`. Default: 5 %.
    #[schemars(extend("examples" = ["5%"]))]
    pub(super) min_change: Field<Amount>,
    /// The smallest absolute change that counts in a comparison: `2ms`. Default: none.
    #[schemars(extend("examples" = ["2ms"]))]
    pub(super) floor: Field<Amount>,
}

impl RawMetric {
    /// The keys that it has in common with a metric that no step defines.
    pub(super) fn properties(&self) -> RawProperties {
        RawProperties {
            unit: self.unit.clone(),
            better: self.better.clone(),
            min_change: self.min_change.clone(),
            floor: self.floor.clone(),
        }
    }
}

/// Properties of a metric that no step defines.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MetricProperties")]
pub(super) struct RawProperties {
    /// The unit of a series of a file. vcluster knows those of the metrics that it measures.
    #[schemars(extend("examples" = ["s", "ms", "MiB"]))]
    pub(super) unit: Field<String>,
    /// Which direction is an improvement. Default for metrics that vcluster measures: `lower`.
    pub(super) better: Field<Better>,
    /// The smallest relative change that counts in a comparison: `5%`. Default: 5 %.
    #[schemars(extend("examples" = ["5%"]))]
    pub(super) min_change: Field<Amount>,
    /// The smallest absolute change that counts in a comparison: `2ms`. Default: none.
    #[schemars(extend("examples" = ["2ms"]))]
    pub(super) floor: Field<Amount>,
}

/// A criterion in its long form.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["is"]))]
#[schemars(rename = "Criterion")]
pub(super) struct RawBound {
    /// What must hold: `p99 < 2s`, `growth <= n log n`.
    #[schemars(extend("examples" = ["p99 < 2s", "growth <= n log n"]))]
    pub(super) is: Field<String>,
    /// What a failure means. Default: `error`.
    pub(super) severity: Field<Severity>,
    /// Whether the run ends as soon as the criterion fails. Only for metrics that `regex` reads from `stdout` or
    /// `stderr`. Default: false.
    pub(super) abort: Field<bool>,
    /// Time from the begin of the step before `abort` may end the run. Default: 0s.
    pub(super) after: Field<Time>,
    /// Only samples of this step.
    pub(super) step: Field<String>,
    /// Only samples of these nodes.
    pub(super) on: Field<Nodes>,
    /// Whether it fails if there are no samples. Default: true.
    pub(super) require_samples: Field<bool>,
}
