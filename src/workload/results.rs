//! The results of a run on disk: `results/RUN/STEP/NODE.out`, `NODE.err`, collected files under
//! `results/RUN/STEP/NODE/`, and the summary `results/RUN/results.json`. Files that exist before it are in `record`.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::base::group::grouped;
use crate::base::name::NodeName;
use crate::base::versioned;
use crate::base::whole::write_whole;
use crate::supervise::{Ended, Measured};

/// Version of `results.json`.
const VERSION: u32 = 1;

/// How a step ended on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// Exit code 0.
    Passed,
    /// Another exit code.
    Failed {
        /// The exit code.
        code: u32,
    },
    /// Ended by a signal.
    Killed {
        /// The signal.
        signal: String,
    },
    /// It timed out.
    TimedOut {
        /// What its processes were doing then, one per line, if the node reported it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        doing: Option<String>,
    },
    /// It could not be run.
    Error {
        /// The cause.
        error: String,
    },
}

impl From<&Ended> for Outcome {
    fn from(ended: &Ended) -> Self {
        match ended {
            Ended::Exit(0) => Self::Passed,
            Ended::Exit(code) => Self::Failed { code: *code },
            Ended::Signal(signal) => Self::Killed {
                signal: signal.clone(),
            },
        }
    }
}

impl Outcome {
    /// As shown to the user: `exit code 3`.
    pub fn describe(&self) -> String {
        match self {
            Self::Passed => "passed".into(),
            Self::Failed { code } => Ended::Exit(*code).reason(),
            Self::Killed { signal } => Ended::Signal(signal.clone()).to_string(),
            Self::TimedOut { .. } => "timed out".into(),
            Self::Error { error } => error.clone(),
        }
    }
}

/// The result of a step on a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeResult {
    /// The node.
    pub node: NodeName,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Seconds from its start.
    #[serde(
        serialize_with = "crate::base::units::seconds",
        deserialize_with = "from_seconds"
    )]
    pub took: Duration,
    /// Bytes of standard output and standard error.
    pub bytes: u64,
    /// Bytes of these that were lost: a controller was killed while it held them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Bytes of these that were left out of the files: each keeps the first 256 MiB of a stream.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u64,
    /// What the node measured meanwhile; `None` if it did not report that: the step ran without a supervisor, or its end
    /// was not confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Files that could not be collected after it, and why: paths, patterns, or entries of directories. They do not change
    /// the outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncollected: Vec<String>,
    /// The paths and patterns of which files may be missing because collecting failed. One that matches nothing is not
    /// among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfetched: Vec<Unfetched>,
    /// What is special about the files that were collected, such as that one changed while it was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether the step may still run: the node did not confirm that it has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unconfirmed: bool,
}

/// A path or pattern of which files could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfetched {
    /// As in `collect` of the step.
    pub pattern: String,
    /// Why, for people.
    pub why: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn from_seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepReport {
    /// The step.
    pub step: String,
    /// The result of each of its nodes, in topology order.
    pub nodes: Vec<NodeResult>,
}

impl StepReport {
    /// Whether it passed on all nodes.
    pub fn passed(&self) -> bool {
        self.nodes.iter().all(|node| node.outcome == Outcome::Passed)
    }

    /// Why it failed, with the nodes; empty if it passed on all.
    pub fn failures(&self) -> IndexMap<String, Vec<&NodeName>> {
        let failed = self.nodes.iter().filter(|node| node.outcome != Outcome::Passed);
        grouped(failed.map(|node| (node.outcome.describe(), &node.node)))
    }

    /// The nodes of which files could not be collected.
    pub fn uncollected(&self) -> Vec<&NodeName> {
        let nodes = self.nodes.iter().filter(|node| !node.uncollected.is_empty());
        nodes.map(|node| &node.node).collect()
    }
}

/// The directory of one run.
#[derive(Clone, Debug)]
pub struct Results(PathBuf);

impl Results {
    /// Creates the directory of a run, named after its start time (UTC); never an existing one.
    pub fn create(parent: &Path, began: std::time::SystemTime) -> io::Result<Self> {
        let stamp = humantime::format_rfc3339_seconds(began)
            .to_string()
            .replace([':', '-'], "");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        for attempt in 1..1000 {
            let name = if attempt == 1 {
                stamp.clone()
            } else {
                format!("{stamp}-{attempt}")
            };
            match fs::DirBuilder::new().mode(0o700).create(parent.join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Ok(()) => {
                    crate::base::crash_point::point!("results created");
                    return Ok(Self(parent.join(name)));
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(
            "could not find an unused name for the results directory",
        ))
    }

    /// The directory of an existing run.
    pub(super) fn open(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory of a step, created if missing. Its name was validated with the topology.
    pub fn step(&self, step: &str) -> io::Result<PathBuf> {
        let path = self.0.join(step);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        crate::base::crash_point::point!("results step created");
        Ok(path)
    }

    /// Whether a command has begun the step on a node: it creates these files before it contacts the node.
    pub(super) fn has_begun(&self, step: &str, node: &NodeName) -> bool {
        self.0.join(step).join(format!("{node}.out")).exists()
    }

    /// Writes `results.json`, which closes the run.
    pub fn write(&self, cluster: &str, steps: &[StepReport]) -> io::Result<()> {
        let value = serde_json::json!({ "version": VERSION, "cluster": cluster, "steps": steps });
        crate::base::crash_point::point!("results written before");
        write_whole(&self.0.join("results.json"), format!("{value:#}\n").as_bytes())?;
        crate::base::crash_point::point!("results written after");
        Ok(())
    }
}

/// Reads the text of a `results.json`.
pub fn read_reports(bytes: &[u8]) -> serde_json::Result<Vec<StepReport>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        #[serde(rename = "version")]
        _version: u32,
        #[serde(rename = "cluster")]
        _cluster: String,
        steps: Vec<StepReport>,
    }
    let document: Document = versioned::read(bytes, &(VERSION..=VERSION))?;
    Ok(document.steps)
}

/// Opens a file to append to it. A new one can be read by its owner only, whatever the umask: output may contain secrets.
pub(super) fn appended(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_the_same_second_do_not_share_a_directory() {
        let temp = tempfile::tempdir().unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH;
        let first = Results::create(temp.path(), now).unwrap();
        let second = Results::create(temp.path(), now).unwrap();
        assert_eq!(first.path().file_name().unwrap(), "19700101T000000Z");
        assert_ne!(first.path(), second.path());
    }

    #[test]
    fn results_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
        results.write("demo", &[]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(results.path()), 0o700);
        assert_eq!(mode(&results.path().join("results.json")), 0o600);
    }

    #[test]
    fn results_can_be_read_again_and_nothing_else_can() {
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
        let line = r#"{"node": "n1", "outcome": "failed", "code": 3, "took": 1.5, "bytes": 0}"#;
        let report = StepReport {
            step: "load".into(),
            nodes: vec![serde_json::from_str(line).unwrap()],
        };
        results.write("demo", std::slice::from_ref(&report)).unwrap();
        let text = fs::read_to_string(results.path().join("results.json")).unwrap();
        assert_eq!(read_reports(text.as_bytes()).unwrap(), [report]);
        let later = text.replace("\"version\": 1", "\"version\": 2");
        assert!(read_reports(later.as_bytes()).is_err());
        assert!(read_reports(&text.as_bytes()[..text.len() - 3]).is_err());
    }
}
