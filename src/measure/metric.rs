//! A metric: its name, where its samples come from, and how they are read.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unit::Unit;

/// First words of the names of metrics that vcluster measures itself: `step.join.seconds`.
pub(crate) const RESERVED: [&str; 6] = ["step", "node", "watch", "up", "run", "vcluster"];

/// The longest name, in bytes.
const LONGEST: usize = 200;

/// The name of a metric: `join_seconds`, `step.join.seconds`, `app.http_requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MetricName(String);

/// A text that is no name of a metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name of a metric")]
pub struct MetricNameError(String);

impl MetricName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first word: the prefix that a series of a file has.
    pub fn prefix(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

impl FromStr for MetricName {
    type Err = MetricNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let rest = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.:-/".contains(c));
        if first && rest && text.len() <= LONGEST {
            Ok(Self(text.to_owned()))
        } else {
            let shown: String = text.chars().take(60).collect();
            Err(MetricNameError(shown.escape_debug().to_string()))
        }
    }
}

impl TryFrom<String> for MetricName {
    type Error = MetricNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MetricName> for String {
    fn from(name: MetricName) -> Self {
        name.0
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which direction of a metric is an improvement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Smaller values are better.
    #[default]
    Lower,
    /// Larger values are better.
    Higher,
}

/// Where the samples of a metric are on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricSource {
    /// Standard output of its step.
    Stdout,
    /// Standard error of its step.
    Stderr,
    /// Files after its step: an absolute path, in which `*`, `?` and `[...]` are allowed.
    File(String),
}

/// How a source is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Every match of a regular expression; its only capture group is the number.
    Regex(String),
    /// The number at a JSON pointer (RFC 6901) in a document.
    Json(String),
    /// Every series of an OpenMetrics or Prometheus text; their names get the metric's as a prefix: `app.requests_total`.
    OpenMetrics,
    /// One object per line with `metric`, `value` and optionally `unit` and `labels`; the names get the metric's as a
    /// prefix.
    JsonLines,
}

impl Reading {
    /// Whether it gives many metrics, whose names begin with that of this one.
    pub fn gives_many(&self) -> bool {
        matches!(self, Self::OpenMetrics | Self::JsonLines)
    }
}

/// A metric as the topology describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// Its name; for [`Reading::gives_many`] the prefix of its metrics.
    pub name: MetricName,
    /// Where its samples are; `None` for properties of metrics that come from elsewhere: measured by vcluster, or series
    /// of a file.
    pub source: Option<MetricSource>,
    /// How the source is read; `None` without a source.
    pub reading: Option<Reading>,
    /// What every value is multiplied by.
    pub scale: f64,
    /// Its unit, after the scale.
    pub unit: Option<Unit>,
    /// Which direction is an improvement; `None`: not said.
    pub better: Option<Better>,
    /// The smallest relative change that counts in a comparison (0.05: 5 %); `None`: the default.
    pub min_change: Option<f64>,
    /// The smallest absolute change that counts, in its unit.
    pub floor: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metrics_are_words_with_dots() {
        for name in [
            "join_seconds",
            "step.join.seconds",
            "watch.kworker/0:1.rss_bytes",
            "app.a-b:c",
            "_x",
        ] {
            assert_eq!(name.parse::<MetricName>().unwrap().to_string(), name);
        }
        let longest = "a".repeat(LONGEST);
        assert!(longest.parse::<MetricName>().is_ok());
        for name in ["", "1x", ".x", "a b", "é", "a{b}", "a\n", &(longest + "a")] {
            assert!(name.parse::<MetricName>().is_err(), "{name}");
        }
        let error = "\u{1b}[2J".parse::<MetricName>().unwrap_err();
        assert_eq!(error.to_string(), "`\\u{1b}[2J` is not a name of a metric");
        assert_eq!(
            "app.requests.total".parse::<MetricName>().unwrap().prefix(),
            "app"
        );
        assert_eq!("join".parse::<MetricName>().unwrap().prefix(), "join");
    }

    #[test]
    fn only_formats_with_many_metrics_give_many() {
        assert!(Reading::OpenMetrics.gives_many() && Reading::JsonLines.gives_many());
        assert!(!Reading::Regex("(1)".into()).gives_many() && !Reading::Json("/a".into()).gives_many());
    }
}
