//! What a comparison says, and what can be chosen about it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::accepted::Accepted;
use super::assumptions::Difference;
use crate::analysis::Interval;
use crate::base::units::Moment;
use crate::measure::{Better, MetricName, Statistic, Unit};

/// The smallest relative change that counts where a metric has no `min_change`.
const MIN_CHANGE: f64 = 0.05;

/// The adjusted p below which a difference is significant.
const ALPHA: f64 = 0.01;

/// The seed of the resampling: the same runs always give the same figures.
const SEED: u64 = 0x7663_6c75_7374_6572;

/// How two sides are compared.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// Assumptions that may differ, on the user's word: keys, or their beginnings up to a dot.
    pub despite: Vec<String>,
    /// The smallest relative change that counts, for metrics without their own.
    pub min_change: f64,
    /// The adjusted p below which a difference is significant.
    pub alpha: f64,
    /// The confidence of the intervals.
    pub confidence: f64,
    /// The seed of the resampling.
    pub seed: u64,
    /// Today, for what is accepted until a day.
    pub now: Moment,
    /// Judge only these metrics, as when a change is measured again; `None`: all that are to be judged.
    pub only: Option<BTreeSet<MetricName>>,
}

impl CompareOptions {
    /// The rules of docs/compare.md.
    pub fn new(now: Moment) -> Self {
        Self {
            despite: Vec::new(),
            min_change: MIN_CHANGE,
            alpha: ALPHA,
            confidence: 1.0 - ALPHA,
            seed: SEED,
            now,
            only: None,
        }
    }
}

/// The verdict on a metric, or on all of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeVerdict {
    /// The second side is worse by as much as counts.
    Worse,
    /// It is better by as much as counts.
    Better,
    /// They do not differ by as much as counts.
    Equal,
    /// The runs do not decide.
    Inconclusive,
}

impl ChangeVerdict {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Equal => "equal",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// Two sides compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The name of the first side, the baseline.
    pub a: String,
    /// The name of the second side, which is judged against it.
    pub b: String,
    /// How many runs each has.
    pub runs: (usize, usize),
    /// The names of these runs.
    pub run_names: (Vec<String>, Vec<String>),
    /// The metrics that are judged, by name.
    pub judged: Vec<MetricComparison>,
    /// All others, as explanation: medians and change only, the verdict says nothing.
    pub shown: Vec<MetricComparison>,
    /// How many runs a side are missing, if there are too few to judge anything.
    pub missing_runs: Option<usize>,
    /// Assumptions that differ as they were to differ: what was varied, and the code under test.
    pub varied: Vec<Difference>,
    /// Assumptions that differ, accepted on the user's word.
    pub despite: Vec<Difference>,
    /// What the user should know: runs left out, accepted regressions that match nothing.
    pub warnings: Vec<String>,
    /// The verdict on all of it.
    pub verdict: ChangeVerdict,
    /// The commands that make it again; set by the caller.
    pub reproduce: Vec<String>,
}

/// A metric of both sides. Figures that are not there are not a number: medians of a side without values, p and interval
/// of a metric that is only shown.
#[derive(Clone, Debug)]
pub struct MetricComparison {
    /// The metric.
    pub metric: MetricName,
    /// What reduced the samples of a run to its value.
    pub statistic: Statistic,
    /// Its unit.
    pub unit: Option<Unit>,
    /// Which direction is an improvement, if that is known.
    pub better: Option<Better>,
    /// A value per run of the first side.
    pub a: Vec<f64>,
    /// A value per run of the second side.
    pub b: Vec<f64>,
    /// The median of the first side.
    pub median_a: f64,
    /// The median of the second side.
    pub median_b: f64,
    /// The relative change of the median, positive where it rises; infinite from 0.
    pub change: f64,
    /// The interval of the relative change.
    pub interval: Interval,
    /// The interval of the absolute change, where it is needed: with a floor, or a median of 0.
    pub difference: Option<Interval>,
    /// p of the permutation test.
    pub p: f64,
    /// p adjusted for all metrics that are judged.
    pub adjusted: f64,
    /// The smallest relative change that counts.
    pub min_change: f64,
    /// The smallest absolute change that counts, in its unit.
    pub floor: Option<f64>,
    /// The smallest relative change that this comparison could have found.
    pub detectable: Option<f64>,
    /// The verdict on it.
    pub verdict: ChangeVerdict,
    /// The runs a side that would decide, if it is inconclusive and they can be estimated.
    pub runs_needed: Option<usize>,
    /// The entry that accepts it, if it is worse.
    pub accepted: Option<Accepted>,
    /// The entry that accepted it until a day that is past.
    pub expired: Option<Accepted>,
    /// What is special about it.
    pub note: Option<String>,
}

impl MetricComparison {
    /// Whether it lets the comparison fail.
    pub fn fails(&self) -> bool {
        self.verdict == ChangeVerdict::Worse && self.accepted.is_none()
    }
}

/// The verdict on all judged metrics. Accepted regressions do not count. Without a judged metric there is none.
pub(super) fn overall(judged: &[MetricComparison]) -> ChangeVerdict {
    let any = |verdict: ChangeVerdict| judged.iter().any(|metric| metric.verdict == verdict);
    if judged.iter().any(MetricComparison::fails) {
        ChangeVerdict::Worse
    } else if judged.is_empty() || any(ChangeVerdict::Inconclusive) {
        ChangeVerdict::Inconclusive
    } else if any(ChangeVerdict::Better) {
        ChangeVerdict::Better
    } else {
        ChangeVerdict::Equal
    }
}
