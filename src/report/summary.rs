//! The summary of a command: what was done, what failed, how long each stage took. Pure; also the form
//! of the results file.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::failures::{FailureGroup, group};
use super::statistics::{Timing, human};
use super::style::{ERROR, HEADING, WARNING};
use super::tally::{Stage, StageTally, Tally};
use crate::base::event::{ActionKind, HostStage, NodeStage};
use crate::base::text::{plural, sanitize};

/// Version of the JSON form.
pub const SUMMARY_VERSION: u32 = 1;

/// What a command did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// [`SUMMARY_VERSION`].
    pub version: u32,
    /// The verb.
    pub verb: String,
    /// The cluster.
    pub cluster: String,
    /// Hosts that took part.
    pub hosts: usize,
    /// Nodes that took part.
    pub nodes: usize,
    /// Wall time in seconds.
    #[serde(serialize_with = "crate::base::units::seconds")]
    pub wall: Duration,
    /// Nodes whose domain was created (a recreated node counts here and as removed).
    pub created: usize,
    /// Nodes that already were as wanted.
    pub kept: usize,
    /// Nodes that were removed.
    pub removed: usize,
    /// Nodes that failed at some stage.
    pub failed: usize,
    /// The stages in order.
    pub stages: Vec<StageSummary>,
    /// The failures, equal ones folded.
    pub failures: Vec<FailureGroup>,
    /// The warnings, equal ones folded, with their number.
    pub warnings: Vec<(String, usize)>,
    /// Nodes that are missing in the cluster (`min_ready`), by reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingNodes>,
}

/// Nodes that are missing in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingNodes {
    /// The nodes as a node set.
    pub nodes: String,
    /// How many there are.
    pub count: usize,
    /// Why.
    pub reason: String,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageSummary {
    /// Its name.
    pub stage: String,
    /// What went through it: `hosts` or `nodes`.
    pub unit: &'static str,
    /// How many were expected.
    pub total: usize,
    /// How many are done.
    pub done: usize,
    /// Of these, how many were changed.
    pub changed: usize,
    /// How many failed.
    pub failed: usize,
    /// Times of those that are done.
    #[serde(flatten)]
    pub timing: Option<Timing>,
    /// The one that took longest.
    pub slowest: Option<String>,
}

impl StageSummary {
    fn of(stage: &Stage, tally: &StageTally) -> Self {
        let times: Vec<Duration> = tally.done.iter().map(|(_, took)| *took).collect();
        // Ties go to the first by name, so that the same run gives the same text.
        let slowest = tally
            .done
            .iter()
            .max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
        Self {
            stage: stage.name().to_owned(),
            unit: stage.unit(),
            total: tally.total(),
            done: tally.done.len(),
            changed: tally.changed,
            failed: tally.failed,
            timing: Timing::of(&times),
            slowest: slowest.map(|(name, _)| name.clone()),
        }
    }
}

impl Summary {
    /// The summary of a tally.
    pub fn of(tally: &Tally, wall: Duration) -> Self {
        let changed = |stage| {
            tally
                .stages
                .get(&Stage::Node(stage))
                .map_or(0, |stage| stage.changed)
        };
        let mut failed: Vec<&str> = tally
            .failures
            .iter()
            .filter(|failure| failure.unit == "nodes")
            .map(|failure| failure.subject.as_str())
            .collect();
        failed.sort_unstable();
        failed.dedup();
        let mut warnings: indexmap::IndexMap<&str, usize> = indexmap::IndexMap::new();
        for text in &tally.warnings {
            *warnings.entry(text).or_default() += 1;
        }
        Self {
            version: SUMMARY_VERSION,
            verb: tally.verb.to_owned(),
            cluster: tally.cluster.clone(),
            hosts: tally.hosts,
            nodes: tally.nodes,
            wall,
            created: changed(NodeStage::Define),
            kept: tally.action(ActionKind::Keep),
            removed: changed(NodeStage::Remove),
            failed: failed.len(),
            stages: tally
                .stages
                .iter()
                .map(|(stage, tally)| StageSummary::of(stage, tally))
                .collect(),
            failures: group(&tally.failures),
            warnings: warnings
                .into_iter()
                .map(|(text, count)| (text.to_owned(), count))
                .collect(),
            missing: tally
                .missing
                .iter()
                .map(|(nodes, reason)| MissingNodes {
                    nodes: crate::nodeset::fold(nodes),
                    count: nodes.len(),
                    reason: reason.clone(),
                })
                .collect(),
        }
    }

    /// Writes it as JSON, by rename, so that a reader never sees half of it.
    pub fn write(&self, path: &std::path::Path) -> std::io::Result<()> {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(std::path::Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        std::io::Write::write_all(&mut file, b"\n")?;
        file.persist(path)?;
        Ok(())
    }

    /// The summary for people, without the failures: each was shown when it happened, and the error after the
    /// summary folds them.
    pub fn human(&self) -> String {
        let mut text = String::new();
        if self.began() && !self.stages.is_empty() {
            text.push_str(&self.table());
        }
        for (warning, count) in self.warnings.iter().filter(|(_, count)| *count > 1) {
            let _ = writeln!(text, "{count} times: {}", sanitize(warning));
        }
        if self.began() {
            text.push_str(&self.last_line());
        }
        text
    }

    /// Whether more was done than connect and probe: a table of these would only push the error off the screen.
    fn began(&self) -> bool {
        let looks = [HostStage::Connect.as_str(), HostStage::Probe.as_str()];
        self.stages.is_empty()
            || self
                .stages
                .iter()
                .any(|stage| !looks.contains(&stage.stage.as_str()))
    }

    fn table(&self) -> String {
        let mut table = super::table::new(&["stage", "done", "failed", "p50", "p95", "max", "slowest"]);
        for stage in &self.stages {
            let time =
                |pick: fn(&Timing) -> Duration| stage.timing.as_ref().map_or("-".into(), |t| human(pick(t)));
            table.add_row([
                sanitize(&stage.stage).into_owned(),
                format!("{}/{}", stage.done, stage.total),
                stage.failed.to_string(),
                time(|t| t.p50),
                time(|t| t.p95),
                time(|t| t.max),
                stage.slowest.clone().unwrap_or_default(),
            ]);
        }
        super::table::render(&table)
    }

    fn last_line(&self) -> String {
        let mut parts = Vec::new();
        for (count, word) in [
            (self.created, "created"),
            (self.kept, "kept"),
            (self.removed, "removed"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        if self.failed > 0 {
            parts.push(format!("{ERROR}{} failed{ERROR:#}", self.failed));
        }
        let missing: usize = self.missing.iter().map(|missing| missing.count).sum();
        if missing > 0 {
            parts.push(format!("{WARNING}{missing} missing{WARNING:#}"));
        }
        let warnings: usize = self.warnings.iter().map(|(_, count)| count).sum();
        if warnings > 0 {
            parts.push(format!("{WARNING}{}{WARNING:#}", plural(warnings, "warning")));
        }
        let verb = format!("{HEADING}{} {}{HEADING:#}", self.verb, self.cluster);
        let hosts = plural(self.hosts, "host");
        let mut line = match self.nodes {
            0 => format!("{verb}: {hosts}"),
            nodes => format!("{verb}: {} on {hosts}", plural(nodes, "node")),
        };
        for part in parts {
            let _ = write!(line, ", {part}");
        }
        let _ = writeln!(line, " in {}", human(self.wall));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::plain;
    use super::super::tally::tests::{done, failed, node, started, tally_of};
    use super::*;
    use crate::base::event::{Event, Progress};

    fn story() -> Summary {
        let warning = || Event::Warning {
            text: "slow host".into(),
        };
        let planned = Event::Planned {
            actions: vec![(ActionKind::Create, 2), (ActionKind::Keep, 1)],
            hosts: 2,
        };
        let tally = tally_of(&[
            started("up"),
            planned,
            node("n1", NodeStage::Define, done(1)),
            node("n2", NodeStage::Define, done(1)),
            node("n1", NodeStage::Boot, Progress::Begun),
            node("n1", NodeStage::Boot, done(12)),
            node(
                "n2",
                NodeStage::Boot,
                failed("`n2` died\n  caused by: panic \x1b[2J"),
            ),
            warning(),
            warning(),
        ]);
        Summary::of(&tally, Duration::from_secs(75))
    }

    #[test]
    fn the_summary_shows_counts_times_and_failures() {
        insta::assert_snapshot!(plain(&story().human()), @r"
        STAGE   DONE  FAILED  P50     P95     MAX     SLOWEST
        define  2/2   0       1.00 s  1.00 s  1.00 s  n1
        boot    1/2   1       12.0 s  12.0 s  12.0 s  n1
        2 times: slow host
        up demo: 3 nodes on 2 hosts, 2 created, 1 kept, 1 failed, 2 warnings in 1m 15s
        ");
    }

    #[test]
    fn the_json_form_is_stable() {
        insta::assert_json_snapshot!(story(), @r#"
        {
          "version": 1,
          "verb": "up",
          "cluster": "demo",
          "hosts": 2,
          "nodes": 3,
          "wall": 75.0,
          "created": 2,
          "kept": 1,
          "removed": 0,
          "failed": 1,
          "stages": [
            {
              "stage": "define",
              "unit": "nodes",
              "total": 2,
              "done": 2,
              "changed": 2,
              "failed": 0,
              "p50": 1.0,
              "p95": 1.0,
              "max": 1.0,
              "slowest": "n1"
            },
            {
              "stage": "boot",
              "unit": "nodes",
              "total": 2,
              "done": 1,
              "changed": 1,
              "failed": 1,
              "p50": 12.0,
              "p95": 12.0,
              "max": 12.0,
              "slowest": "n1"
            }
          ],
          "failures": [
            {
              "stage": "boot",
              "nodes": "n2",
              "count": 1,
              "error": "`n2` died\n  caused by: panic \u001b[2J"
            }
          ],
          "warnings": [
            [
              "slow host",
              2
            ]
          ]
        }
        "#);
    }

    #[test]
    fn the_results_file_holds_the_json_form_and_its_folder_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results/up.json");
        story().write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap()["created"],
            2
        );
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
