//! Ends the processes that an open run left on its nodes.

use std::io;
use std::time::Duration;

use super::job::Workload;
use super::node::{acknowledge, identified};
use super::record::{Journal, Line};
use super::results::{NodeResult, Outcome, StepReport};
use crate::base::event::Stream;
use crate::base::failure::explain;
use crate::base::name::NodeName;
use crate::engine::Pending;
use crate::ssh::FANOUT;
use crate::supervise::{self, End, Sink, StepError};
use crate::topology::WorkloadStep;

/// Records that a step was stopped before the node deletes it, so that nothing starts it again.
struct Stopping<'a> {
    journal: &'a Journal,
    step: &'a str,
    node: &'a NodeName,
}

impl Sink for Stopping<'_> {
    fn take(&mut self, _: Stream, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn ended(&mut self, end: &End, _: Option<&StepError>) -> io::Result<()> {
        self.journal.write(&Line {
            step: self.step.to_owned(),
            collected: false,
            result: NodeResult {
                took: end.took,
                measured: end.measured.clone(),
                ..result(self.node, "stopped")
            },
        })
    }
}

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
        if !self.results.has_begun(&step.name, node) {
            return result(node, "not running");
        }
        let supervised = identified(self, step, node, String::new());
        if let Some(ended) = self.journal.ended(&step.name, node) {
            acknowledge(self, node, &supervised).await;
            return ended.clone();
        }
        let mut sink = Stopping {
            journal: self.journal,
            step: &step.name,
            node,
        };
        match supervise::stop(self.nodes, node.as_str(), &supervised, &mut sink, self.cancel).await {
            Ok(true) => result(node, "stopped"),
            Ok(false) => result(node, "not running"),
            Err(error) => NodeResult {
                unconfirmed: true,
                ..result(node, &explain(&error))
            },
        }
    }
}

fn result(node: &NodeName, error: &str) -> NodeResult {
    NodeResult {
        node: node.clone(),
        outcome: Outcome::Error { error: error.into() },
        took: Duration::ZERO,
        bytes: 0,
        lost: 0,
        cut: 0,
        measured: None,
        uncollected: Vec::new(),
        unfetched: Vec::new(),
        notes: Vec::new(),
        unconfirmed: false,
    }
}
