//! Runs of a cluster's workload: started, resumed after their controller was killed, or stopped.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::as_configured::check;
use super::locks::ClusterLocks;
use super::nodes::close;
use super::open::Cluster;
use crate::base::event::Events;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::name::NodeName;
use crate::base::suggest::suggest;
use crate::base::text::sanitize;
use crate::configure;
use crate::engine::report_slow_nodes;
use crate::host::{Access, LockMode};
use crate::ssh::Nodes;
use crate::topology::{Topology, WorkloadStep};
use crate::workload::{InterruptedRun, Journal, Record, Results, StepReport, Workload};

/// Options of a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Nodes at once for steps without a barrier; `None`: chosen by host CPU capacity.
    pub fanout: Option<usize>,
    /// Whether to emit lines of output as events as they arrive.
    pub live: bool,
    /// Time for all nodes to reach a barrier.
    pub barrier_timeout: Duration,
    /// Whether to start nothing if a node is known not to be as it was configured.
    pub check: bool,
    /// How to connect to hosts.
    pub access: Access,
    /// Cancelled by the first interrupt.
    pub cancel: CancellationToken,
}

/// What to do with the steps of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Start or resume them.
    Run,
    /// Collect those that were started.
    Collect,
    /// Stop them.
    Stop,
}

/// Sessions to the nodes of a run, and the locks that prevent a removal of the cluster.
struct Connected {
    nodes: Nodes,
    holds: ClusterLocks,
}

/// What became of a run.
#[derive(Debug)]
pub struct Performed {
    /// The results of its steps.
    pub reports: Vec<StepReport>,
    /// The nodes on which a step may still run. If there are any, the run stays open: another command can continue or
    /// stop it.
    pub unconfirmed: BTreeSet<NodeName>,
}

/// What all runs of one command have in common.
pub struct Runs<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Its topology.
    pub topology: &'a Topology,
    /// The options.
    pub options: &'a RunOptions,
}

impl Runs<'_> {
    /// Begins a run of these steps, in a new directory below `parent`.
    pub fn begin(&self, parent: &Path, steps: Vec<WorkloadStep>) -> anyhow::Result<InterruptedRun> {
        let results = Results::create(parent, std::time::SystemTime::now()).with_context(|| {
            unwritten(format!(
                "failed to create a results directory in {}",
                parent.display()
            ))
        })?;
        let record = Record::new(self.cluster.plan.cluster_id, steps);
        let running = record
            .begin(&results)
            .with_context(|| unwritten("failed to write run.json"))?;
        Ok(InterruptedRun {
            results,
            record,
            running,
        })
    }

    /// Works on the steps of a run. The run is opened once its nodes can be reached: one that reaches no host has started
    /// nothing, so there is nothing to resume.
    pub async fn carry_out(
        &self,
        steps: &[WorkloadStep],
        mode: Mode,
        open: impl FnOnce() -> anyhow::Result<InterruptedRun>,
        events: &Events,
    ) -> anyhow::Result<(Performed, InterruptedRun)> {
        let connected = self.connect(steps, events).await?;
        if self.options.check && mode == Mode::Run {
            let chosen = nodes_of(steps);
            let checked = check(self.cluster, &connected.nodes, &chosen, events);
            let cancel = &self.options.cancel;
            // After an interrupt, the steps report that themselves.
            if let Some(Err(error)) = cancel.run_until_cancelled(checked).await {
                close(&connected.nodes, events).await;
                connected.holds.release(events).await;
                return Err(error);
            }
        }
        let run = open()?;
        let performed = self
            .perform(connected, &run.results, &run.record, mode, events)
            .await?;
        Ok((performed, run))
    }

    /// Opens sessions to the nodes of these steps.
    async fn connect(&self, steps: &[WorkloadStep], events: &Events) -> anyhow::Result<Connected> {
        let chosen = nodes_of(steps);
        let access = &self.options.access;
        let (nodes, holds) = self
            .cluster
            .nodes_held(&chosen, access, "run", LockMode::Shared, events)
            .await?;
        Ok(Connected { nodes, holds })
    }

    /// Runs, collects or stops the steps. Writes the results unless a step may still run.
    async fn perform(
        &self,
        connected: Connected,
        results: &Results,
        record: &Record,
        mode: Mode,
        events: &Events,
    ) -> anyhow::Result<Performed> {
        let Connected { nodes, holds } = connected;
        let journal =
            Journal::open(results).with_context(|| unwritten("failed to open the journal of the run"))?;
        let _slow = report_slow_nodes(&nodes, events);
        let renderer = configure::context(&self.cluster.plan, self.topology);
        let workload = Workload {
            renderer: &renderer,
            nodes: &nodes,
            events,
            cancel: &self.options.cancel,
            run: &record.id,
            results,
            journal: &journal,
            live: self.options.live,
            fanout: self.options.fanout,
            barrier_timeout: self.options.barrier_timeout,
            starts: mode == Mode::Run,
        };
        let reports = match mode {
            Mode::Stop => workload.stop(&record.steps).await,
            _ => workload
                .run(&record.steps)
                .await
                .with_context(|| unwritten("failed to write results"))?,
        };
        close(&nodes, events).await;
        holds.release(events).await;
        let mut unconfirmed = journal.unconfirmed(results, &record.steps, &reports);
        // A node that `up` has removed since then runs nothing.
        unconfirmed.retain(|node| self.cluster.plan.nodes.iter().any(|known| known.name == *node));
        if unconfirmed.is_empty() {
            results
                .write(self.cluster.record.name.as_str(), &reports)
                .with_context(|| unwritten("failed to write results.json"))?;
        }
        Ok(Performed { reports, unconfirmed })
    }
}

/// The error for a file or directory of a run that cannot be written.
fn unwritten(what: impl Into<String>) -> UserError {
    UserError::new(ExitCode::Unexpected, what).with_hint(
        "check the permissions and the free space of the results directory; `--results` names another one",
    )
}

/// The nodes of these steps, each once.
pub fn nodes_of(steps: &[WorkloadStep]) -> Vec<NodeName> {
    let mut nodes: Vec<NodeName> = steps.iter().flat_map(|step| step.on.clone()).collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

/// The steps with these names (default: all), on the selected nodes only. A step without any of these nodes is skipped.
pub fn choose(
    names: &[String],
    steps: Vec<WorkloadStep>,
    chosen: &[NodeName],
) -> Result<Vec<WorkloadStep>, UserError> {
    if steps.is_empty() {
        let text = "the topology has no `workload:` steps";
        let hint = "add steps to it, such as `workload: [{ name: load, run: COMMAND }]`";
        return Err(UserError::new(ExitCode::Usage, text).with_hint(hint));
    }
    for name in names {
        let known: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        if !known.contains(&name.as_str()) {
            let text = format!(
                "the workload has no step `{}` (it has {})",
                sanitize(name),
                known.join(", ")
            );
            let mut unknown = UserError::new(ExitCode::Usage, text);
            unknown.hint = suggest(name, known.iter().copied());
            return Err(unknown);
        }
    }
    Ok(steps
        .into_iter()
        .filter(|step| names.is_empty() || names.contains(&step.name))
        .map(|mut step| {
            step.on.retain(|node| chosen.contains(node));
            step
        })
        .filter(|step| !step.on.is_empty())
        .collect())
}
