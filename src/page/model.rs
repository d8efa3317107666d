//! What a report shows, as plain data.

use crate::base::name::NodeName;
use crate::cluster::experiment::{Contrast, GrowthReport};
use crate::compare::Comparison;
use crate::measure::Unit;
use crate::runs::ExperimentFound;

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It holds.
    Good,
    /// It does not.
    Bad,
    /// It was not decided, or could not be.
    Open,
}

impl Mark {
    /// A character that shows it without colour.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Bad => "✗",
            Self::Open => "○",
        }
    }

    /// Its name, as in JSON and in the style sheet.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Open => "open",
        }
    }
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One run.
    Run,
    /// An experiment.
    Experiment,
    /// One side of runs against another.
    Comparison,
}

impl Kind {
    /// Its name.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Experiment => "experiment",
            Self::Comparison => "comparison",
        }
    }
}

/// A report.
#[derive(Clone, Debug)]
pub struct Page {
    /// What it is about.
    pub kind: Kind,
    /// Its name, or names.
    pub name: String,
    /// The verdict.
    pub mark: Mark,
    /// The verdict in words.
    pub verdict: String,
    /// What failed.
    pub failures: Vec<Failure>,
    /// What is missing, and why figures deserve less trust.
    pub notes: Vec<String>,
    /// When, where, how much: names and values.
    pub facts: Vec<(String, String)>,
    /// The runs, in their order.
    pub runs: Vec<RunRow>,
    /// The comparisons.
    pub comparisons: Vec<Comparison>,
    /// The criteria.
    pub criteria: Vec<CriterionRow>,
    /// The metrics, the most important first.
    pub strips: Vec<Strip>,
    /// How metrics grow with the size of the cluster.
    pub growth: Vec<GrowthChart>,
    /// How they were judged, by variant, with what they will cost at the target size.
    pub reports: Vec<GrowthReport>,
    /// Where a criterion begins to fail, by variant.
    pub found: Vec<ExperimentFound>,
    /// When what was done.
    pub timelines: Vec<Timeline>,
    /// Nodes that differ from the others.
    pub outliers: Vec<Outlier>,
    /// What the runs assume.
    pub assumptions: Vec<Assumption>,
    /// The commands that make it again.
    pub commands: Vec<String>,
}

/// Something that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What, in one line.
    pub text: String,
    /// The end of what a node printed, with the name of the file.
    pub output: Option<(String, String)>,
}

/// A run in the list of runs.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// Its name.
    pub name: String,
    /// What was varied; empty if nothing was.
    pub variant: String,
    /// Whether it passed.
    pub mark: Mark,
    /// How it ended.
    pub verdict: String,
    /// Its begin, in UTC.
    pub began: String,
    /// How long it took.
    pub took: String,
    /// How many nodes it had.
    pub nodes: usize,
}

/// A criterion with what became of it in the runs of one variant.
#[derive(Clone, Debug)]
pub struct CriterionRow {
    /// The criterion: metric, expression, step.
    pub title: String,
    /// The variant; empty if nothing was varied.
    pub variant: String,
    /// Whether a failure only warns.
    pub only_warns: bool,
    /// In how many runs it holds.
    pub passed: usize,
    /// In how many it does not.
    pub failed: usize,
    /// In how many it was not judged.
    pub open: usize,
    /// The median of its values.
    pub value: Option<f64>,
    /// The bound.
    pub bound: Option<f64>,
    /// The unit of both.
    pub unit: Option<Unit>,
    /// The nodes that break it, the worst first, with the number of runs.
    pub nodes: Vec<(NodeName, usize)>,
    /// Why it was not judged, or what is missing.
    pub note: Option<String>,
}

impl CriterionRow {
    /// Whether it holds in all runs in which it was judged.
    pub fn mark(&self) -> Mark {
        if self.failed > 0 {
            Mark::Bad
        } else if self.passed > 0 {
            Mark::Good
        } else {
            Mark::Open
        }
    }
}

/// A metric with all its values, on one axis.
#[derive(Clone, Debug)]
pub struct Strip {
    /// The metric, with the statistic that is the value of a run.
    pub title: String,
    /// Its unit.
    pub unit: Option<Unit>,
    /// What one value is of: `run` or `node`.
    pub each: &'static str,
    /// The values, by variant.
    pub rows: Vec<StripRow>,
    /// The bound of its criterion, with its text.
    pub bound: Option<(f64, String)>,
}

/// The values of one variant.
#[derive(Clone, Debug)]
pub struct StripRow {
    /// The variant.
    pub label: String,
    /// The values, finite, in the order of the runs.
    pub values: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// The interval of the median, if there are enough values.
    pub interval: Option<(f64, f64)>,
}

/// How a metric grows with the size of the cluster.
#[derive(Clone, Debug)]
pub struct GrowthChart {
    /// The metric, with the statistic that is the value of a run.
    pub title: String,
    /// The variant; empty if nothing else was varied.
    pub variant: String,
    /// The group whose size varies.
    pub group: String,
    /// The unit of the metric.
    pub unit: Option<Unit>,
    /// Size and value of each run.
    pub points: Vec<(f64, f64)>,
    /// The models that fit: `n log n or n^1.25`; `None` below three sizes.
    pub models: Option<String>,
    /// The best model: sizes and values.
    pub curve: Vec<(f64, f64)>,
    /// The interval of the model: sizes, low and high ends.
    pub band: Vec<(f64, f64, f64)>,
    /// The criterion, with a curve that grows exactly as it allows.
    pub bound: Option<(String, Vec<(f64, f64)>)>,
    /// What became of the criterion, and why.
    pub judged: Option<(Mark, String)>,
    /// Whether the largest size lies in the interval that the smaller ones predict for it.
    pub held_out: Option<bool>,
    /// The size that the metric is predicted for, and its value there.
    pub at_target: Option<(u32, f64)>,
    /// Where its value there is expected, if it is predicted and that has bounds.
    pub interval: Option<(f64, f64)>,
    /// How many times larger it is there than in the first variant, if this is another one.
    pub contrast: Option<Contrast>,
}

/// What was done in a run, and when.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The run.
    pub title: String,
    /// Stages and steps, by host.
    pub bars: Vec<Bar>,
    /// Its length in seconds.
    pub end: f64,
    /// What was left out.
    pub note: Option<String>,
}

/// A stage or step on the nodes of a host. All times are in seconds from the begin of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The host, or hosts.
    pub host: String,
    /// The stage, or `step NAME`.
    pub stage: String,
    /// When the first node began it.
    pub begin: f64,
    /// When half of its nodes had ended it.
    pub half: f64,
    /// When the last node ended it.
    pub end: f64,
    /// On how many nodes it was done.
    pub count: usize,
    /// On how many of them it failed.
    pub failed: usize,
    /// On how many of them no end is recorded.
    pub open: usize,
}

/// A node whose own median of a metric differs from that of the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlier {
    /// The node.
    pub node: NodeName,
    /// The metric, with its step and labels.
    pub metric: String,
    /// Its unit.
    pub unit: Option<Unit>,
    /// Its own median.
    pub own: f64,
    /// The median of all nodes of its group.
    pub others: f64,
    /// How many robust standard deviations lie between.
    pub deviation: f64,
    /// In how many runs it stands out.
    pub runs: usize,
}

/// An assumption with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumption {
    /// Its name.
    pub key: String,
    /// Its values, each with the number of runs that have it.
    pub values: Vec<(String, usize)>,
}
