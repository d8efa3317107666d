//! One step on one node: wait at the barrier, run, keep the output, fetch the files.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::barrier::Barrier;
use super::collect::Collected;
use super::job::Workload;
use super::record::{Journal, Line};
use super::results::{NodeResult, Outcome};
use super::sink::Output;
use crate::base::event::Stream;
use crate::base::name::NodeName;
use crate::base::patience::patience;
use crate::supervise::{self, Discard, End, Sink, Step, StepError, Way};
use crate::topology::WorkloadStep;

/// Files that are named of those that could not be collected.
const NAMED: usize = 20;

/// Time for a node to delete what it keeps of a step that has ended.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(30);

/// Stores the output, and records the end before the node deletes it.
struct Keeper<'a> {
    output: Output<'a>,
    journal: &'a Journal,
    barrier: Option<&'a Barrier>,
    step: &'a str,
    node: &'a NodeName,
    began: Instant,
    /// Whether it has started, in this command or an earlier one.
    has_started: bool,
    /// Bytes of its output that were lost.
    lost: u64,
    /// Its result, once it is in the journal.
    recorded: Option<NodeResult>,
}

impl Keeper<'_> {
    /// Records the result of a step that has ended: it is not run again.
    fn record(&mut self, result: NodeResult) -> io::Result<()> {
        self.journal.write(&Line {
            step: self.step.to_owned(),
            collected: false,
            result: result.clone(),
        })?;
        self.recorded = Some(result);
        crate::base::crash_point::point!("workload {} kept", self.step);
        Ok(())
    }
}

impl Sink for Keeper<'_> {
    fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        self.output.take(stream, bytes)
    }

    fn lost(&mut self, stream: Stream, bytes: u64) -> io::Result<()> {
        self.lost = self.lost.saturating_add(bytes);
        self.output.lost(stream, bytes)
    }

    fn started(&mut self) {
        self.has_started = true;
        if let Some(barrier) = self.barrier {
            barrier.passed(self.node);
        }
    }

    fn ended(&mut self, end: &End, why: Option<&StepError>) -> io::Result<()> {
        let bytes = self.output.finish();
        if !self.has_started {
            // A run that is continued may still start it.
            return Ok(());
        }
        let (outcome, took) = match why {
            None => (Outcome::from(&end.ended), end.took),
            Some(error) => (outcome(error, self.barrier), self.began.elapsed()),
        };
        self.record(NodeResult {
            node: self.node.clone(),
            outcome,
            took,
            bytes,
            lost: self.lost,
            cut: self.output.cut(),
            measured: end.measured.clone(),
            uncollected: Vec::new(),
            unfetched: Vec::new(),
            notes: Vec::new(),
            unconfirmed: false,
        })
    }
}

/// Runs a step on a node, or finds out how it ended in an earlier command, and fetches its files.
pub(super) async fn run(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    dir: &Path,
    barrier: Option<&Barrier>,
) -> NodeResult {
    let result = if let Some(result) = workload.journal.ended(&step.name, node) {
        if let Some(barrier) = barrier {
            barrier.passed(node);
        }
        acknowledge(workload, node, &identified(workload, step, node, String::new())).await;
        result.clone()
    } else {
        let ran = command(workload, step, node, dir, barrier).await;
        if let Some(barrier) = barrier {
            barrier.ended(node);
        }
        match ran {
            Ran::Ended(result) => result,
            Ran::Other(result) => return result,
        }
    };
    if step.collect.is_empty() || workload.journal.collected(&step.name, node) {
        return result;
    }
    Box::pin(with_files(workload, step, node, dir, result)).await
}

/// Lets a node delete what it keeps of a step whose end is recorded: an earlier command may have been killed before it
/// did so. Whether the node answers makes no difference.
pub(super) async fn acknowledge(workload: &Workload<'_>, node: &NodeName, step: &Step) {
    let sink = &mut Discard;
    let ended = supervise::stop(workload.nodes, node.as_str(), step, sink, workload.cancel);
    let _ = tokio::time::timeout(patience(ACKNOWLEDGEMENT), ended).await;
}

/// The result of a step on a node.
enum Ran {
    /// It was started, and has ended.
    Ended(NodeResult),
    /// It was not started, or its end is unknown.
    Other(NodeResult),
}

async fn command(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    dir: &Path,
    barrier: Option<&Barrier>,
) -> Ran {
    let began = Instant::now();
    let has_begun = workload.results.has_begun(&step.name, node);
    let result = |outcome: Outcome, bytes: u64, unconfirmed: bool| NodeResult {
        node: node.clone(),
        outcome,
        took: began.elapsed(),
        bytes,
        lost: 0,
        cut: 0,
        measured: None,
        uncollected: Vec::new(),
        unfetched: Vec::new(),
        notes: Vec::new(),
        unconfirmed,
    };
    let unwritable = |error: io::Error| format!("failed to write results: {error}");
    let opened = || -> Result<(Step, Output<'_>), String> {
        let supervised = supervised(workload, step, node)?;
        let output = Output::open(workload, node, dir).map_err(unwritable)?;
        Ok((supervised, output))
    };
    let (supervised, output) = match opened() {
        Ok(opened) => opened,
        Err(error) => return Ran::Other(result(Outcome::Error { error }, 0, has_begun)),
    };
    let arrived = output.arrived();
    let supervised = Step {
        begun: has_begun,
        // If output has arrived, the step was started: read the rest, and do not start it again.
        arrived: (arrived != [0; 2] || !workload.starts).then_some(arrived),
        ..supervised
    };
    let way = Way {
        nodes: workload.nodes,
        node: node.as_str(),
        cancel: workload.cancel,
        // The other nodes wait for it at the barrier.
        start_timeout: match barrier {
            Some(_) => workload.barrier_timeout,
            None if workload.starts => step.timeout,
            // Nothing is started: a node that does not answer must not keep a new run waiting.
            None => step.timeout.min(patience(supervise::ANSWER)),
        },
    };
    let gate = barrier.map(|barrier| gate(barrier, node, workload.barrier_timeout).boxed());
    let mut keeper = Keeper {
        output,
        journal: workload.journal,
        barrier,
        step: &step.name,
        node,
        began,
        has_started: arrived != [0; 2],
        lost: 0,
        recorded: None,
    };
    crate::base::crash_point::point!("workload {} before", step.name);
    let end = supervise::follow(&way, &supervised, gate, &mut keeper).await;
    crate::base::crash_point::point!("workload {} after", step.name);
    if let Some(recorded) = keeper.recorded.take() {
        return Ran::Ended(recorded);
    }
    let bytes = keeper.output.finish();
    let unconfirmed = matches!(end, Err(StepError::Unconfirmed(_)));
    let outcome = match &end {
        Ok(end) => Outcome::from(&end.ended),
        Err(error) => outcome(error, barrier),
    };
    let result = NodeResult {
        lost: keeper.lost,
        cut: keeper.output.cut(),
        ..result(outcome, bytes, unconfirmed)
    };
    if unconfirmed || !keeper.has_started {
        return Ran::Other(result);
    }
    // It ended with its node or its connection, so no supervisor reported the end.
    match keeper.record(result.clone()) {
        Ok(()) => Ran::Ended(result),
        Err(error) => Ran::Other(NodeResult {
            outcome: Outcome::Error {
                error: unwritable(error),
            },
            ..result
        }),
    }
}

/// The outcome of a step that did not end by itself.
fn outcome(error: &StepError, barrier: Option<&Barrier>) -> Outcome {
    match error {
        StepError::Unconfirmed(error) => outcome(error, barrier),
        StepError::TimedOut { doing, .. } => Outcome::TimedOut { doing: doing.clone() },
        StepError::Barrier => Outcome::Error {
            error: format!(
                "not started: {} did not become ready to start",
                barrier.map(Barrier::absent_nodes).unwrap_or_default()
            ),
        },
        StepError::NoLogin { .. } if barrier.is_some() => Outcome::Error {
            error: "no login within the barrier timeout".into(),
        },
        other => Outcome::Error {
            error: crate::base::failure::explain(other),
        },
    }
}

/// The step in the form that the node runs.
fn supervised(workload: &Workload<'_>, step: &WorkloadStep, node: &NodeName) -> Result<Step, String> {
    let command = workload
        .renderer
        .render_text(&step.run, &step.name, node)
        .map_err(|error| crate::base::failure::explain(&error))?;
    Ok(identified(workload, step, node, command))
}

/// The step with its ID on the node.
pub(super) fn identified(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    command: String,
) -> Step {
    Step {
        kind: supervise::Kind::Workload,
        id: supervise::id(
            supervise::Kind::Workload,
            &[workload.run, &step.name, node.as_str()],
        ),
        owner: workload.run.to_owned(),
        command,
        timeout: step.timeout,
        watch: step.watch.clone(),
        begun: true,
        arrived: None,
    }
}

async fn gate(barrier: &Barrier, node: &NodeName, patience: Duration) -> bool {
    tokio::time::timeout(patience, barrier.arrive(node))
        .await
        .unwrap_or(false)
}

/// Fetches the files of a step that has ended, also after a failure, when they are most useful. Records that, so that
/// a run that is continued fetches only what is missing.
async fn with_files(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    dir: &Path,
    mut result: NodeResult,
) -> NodeResult {
    let target = dir.join(node.as_str());
    let mut collected = Collected::default();
    let fetching = super::collect::collect(workload, step, node, &target, &mut collected);
    let is_done = workload.cancel.run_until_cancelled(fetching).await.is_some();
    if !is_done {
        collected.stop("interrupted".into());
    }
    result.uncollected = collected.failed.lines(NAMED);
    result.unfetched = collected.unfetched(&step.collect);
    result.notes = collected.notes.lines(NAMED);
    if !is_done {
        return result;
    }
    let line = Line {
        step: step.name.clone(),
        collected: true,
        result: result.clone(),
    };
    if let (Err(error), Outcome::Passed) = (workload.journal.write(&line), &result.outcome) {
        result.outcome = Outcome::Error {
            error: format!("failed to write results: {error}"),
        };
    }
    crate::base::crash_point::point!("workload {} collected", step.name);
    result
}
