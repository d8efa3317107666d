//! A criterion, and what became of it in a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::expression::Expression;
use super::metric::MetricName;
use super::unit::Unit;
use crate::base::name::NodeName;

/// What a failed criterion means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The run fails.
    #[default]
    Error,
    /// It is shown; the run does not fail.
    Warn,
}

/// Ends a run as soon as its criterion fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// Time from the begin of the step before it may.
    pub after: Duration,
}

/// A bound that a statistic of a metric must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Criterion {
    /// The metric.
    pub metric: MetricName,
    /// What must hold.
    pub is: Expression,
    /// The expression as written.
    pub text: String,
    /// What a failure means.
    #[serde(default)]
    pub severity: Severity,
    /// Whether a failure ends the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Abort>,
    /// Only samples of this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Only samples of these nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<NodeName>>,
    /// Whether it fails if there are no samples.
    pub require_samples: bool,
    /// Its line in the topology.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl Criterion {
    /// A criterion on all samples of a metric, which lets the run fail, also without samples.
    pub fn new(metric: MetricName, is: Expression, text: String) -> Self {
        Self {
            metric,
            is,
            text,
            severity: Severity::Error,
            abort: None,
            step: None,
            on: None,
            require_samples: true,
            line: None,
        }
    }
}

/// What became of a criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// There are no samples, which is a failure.
    NoSamples,
    /// It cannot be judged here: no samples, which it allows, or a growth in a run of one size.
    NotApplicable,
}

/// A criterion with its value in a run, as in `criteria.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The criterion.
    #[serde(flatten)]
    pub criterion: Criterion,
    /// What became of it.
    pub judgement: Judgement,
    /// The value of its statistic, in the unit of the metric.
    pub value: Option<f64>,
    /// The bound in that unit; none for a growth.
    pub bound: Option<f64>,
    /// The unit of the metric.
    pub unit: Option<Unit>,
    /// How many samples it has.
    pub samples: usize,
    /// The nodes whose own samples break the bound, the worst first, or that have no samples.
    pub nodes: Vec<NodeName>,
    /// Why it was not judged, or what is missing, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Finding {
    /// Whether it lets the run fail.
    pub fn fails(&self) -> bool {
        self.criterion.severity == Severity::Error
            && matches!(self.judgement, Judgement::Failed | Judgement::NoSamples)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::criterion;
    use super::*;

    #[test]
    fn only_a_failed_criterion_that_is_an_error_fails_a_run() {
        let finding = |severity, judgement| Finding {
            criterion: Criterion {
                severity,
                ..criterion("x", "p99 < 2s")
            },
            judgement,
            value: None,
            bound: None,
            unit: None,
            samples: 0,
            nodes: Vec::new(),
            note: None,
        };
        for (judgement, fails) in [
            (Judgement::Passed, false),
            (Judgement::Failed, true),
            (Judgement::NoSamples, true),
            (Judgement::NotApplicable, false),
        ] {
            assert_eq!(
                finding(Severity::Error, judgement).fails(),
                fails,
                "{judgement:?}"
            );
            assert!(!finding(Severity::Warn, judgement).fails(), "{judgement:?}");
        }
        let written = finding(Severity::Warn, Judgement::NoSamples);
        let json = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<Finding>(&json).unwrap(), written);
    }
}
