//! The stages of the last `up` that booted nodes, with their times: `logs/up.jsonl` of the cluster. A run takes a copy
//! along, as `up.jsonl`: its report shows the way from the start, and the stages are metrics (`up.boot.seconds`), as is
//! what `up` cost vcluster itself (`vcluster.up.cpu_seconds`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::own_cost::{Meter, OwnCost};
use crate::base::event::Event;
use crate::base::json_line::{format, header};
use crate::base::name::NodeName;
use crate::base::whole::write_whole;
use crate::measure::Sample;
use crate::state::ClusterDir;

/// The file in the directory of the cluster.
const KEPT: &str = "logs/up.jsonl";

/// The file in the directory of a run.
const FILE: &str = "up.jsonl";

/// The most bytes that are kept and read; later stages are left out.
const LIMIT: usize = 64 << 20;

/// What was collected so far: a header and numbered lines; and what `up` costs in the meantime.
struct Collected {
    text: String,
    lines: u64,
    meter: Meter,
}

/// Collects the stages of an `up` that is under way.
pub(super) struct Stages {
    end: oneshot::Sender<()>,
    collecting: JoinHandle<Collected>,
}

impl Stages {
    /// Begins to collect from a receiver.
    pub(super) fn begin(mut receiver: UnboundedReceiver<Event>) -> Self {
        let (end, mut ended) = oneshot::channel();
        let meter = Meter::begin();
        let collecting = tokio::spawn(async move {
            let mut collected = Collected {
                text: header(),
                lines: 0,
                meter,
            };
            let mut is_ending = false;
            loop {
                tokio::select! {
                    biased;
                    event = receiver.recv() => {
                        let Some(event) = event else { return collected };
                        if is_timed(&event) && collected.text.len() < LIMIT {
                            collected.add("event", &event);
                        }
                    }
                    _ = &mut ended, if !is_ending => {
                        is_ending = true;
                        receiver.close();
                    }
                }
            }
        });
        Self { end, collecting }
    }

    /// Stores what was collected, and what `up` has cost.
    pub(super) async fn store(self, dir: &ClusterDir) -> io::Result<()> {
        // The task has ended if its senders are gone.
        let _ = self.end.send(());
        let mut collected = self.collecting.await.map_err(io::Error::other)?;
        let cost = collected.meter.read("up");
        collected.add("cost", &json!({ "cost": cost }));
        write_whole(&dir.join(KEPT), collected.text.as_bytes())
    }
}

impl Collected {
    fn add(&mut self, kind: &str, content: &impl Serialize) {
        self.lines += 1;
        let line = format(self.lines, self.meter.elapsed(), kind, content);
        self.text.push_str(&line);
    }
}

fn is_timed(event: &Event) -> bool {
    matches!(
        event,
        Event::Host { .. } | Event::Node { .. } | Event::StepNode { .. }
    )
}

/// Copies the stages of a cluster into the directory of a run.
pub(super) fn take_along(dir: &ClusterDir, run: &Path) -> io::Result<()> {
    match fs::read(dir.join(KEPT)) {
        Ok(bytes) => write_whole(&run.join(FILE), &bytes),
        // An earlier release raised the cluster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A line, as far as a sample needs it.
#[derive(Deserialize)]
struct Line {
    host: Option<String>,
    node: Option<NodeName>,
    stage: Option<String>,
    state: Option<String>,
    took: Option<f64>,
    cost: Option<OwnCost>,
}

/// The seconds of each stage, of each host or node: `up.STAGE.seconds`; and what `up` has cost: `vcluster.up.seconds` and
/// so on.
pub(super) fn samples(run: &Path) -> io::Result<Vec<Sample>> {
    let bytes = match fs::read(run.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let lines = bytes.split(|byte| *byte == b'\n');
    Ok(lines.flat_map(of_line).collect())
}

fn of_line(line: &[u8]) -> Vec<Sample> {
    // A line that is cut off has no sample.
    let Ok(line) = serde_json::from_slice::<Line>(line) else {
        return Vec::new();
    };
    match &line.cost {
        Some(cost) => cost.samples(),
        None => of_stage(line).into_iter().collect(),
    }
}

fn of_stage(line: Line) -> Option<Sample> {
    let stage = line.stage.filter(|_| line.state.as_deref() == Some("done"))?;
    let value = line.took.filter(|took| took.is_finite() && *took >= 0.0)?;
    let host = line.host.map(|host| ("host".to_owned(), host));
    Some(Sample {
        metric: format!("up.{stage}.seconds").parse().ok()?,
        value,
        step: None,
        node: line.node,
        labels: host.into_iter().collect::<BTreeMap<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::event::{Events, HostStage, NodeStage, Progress};
    use crate::state::StateRoot;

    #[tokio::test]
    async fn the_stages_of_an_up_become_samples_of_a_run() {
        let temp = tempfile::tempdir().unwrap();
        let dir = StateRoot::at(temp.path().to_owned()).cluster(&"demo".parse().unwrap());
        dir.create().unwrap();
        let run = temp.path().join("run");
        fs::create_dir(&run).unwrap();
        take_along(&dir, &run).unwrap();
        assert_eq!(samples(&run).unwrap(), []);
        let (events, mut shown) = Events::channel();
        let (copied, receiver) = events.copied();
        let stages = Stages::begin(receiver);
        let done = |milliseconds| Progress::Done {
            changed: true,
            took: Duration::from_millis(milliseconds),
        };
        copied.emit(Event::Host {
            host: "bm01".parse().unwrap(),
            stage: HostStage::Image,
            progress: done(2500),
        });
        for progress in [Progress::Begun, done(1250)] {
            copied.emit(Event::Node {
                node: "n1".parse().unwrap(),
                host: "bm01".parse().unwrap(),
                stage: NodeStage::Boot,
                progress,
            });
        }
        copied.note("no stage");
        stages.store(&dir).await.unwrap();
        assert!(shown.try_recv().is_ok());
        take_along(&dir, &run).unwrap();
        let found = samples(&run).unwrap();
        let (stages, own): (Vec<Sample>, Vec<Sample>) = found
            .into_iter()
            .partition(|sample| sample.metric.prefix() == "up");
        let found: Vec<(&str, f64, Option<&str>, &str)> = stages
            .iter()
            .map(|sample| {
                let node = sample.node.as_ref().map(NodeName::as_str);
                (
                    sample.metric.as_str(),
                    sample.value,
                    node,
                    sample.labels["host"].as_str(),
                )
            })
            .collect();
        let wanted = [
            ("up.image.seconds", 2.5, None, "bm01"),
            ("up.boot.seconds", 1.25, Some("n1"), "bm01"),
        ];
        assert_eq!(found, wanted);
        let own: Vec<&str> = own.iter().map(|sample| sample.metric.as_str()).collect();
        let wanted = ["seconds", "cpu_seconds", "memory_bytes"];
        assert_eq!(own, wanted.map(|field| format!("vcluster.up.{field}")));
        // The lines are numbered, the cost is the last one.
        let text = fs::read_to_string(run.join(FILE)).unwrap();
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("{\"seq\":4,"), "{last}");
        assert!(last.contains("\"type\":\"cost\""), "{last}");
    }

    #[test]
    fn what_is_no_stage_that_was_done_gives_no_sample() {
        for line in [
            "",
            "{\"version\":1}",
            "{\"event\":\"node\",\"stage\":\"boot\",\"state\":\"begun\"}",
            "{\"event\":\"node\",\"stage\":\"boot\",\"state\":\"done\"}",
            "{\"event\":\"node\",\"stage\":\"boot\",\"state\":\"done\",\"took\":-1}",
            "{\"event\":\"node\",\"stage\":\"a b\",\"state\":\"done\",\"took\":1}",
            "{\"event\":\"node\",\"stage\":\"boot\",\"state\":\"done\",\"took\":1",
            "{\"type\":\"cost\",\"cost\":{\"verb\":\"up\"}}",
            "{\"type\":\"cost\",\"cost\":{\"verb\":\"a b\",\"seconds\":1}}",
        ] {
            assert_eq!(of_line(line.as_bytes()), [], "{line}");
        }
    }
}
