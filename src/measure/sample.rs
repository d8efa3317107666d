//! One value of one metric.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric::MetricName;
use crate::base::name::NodeName;

/// One value of one metric, as in a line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The metric.
    pub metric: MetricName,
    /// The value, finite, in the unit of the metric.
    pub value: f64,
    /// The step in which it was measured; `None`: of the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The node on which it was measured; `None`: of the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// Labels of a series.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
