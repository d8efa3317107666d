//! Step after step, each on all its nodes at once.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::OptionFuture;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::barrier::Barrier;
use super::node;
use super::record::Journal;
use super::results::{NodeResult, Outcome, Results};
use crate::engine::{Event, Events, Progress};
use crate::name::NodeName;
use crate::ssh::{FANOUT, Nodes};
use crate::template::Shared;
use crate::topology::WorkloadStep;

/// All that running a workload needs.
pub struct Workload<'a> {
    /// Renders commands.
    pub renderer: &'a Shared,
    /// Sessions of the nodes.
    pub nodes: &'a Nodes,
    /// Where events go.
    pub events: &'a Events,
    /// Set when the user interrupts.
    pub cancel: &'a CancellationToken,
    /// ID of the run.
    pub run: &'a str,
    /// Where results go.
    pub results: &'a Results,
    /// What has ended.
    pub journal: &'a Journal,
    /// Whether lines of output become events as they come.
    pub live: bool,
    /// The most nodes at once for steps without a barrier, where the user says so. Else the nodes take turns by how
    /// busy their machines are.
    pub fanout: Option<usize>,
    /// Time for all nodes to come to a barrier.
    pub barrier_timeout: Duration,
    /// Whether anything is started that was not begun before.
    pub starts: bool,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The step.
    pub step: String,
    /// Every node of it, in topology order.
    pub nodes: Vec<NodeResult>,
}

impl StepReport {
    /// Whether it passed everywhere.
    pub fn passed(&self) -> bool {
        self.nodes.iter().all(|node| node.outcome == Outcome::Passed)
    }
}

impl Workload<'_> {
    /// Runs the steps in order, and stops after the first that failed somewhere; where nothing is started, after the
    /// first that had not ended everywhere.
    pub async fn run(&self, steps: &[WorkloadStep]) -> std::io::Result<Vec<StepReport>> {
        let mut reports = Vec::new();
        for step in steps {
            let dir = self.results.step(&step.name)?;
            let was_over = step
                .on
                .iter()
                .all(|node| self.journal.ended(&step.name, node).is_some());
            let report = self.step(step, &dir).await;
            let passed = report.passed();
            reports.push(report);
            if !passed || self.cancel.is_cancelled() || !(self.starts || was_over) {
                break;
            }
        }
        Ok(reports)
    }

    async fn step(&self, step: &WorkloadStep, dir: &Path) -> StepReport {
        let began = Instant::now();
        self.events.emit(Event::StepBegun {
            name: step.name.clone(),
            nodes: step.on.len(),
        });
        let barrier = step.barrier.then(|| Barrier::new(&step.on));
        // Behind a barrier everyone must be there at once, whatever the fan-out.
        let fanout = step.fanout.or(self.fanout);
        let at_once = if step.barrier {
            step.on.len()
        } else {
            fanout.unwrap_or(FANOUT)
        };
        let takes_turns = !step.barrier && fanout.is_none();
        let mut results: Vec<(usize, NodeResult)> = futures::stream::iter(step.on.iter().enumerate())
            .map(|(index, name): (usize, &NodeName)| {
                let barrier = barrier.as_ref();
                async move {
                    let turn = self.nodes.turn_unless(name, self.cancel);
                    let _turn = OptionFuture::from(takes_turns.then_some(turn)).await;
                    (index, self.told(step, name, dir, barrier).await)
                }
            })
            .buffer_unordered(at_once.max(1))
            .collect()
            .await;
        results.sort_by_key(|(index, _)| *index);
        let nodes: Vec<NodeResult> = results.into_iter().map(|(_, result)| result).collect();
        let ok = nodes
            .iter()
            .filter(|node| node.outcome == Outcome::Passed)
            .count();
        self.events.emit(Event::Step {
            name: step.name.clone(),
            ok,
            changed: ok,
            failed: nodes.len() - ok,
            took: began.elapsed(),
        });
        StepReport {
            step: step.name.clone(),
            nodes,
        }
    }

    /// Runs the step on a node, and tells how it stands.
    async fn told(
        &self,
        step: &WorkloadStep,
        node: &NodeName,
        dir: &Path,
        barrier: Option<&Barrier>,
    ) -> NodeResult {
        let tell = |progress: Progress| {
            self.events.emit(Event::StepNode {
                name: step.name.clone(),
                node: node.clone(),
                progress,
            });
        };
        tell(Progress::Begun);
        let result = node::run(self, step, node, dir, barrier).await;
        tell(match &result.outcome {
            Outcome::Passed => Progress::Done {
                changed: true,
                took: result.took,
            },
            other => Progress::Failed {
                error: other.describe(),
            },
        });
        result
    }
}
