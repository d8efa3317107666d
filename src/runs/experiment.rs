//! An experiment: runs of one topology that belong together, as in `EXPERIMENT.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::name::check;
use crate::base::name::{ClusterName, GroupName};
use crate::base::units::Moment;
use crate::base::versioned;
use crate::workload::Verdict;

/// What an experiment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentKind {
    /// Variants are tested and compared.
    Test,
    /// The growth with the size of the cluster is measured.
    Scale,
}

impl ExperimentKind {
    /// All of them.
    pub(super) const ALL: [Self; 2] = [Self::Test, Self::Scale];

    /// Its name, as in names of experiments.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Scale => "scale",
        }
    }
}

/// The order of the runs of an experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The variants in turn, every other time in reverse, so that a drift affects all of them alike.
    #[default]
    Interleaved,
    /// All runs of a variant, then those of the next.
    Sequential,
}

/// What happens to the cluster between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Between {
    /// Nothing.
    Keep,
    /// All configuration steps run again.
    Configure,
    /// All nodes are created again.
    Recreate,
}

/// A run of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentRun {
    /// Its name: that of its directory.
    pub run: String,
    /// What was varied.
    #[serde(default)]
    pub variant: BTreeMap<String, String>,
    /// Its number among the runs of its variant, from 1.
    pub repetition: u32,
    /// Whether it was done once more to confirm a change.
    #[serde(default)]
    pub confirmation: bool,
    /// How it ended; `None`: it has not.
    #[serde(default)]
    pub verdict: Option<Verdict>,
}

/// Where a criterion begins to fail in one variant, as `scale --find` has found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentFound {
    /// The variables of the variant: `rev=new`; empty if none are varied.
    pub variant: String,
    /// The criterion: `join_seconds p99 < 2s`.
    pub criterion: String,
    /// The largest size below at which it holds; `None`: it fails at the smallest one, or could not be judged.
    #[serde(default)]
    pub holds: Option<u32>,
    /// The smallest size at which it fails; `None`: it holds at the largest one, or could not be judged.
    #[serde(default)]
    pub fails: Option<u32>,
}

/// An experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// [`Experiment::VERSION`].
    pub version: u32,
    /// Its name: that of its file.
    pub name: String,
    /// What it is for.
    pub kind: ExperimentKind,
    /// The cluster.
    pub cluster: ClusterName,
    /// The topology file as the user named it.
    pub topology: String,
    /// Its path, absolute; `None`: standard input, or an earlier release made the experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology_file: Option<PathBuf>,
    /// Its begin.
    pub began: Moment,
    /// Its end; `None`: it was interrupted, or is in progress.
    #[serde(default)]
    pub ended: Option<Moment>,
    /// The order of its runs.
    pub order: Order,
    /// What happens to the cluster between two runs.
    pub between: Between,
    /// What is varied, with all values.
    #[serde(default)]
    pub varied: IndexMap<String, Vec<String>>,
    /// The group whose size is varied by `scale`.
    #[serde(default)]
    pub group: Option<GroupName>,
    /// The size that the metrics are predicted for; `None`: the largest that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// What `scale --find` has found, for each variant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<ExperimentFound>,
    /// Runs per variant.
    pub repeat: u32,
    /// The user's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its runs, in the order in which they were done.
    pub runs: Vec<ExperimentRun>,
    /// The command that made it, with its arguments.
    pub command: Vec<String>,
}

impl Experiment {
    /// Version of the file.
    pub const VERSION: u32 = 1;

    /// Whether a variant was planned. The others were made at sizes between the planned ones, to find where a criterion
    /// begins to fail.
    pub fn is_planned(&self, variant: &BTreeMap<String, String>) -> bool {
        variant.iter().all(|(name, value)| {
            let planned = self.varied.get(name);
            planned.is_none_or(|planned| planned.contains(value))
        })
    }

    /// Reads the experiment of this name from its file.
    pub(super) fn read(path: &Path, name: &str) -> Result<Self, StoreError> {
        let bytes = std::fs::read(path).map_err(StoreError::io("read", path))?;
        let readable = Self::VERSION..=Self::VERSION;
        let experiment: Self =
            versioned::read(&bytes, &readable).map_err(|error| StoreError::document(path, &error))?;
        if experiment.name != name {
            let cause = format!("it is of an experiment with another name, `{}`", experiment.name);
            return Err(StoreError::damaged(path, cause));
        }
        for run in &experiment.runs {
            check(&run.run).map_err(|error| StoreError::damaged(path, error.to_string()))?;
        }
        Ok(experiment)
    }
}
