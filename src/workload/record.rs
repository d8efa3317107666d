//! The record of a run: `run.json`, written before its first step and again at its end, and `ended.jsonl` with a line for
//! every node on which a step has ended, and a second one once its files are collected. So another command can resume the
//! run. A run without `results.json` is open: it was interrupted, or the end of a step is unknown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::results::{NodeResult, Results, StepReport, appended};
use super::running::Running;
use crate::base::crash_point;
use crate::base::name::{ClusterName, GroupName, NodeName};
use crate::base::units::Moment;
use crate::base::versioned;
use crate::base::whole::write_whole;
use crate::measure::{Criterion, MetricSpec};
use crate::topology::WorkloadStep;

/// Version of `run.json`.
const VERSION: u32 = 2;

/// The versions that can be read. The first one has only ID, cluster and steps.
const READABLE: RangeInclusive<u32> = 1..=VERSION;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All steps passed, and all criteria hold.
    Passed,
    /// All steps passed, but a criterion does not hold.
    CriteriaFailed,
    /// A step failed.
    WorkloadFailed,
    /// It was interrupted or stopped.
    Interrupted,
    /// A criterion ended it early.
    Aborted,
}

impl Verdict {
    /// Its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::CriteriaFailed => "criteria_failed",
            Self::WorkloadFailed => "workload_failed",
            Self::Interrupted => "interrupted",
            Self::Aborted => "aborted",
        }
    }

    /// Whether the workload was done on all nodes, so that what was measured is complete.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Passed | Self::CriteriaFailed)
    }
}

/// A run as it was started, and how it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// Its ID, which identifies its steps on the nodes.
    pub id: String,
    /// The ID of the cluster that it was started on.
    pub cluster_id: Uuid,
    /// The name of that cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// Its begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Moment>,
    /// Its end; a run without one is incomplete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Moment>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The experiment that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// What was varied: `rev` and `new`, `nodes.worker` and `30`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variant: BTreeMap<String, String>,
    /// Its number among the runs of its variant, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition: Option<u32>,
    /// The user's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Nodes per group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<GroupName, u32>,
    /// All that must be equal for two runs to be compared: `topology` and its digest, `vars.rev` and `new`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assumptions: BTreeMap<String, String>,
    /// Its metrics: those of the topology, and those that were found with a unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricSpec>,
    /// Its criteria.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<Criterion>,
    /// Its steps with their nodes.
    pub steps: Vec<WorkloadStep>,
}

impl Record {
    /// A new run. What is known about it besides goes into its fields.
    pub fn new(cluster_id: Uuid, steps: Vec<WorkloadStep>) -> Self {
        Self {
            version: VERSION,
            id: Uuid::new_v4().simple().to_string(),
            cluster_id,
            cluster: None,
            began: None,
            ended: None,
            verdict: None,
            experiment: None,
            variant: BTreeMap::new(),
            repetition: None,
            labels: BTreeMap::new(),
            sizes: BTreeMap::new(),
            assumptions: BTreeMap::new(),
            metrics: Vec::new(),
            criteria: Vec::new(),
            steps,
        }
    }

    /// The version of the file that it was read from: 1 has no end, no verdict and no samples.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Writes the record. While the returned lock is held, the run does not count as interrupted.
    pub fn begin(&self, results: &Results) -> io::Result<Running> {
        crash_point::point!("run recorded before");
        let running = Running::take(results.path())?;
        let running = running.ok_or(io::ErrorKind::WouldBlock)?;
        self.write(results)?;
        crash_point::point!("run recorded after");
        Ok(running)
    }

    /// Writes the record with the end of the run. The run stays open until [`Results::write`] closes it.
    pub fn finish(&mut self, results: &Results, verdict: Verdict, ended: Moment) -> io::Result<()> {
        self.version = VERSION;
        self.verdict = Some(verdict);
        self.ended = Some(ended);
        self.write(results)
    }

    fn write(&self, results: &Results) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        write_whole(&results.path().join("run.json"), &bytes)
    }

    /// Reads the text of a `run.json`.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        versioned::read(bytes, &READABLE)
    }

    /// Reads the record; `None` if it is missing or unreadable.
    pub(super) fn read(directory: &Path) -> Option<Self> {
        let bytes = std::fs::read(directory.join("run.json")).ok()?;
        Self::parse(&bytes).ok()
    }
}

/// The end of a step on a node. A later line for the same step and node replaces an earlier one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) step: String,
    /// Whether nothing remains to be done about its files: they were collected, or could not be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) collected: bool,
    #[serde(flatten)]
    pub(super) result: NodeResult,
}

/// Which nodes ended which steps.
#[derive(Debug)]
pub struct Journal {
    file: Mutex<File>,
    before: HashMap<(String, NodeName), Line>,
}

impl Journal {
    /// Opens the journal of a run, with what earlier commands wrote. A torn line is left out.
    pub fn open(results: &Results) -> io::Result<Self> {
        let path = results.path().join("ended.jsonl");
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let before = lines
            .map(|line| ((line.step.clone(), line.result.node.clone()), line))
            .collect();
        let mut file = appended(&path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        Ok(Self {
            file: Mutex::new(file),
            before,
        })
    }

    /// How a step ended on a node in an earlier command.
    pub(super) fn ended(&self, step: &str, node: &NodeName) -> Option<&NodeResult> {
        self.line(step, node).map(|line| &line.result)
    }

    /// Whether an earlier command has collected the files of a step on a node, or found that it cannot.
    pub(super) fn collected(&self, step: &str, node: &NodeName) -> bool {
        self.line(step, node).is_some_and(|line| line.collected)
    }

    /// The nodes on which a step may still run: they did not confirm its end, or an earlier command began it and this
    /// one did not get as far. As long as there are any, the run must stay open.
    pub fn unconfirmed(
        &self,
        results: &Results,
        steps: &[WorkloadStep],
        reports: &[StepReport],
    ) -> BTreeSet<NodeName> {
        let reported = reports.iter().flat_map(|report| &report.nodes);
        let reported = reported.filter(|result| result.unconfirmed);
        let rest = steps.iter().skip(reports.len());
        let rest = rest.flat_map(|step| step.on.iter().map(move |node| (&step.name, node)));
        let rest = rest
            .filter(|(step, node)| results.has_begun(step, node) && self.ended(step, node).is_none())
            .map(|(_, node)| node);
        let nodes = reported.map(|result| &result.node).chain(rest);
        nodes.cloned().collect()
    }

    fn line(&self, step: &str, node: &NodeName) -> Option<&Line> {
        self.before.get(&(step.to_owned(), node.clone()))
    }

    pub(super) fn write(&self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(&bytes)
    }
}

#[cfg(test)]
mod tests;
