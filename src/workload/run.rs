//! Runs step by step, each on all its nodes at once.

use std::path::Path;
use std::time::Instant;

use futures::future::OptionFuture;

use super::barrier::Barrier;
use super::job::Workload;
use super::node;
use super::results::{NodeResult, Outcome, StepReport};
use crate::base::event::{Event, Progress};
use crate::base::name::NodeName;
use crate::ssh::FANOUT;
use crate::ssh::fanout::each;
use crate::topology::WorkloadStep;

impl Workload<'_> {
    /// Runs the steps in order, and stops after the first that failed on any node, or after which the watcher ends the
    /// run; if nothing is started, after the first that had not ended on all nodes.
    pub async fn run(&self, steps: &[WorkloadStep]) -> std::io::Result<Vec<StepReport>> {
        let mut reports = Vec::new();
        for (number, step) in (1..).zip(steps) {
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
            if number < steps.len()
                && let Some(watcher) = self.watcher
                && let Some(why) = watcher.step_ended()
            {
                self.events.warn(format!("the run is stopped: {why}"));
                break;
            }
        }
        Ok(reports)
    }

    async fn step(&self, step: &WorkloadStep, dir: &Path) -> StepReport {
        let began = Instant::now();
        if let Some(watcher) = self.watcher {
            watcher.step_begun(step);
        }
        self.events.emit(Event::StepBegun {
            name: step.name.clone(),
            nodes: step.on.len(),
        });
        let barrier = step.barrier.then(|| Barrier::new(&step.on));
        // All nodes must be at a barrier at once, whatever the fan-out.
        let fanout = step.fanout.or(self.fanout);
        let at_once = if step.barrier {
            step.on.len()
        } else {
            fanout.unwrap_or(FANOUT)
        };
        let takes_turns = !step.barrier && fanout.is_none();
        let nodes = each(&step.on, at_once, |name| {
            let barrier = barrier.as_ref();
            async move {
                let turn = self.nodes.turn_unless(name, self.cancel);
                let _turn = OptionFuture::from(takes_turns.then_some(turn)).await;
                Box::pin(self.run_on(step, name, dir, barrier)).await
            }
        })
        .await;
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
        let report = StepReport {
            step: step.name.clone(),
            nodes,
        };
        let uncollected = crate::nodeset::fold(report.uncollected());
        if !uncollected.is_empty() {
            self.events.emit(Event::Warning {
                text: format!(
                    "files of step `{}` could not be collected on {uncollected}",
                    step.name
                ),
            });
        }
        report
    }

    /// Runs the step on a node and emits its events.
    async fn run_on(
        &self,
        step: &WorkloadStep,
        node: &NodeName,
        dir: &Path,
        barrier: Option<&Barrier>,
    ) -> NodeResult {
        let emit = |progress: Progress| {
            self.events.emit(Event::StepNode {
                name: step.name.clone(),
                node: node.clone(),
                progress,
            });
        };
        emit(Progress::Begun);
        let result = Box::pin(node::run(self, step, node, dir, barrier)).await;
        emit(match &result.outcome {
            Outcome::Passed => Progress::Done {
                changed: true,
                took: result.took,
            },
            other => Progress::Failed {
                error: other.describe(),
                kind: None,
                left: None,
            },
        });
        result
    }
}
