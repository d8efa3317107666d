//! The record of a run, so that another command can resume it: `run.json` before its first step, and `ended.jsonl`
//! with a line for every node on which a step has ended, and a second one once its files are collected. A run without
//! `results.json` is open: it was interrupted, or the end of a step is unknown.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::results::{NodeResult, Results, StepReport, appended, private};
use crate::base::name::NodeName;
use crate::topology::WorkloadStep;

/// Version of `run.json`.
const VERSION: u32 = 1;

/// A run as it was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// Its ID, which identifies its steps on the nodes.
    pub id: String,
    /// The cluster that it was started on.
    pub cluster_id: Uuid,
    /// Its steps with their nodes.
    pub steps: Vec<WorkloadStep>,
}

impl Record {
    /// A new run.
    pub fn new(cluster_id: Uuid, steps: Vec<WorkloadStep>) -> Self {
        Self {
            version: VERSION,
            id: Uuid::new_v4().simple().to_string(),
            cluster_id,
            steps,
        }
    }

    /// Writes the record. While the returned lock is held, the run does not count as interrupted.
    pub fn begin(&self, results: &Results) -> io::Result<Running> {
        crate::base::crash_point::point!("run recorded before");
        let mut file = private(&results.path().join("run.json"))?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        let running = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)?;
        crate::base::crash_point::point!("run recorded after");
        Ok(Running(running))
    }

    /// Reads the record; `None` if it is missing or unreadable, as after a kill while it was written.
    fn read(directory: &Path) -> Option<Self> {
        let bytes = std::fs::read(directory.join("run.json")).ok()?;
        let record: Self = serde_json::from_slice(&bytes).ok()?;
        (record.version == VERSION).then_some(record)
    }
}

/// The lock of a run; the kernel frees it when its process ends.
#[derive(Debug)]
pub struct Running(#[expect(dead_code, reason = "held for its lock")] Flock<File>);

/// A run whose process ended before its results were written, or with a step whose end is unknown.
#[derive(Debug)]
pub struct InterruptedRun {
    /// Its directory.
    pub results: Results,
    /// Its record.
    pub record: Record,
    /// Prevents other commands from resuming it.
    pub running: Running,
}

/// The interrupted runs of a cluster, oldest first. Runs whose process is alive are left out.
pub fn interrupted_runs(parent: &Path, cluster_id: Uuid) -> Vec<InterruptedRun> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("run.json").exists() && !path.join("results.json").exists())
        .collect();
    found.sort();
    found
        .into_iter()
        .filter_map(|path| {
            let file = File::open(path.join("run.json")).ok()?;
            let running = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?;
            let record = Record::read(&path)?;
            (record.cluster_id == cluster_id).then(|| InterruptedRun {
                results: Results::open(path),
                record,
                running: Running(running),
            })
        })
        .collect()
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
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::super::results::Outcome;
    use super::*;

    fn line(step: &str, node: &NodeName) -> Line {
        Line {
            step: step.into(),
            collected: false,
            result: NodeResult {
                node: node.clone(),
                outcome: Outcome::TimedOut {
                    doing: Some("sleeps".into()),
                },
                took: Duration::from_millis(1500),
                bytes: 3,
                lost: 0,
                cut: 0,
                uncollected: Vec::new(),
                notes: Vec::new(),
                unconfirmed: false,
            },
        }
    }

    #[test]
    fn a_later_line_replaces_an_earlier_one_and_older_journals_can_be_read() {
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
        let node: NodeName = "n001".parse().unwrap();
        let old = r#"{"step":"old","node":"n001","outcome":"passed","took":1.5,"bytes":3}"#;
        fs::write(results.path().join("ended.jsonl"), format!("{old}\n")).unwrap();
        let mut line = line("load", &node);
        let journal = Journal::open(&results).unwrap();
        journal.write(&line).unwrap();
        line.collected = true;
        line.result.uncollected = vec!["nothing matches /x".into()];
        journal.write(&line).unwrap();
        let journal = Journal::open(&results).unwrap();
        assert_eq!(journal.ended("load", &node), Some(&line.result));
        assert_eq!(journal.ended("old", &node).unwrap().outcome, Outcome::Passed);
        assert!(journal.collected("load", &node) && !journal.collected("old", &node));
    }

    #[test]
    fn a_run_stays_open_for_nodes_that_confirmed_no_end_and_for_steps_that_were_not_reached() {
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
        let nodes: Vec<NodeName> = ["n001", "n002", "n003"].map(|name| name.parse().unwrap()).into();
        let step = |name: &str| WorkloadStep {
            name: name.into(),
            on: nodes.clone(),
            run: "true".into(),
            timeout: Duration::from_secs(1),
            barrier: false,
            fanout: None,
            collect: Vec::new(),
            at: None,
        };
        let steps = [step("first"), step("second"), step("never")];
        let journal = Journal::open(&results).unwrap();
        for node in &nodes[..2] {
            let file = results.step("second").unwrap().join(format!("{node}.out"));
            fs::write(file, "").unwrap();
        }
        journal.write(&line("second", &nodes[0])).unwrap();
        let journal = Journal::open(&results).unwrap();
        let mut report = StepReport {
            step: "first".into(),
            nodes: nodes.iter().map(|node| line("first", node).result).collect(),
        };
        let unconfirmed = |reports: &[StepReport]| -> Vec<String> {
            let found = journal.unconfirmed(&results, &steps, reports);
            found.iter().map(ToString::to_string).collect()
        };
        assert_eq!(unconfirmed(std::slice::from_ref(&report)), ["n002"]);
        report.nodes[2].unconfirmed = true;
        let mut reports = vec![report];
        assert_eq!(unconfirmed(&reports), ["n002", "n003"]);
        reports[0].nodes[2].unconfirmed = false;
        reports.push(StepReport {
            step: "second".into(),
            nodes: nodes.iter().map(|node| line("second", node).result).collect(),
        });
        assert_eq!(unconfirmed(&reports), Vec::<String>::new());
    }

    #[test]
    fn an_interrupted_run_is_found_with_its_ended_steps_and_a_torn_line_is_left_out() {
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
        let cluster = Uuid::from_u128(7);
        let running = Record::new(cluster, Vec::new()).begin(&results).unwrap();
        let node: NodeName = "n001".parse().unwrap();
        let line = line("load", &node);
        Journal::open(&results).unwrap().write(&line).unwrap();
        appended(&results.path().join("ended.jsonl"))
            .unwrap()
            .write_all(b"{\"step\":\"lo")
            .unwrap();
        for _ in 0..2 {
            let journal = Journal::open(&results).unwrap();
            assert_eq!(journal.ended("load", &node), Some(&line.result));
            assert_eq!(journal.ended("other", &node), None);
            assert!(!journal.collected("load", &node));
        }
        assert_eq!(
            interrupted_runs(temp.path(), cluster).len(),
            0,
            "its process is alive"
        );
        drop(running);
        assert_eq!(interrupted_runs(temp.path(), cluster).len(), 1);
        assert_eq!(interrupted_runs(temp.path(), Uuid::from_u128(8)).len(), 0);
        results.write("demo", &[]).unwrap();
        assert_eq!(interrupted_runs(temp.path(), cluster).len(), 0);
    }
}
