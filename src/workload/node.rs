//! One step on one node: wait at the barrier, run, keep the output, fetch the files.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::barrier::Barrier;
use super::job::Workload;
use super::record::{Journal, Line};
use super::results::{NodeResult, Outcome};
use super::sink::Output;
use crate::base::event::Stream;
use crate::base::name::NodeName;
use crate::supervise::{self, End, Sink, Step, StepError, Way};
use crate::topology::WorkloadStep;

/// Stores the output, and records the end before the node deletes it.
struct Keeper<'a> {
    output: Output<'a>,
    journal: &'a Journal,
    step: &'a str,
    node: &'a NodeName,
}

impl Sink for Keeper<'_> {
    fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        self.output.take(stream, bytes)
    }

    fn ended(&mut self, end: &End) -> io::Result<()> {
        let bytes = self.output.finish();
        self.journal.write(&Line {
            step: self.step.to_owned(),
            result: result(self.node, end, bytes),
        })?;
        crate::base::crash_point::point!("workload {} kept", self.step);
        Ok(())
    }
}

fn result(node: &NodeName, end: &End, bytes: u64) -> NodeResult {
    NodeResult {
        node: node.clone(),
        outcome: Outcome::from(&end.ended),
        took: end.took,
        bytes,
        lost: end.lost.stdout + end.lost.stderr,
    }
}

/// Runs a step on a node.
pub(super) async fn run(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    dir: &Path,
    barrier: Option<&Barrier>,
) -> NodeResult {
    // An earlier command has recorded its end.
    if let Some(result) = workload.journal.ended(&step.name, node) {
        if let Some(barrier) = barrier {
            barrier.passed(node);
        }
        // It may have been killed before it acknowledged the end to the node.
        if let Ok(step) = supervised(workload, step, node) {
            let _ = supervise::stop(workload.nodes, node.as_str(), &step).await;
        }
        return result.clone();
    }
    let began = Instant::now();
    let ran = command(workload, step, node, dir, barrier).await;
    if let Some(barrier) = barrier {
        barrier.ended(node);
    }
    let mut result = match ran {
        Ok(result) => result,
        Err((outcome, bytes)) => NodeResult {
            node: node.clone(),
            outcome,
            took: began.elapsed(),
            bytes,
            lost: 0,
        },
    };
    if let (Outcome::Passed, Err(error)) = (&result.outcome, collect(workload, step, node, dir).await) {
        result.outcome = Outcome::Error { error };
    }
    result
}

async fn command(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    dir: &Path,
    barrier: Option<&Barrier>,
) -> Result<NodeResult, (Outcome, u64)> {
    let error = |error: String| (Outcome::Error { error }, 0);
    let supervised = supervised(workload, step, node).map_err(error)?;
    let io = |error: io::Error| format!("failed to write results: {error}");
    let output = Output::open(workload, node, dir).map_err(io).map_err(error)?;
    let arrived = output.arrived();
    let supervised = Step {
        // If output has arrived, the step was started: read the rest, and do not start it again.
        arrived: (arrived != [0; 2] || !workload.starts).then_some(arrived),
        ..supervised
    };
    let way = Way {
        nodes: workload.nodes,
        node: node.as_str(),
        cancel: workload.cancel,
        // The other nodes wait for it at the barrier.
        start_timeout: barrier.map_or(step.timeout, |_| workload.barrier_timeout),
    };
    let gate = barrier.map(|barrier| gate(barrier, node, workload.barrier_timeout).boxed());
    let mut keeper = Keeper {
        output,
        journal: workload.journal,
        step: &step.name,
        node,
    };
    crate::base::crash_point::point!("workload {} before", step.name);
    let end = supervise::follow(&way, &supervised, gate, &mut keeper).await;
    crate::base::crash_point::point!("workload {} after", step.name);
    let bytes = keeper.output.finish();
    let outcome = match end {
        Ok(end) => return Ok(result(node, &end, bytes)),
        Err(StepError::TimedOut { doing, .. }) => Outcome::TimedOut { doing },
        Err(StepError::Barrier) => Outcome::Error {
            error: format!(
                "not started: {} did not become ready to start",
                barrier.map(Barrier::culprits).unwrap_or_default()
            ),
        },
        Err(StepError::NoLogin { .. }) if barrier.is_some() => Outcome::Error {
            error: "no login within the barrier timeout".into(),
        },
        Err(other) => Outcome::Error {
            error: crate::base::failure::explain(&other),
        },
    };
    Err((outcome, bytes))
}

/// The step in the form that the node runs.
pub(super) fn supervised(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
) -> Result<Step, String> {
    let command = workload
        .renderer
        .render_text(&step.run, &step.name, node)
        .map_err(|error| crate::base::failure::explain(&error))?;
    Ok(Step {
        kind: supervise::Kind::Workload,
        id: supervise::id(
            supervise::Kind::Workload,
            &[workload.run, &step.name, node.as_str()],
        ),
        owner: workload.run.to_owned(),
        command,
        timeout: step.timeout,
        arrived: None,
    })
}

async fn gate(barrier: &Barrier, node: &NodeName, patience: Duration) -> bool {
    tokio::time::timeout(patience, barrier.arrive(node))
        .await
        .unwrap_or(false)
}

/// Fetches the files of a step, also after a failure, when they are most useful.
async fn collect(
    workload: &Workload<'_>,
    step: &WorkloadStep,
    node: &NodeName,
    dir: &Path,
) -> Result<(), String> {
    if step.collect.is_empty() || workload.cancel.is_cancelled() {
        return Ok(());
    }
    let target = dir.join(node.as_str());
    super::collect::collect(workload, step, node, &target)
        .await
        .map_err(|error| format!("failed to collect files: {error}"))
}
