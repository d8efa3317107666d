//! Ends the processes that an interrupted run left on its nodes.

use super::job::Workload;
use super::node::supervised;
use super::results::{NodeResult, Outcome, StepReport};
use crate::base::name::NodeName;
use crate::engine::Pending;
use crate::ssh::FANOUT;
use crate::supervise;
use crate::topology::WorkloadStep;

impl Workload<'_> {
    /// Ends the steps of this run on all their nodes; returns how each ended. Starts nothing.
    pub async fn stop(&self, steps: &[WorkloadStep]) -> Vec<StepReport> {
        let mut reports = Vec::new();
        for step in steps {
            let nodes = Pending::each(
                self.events,
                format!("the end of step `{}` on", step.name),
                FANOUT,
                &step.on,
                |node| *node,
                |node| self.stop_on(step, node),
            )
            .await;
            reports.push(StepReport {
                step: step.name.clone(),
                nodes,
            });
        }
        reports
    }

    async fn stop_on(&self, step: &WorkloadStep, node: &NodeName) -> NodeResult {
        let stopped = match supervised(self, step, node) {
            Ok(step) => supervise::stop(self.nodes, node.as_str(), &step)
                .await
                .map_err(|error| crate::base::failure::explain(&error)),
            Err(error) => Err(error),
        };
        if let Some(result) = self.journal.ended(&step.name, node) {
            return result.clone();
        }
        NodeResult {
            node: node.clone(),
            outcome: Outcome::Error {
                error: match stopped {
                    Ok(true) => "stopped".into(),
                    Ok(false) => "not running".into(),
                    Err(error) => error,
                },
            },
            took: std::time::Duration::ZERO,
            bytes: 0,
            lost: 0,
        }
    }
}
