//! Runs of a cluster's workload: started, resumed after their controller was killed, or stopped; and what they measured.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::abort::Watch;
use super::as_configured::check;
use super::assumptions::{self, Assumptions};
use super::kept_events::KeptEvents;
use super::locks::ClusterLocks;
use super::measured::{Measured, measure};
use super::nodes::close;
use super::open::Cluster;
use super::own_cost::Meter;
use super::run_files;
use super::sources::of_sources;
use crate::base::event::Events;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::name::NodeName;
use crate::base::suggest::suggest;
use crate::base::text::sanitize;
use crate::base::units::Moment;
use crate::configure;
use crate::engine::report_slow_nodes;
use crate::extract::Trouble;
use crate::host::{Access, LockMode};
use crate::measure::Finding;
use crate::ssh::Nodes;
use crate::topology::{Topology, WorkloadStep};
use crate::workload::{InterruptedRun, Journal, Observe, Record, Results, StepReport, Verdict, Workload};

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
    /// What a new run is for.
    pub info: RunInfo,
}

/// What a run is for. It is stored with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInfo {
    /// What was varied: `rev` and `new`, `nodes.worker` and `30`.
    pub variant: BTreeMap<String, String>,
    /// Its number among the runs of its variant, from 1.
    pub repetition: Option<u32>,
    /// The experiment that it is a part of.
    pub experiment: Option<String>,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
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
    /// The name of the run: that of its directory.
    pub name: String,
    /// The results of its steps.
    pub reports: Vec<StepReport>,
    /// The nodes on which a step may still run. If there are any, the run stays open: another command can continue or
    /// stop it, and nothing is judged yet.
    pub unconfirmed: BTreeSet<NodeName>,
    /// How it ended.
    pub verdict: Verdict,
    /// What became of its criteria.
    pub findings: Vec<Finding>,
    /// What was wrong with its metrics.
    pub troubles: Vec<Trouble>,
    /// Which criterion ended it early, and with which value.
    pub aborted: Option<String>,
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
        let (topology, plan) = (self.topology, &self.cluster.plan);
        run_files::describe(&results, topology, self.cluster)
            .with_context(|| unwritten("failed to write the topology and the plan of the run"))?;
        let info = self.options.info.clone();
        let mut record = Record::new(plan.cluster_id, run_files::collecting(steps));
        record.cluster = Some(self.cluster.record.name.clone());
        record.began = Some(Moment::now());
        record.experiment = info.experiment;
        record.variant = info.variant;
        record.repetition = info.repetition;
        record.labels = info.labels;
        record.sizes = assumptions::sizes(plan);
        record.assumptions = assumptions::of_plan(topology, plan, &record.steps);
        record.metrics = run_files::metrics(topology);
        record.criteria.clone_from(&topology.criteria);
        let running = record
            .begin(&results)
            .with_context(|| unwritten("failed to write run.json"))?;
        Ok(InterruptedRun {
            results,
            record,
            running,
        })
    }

    /// Works on the steps of a run, and judges its criteria. The run is opened once its nodes can be reached: one that
    /// reaches no host has started nothing, so there is nothing to resume.
    pub async fn carry_out(
        &self,
        steps: &[WorkloadStep],
        mode: Mode,
        open: impl FnOnce() -> anyhow::Result<InterruptedRun>,
        events: &Events,
    ) -> anyhow::Result<(Performed, InterruptedRun)> {
        let meter = Meter::begin();
        let (events, copies) = events.copied();
        let events = &events;
        let connected = self.connect(steps, events).await?;
        let checking = async {
            if self.options.check && mode == Mode::Run {
                check(self.cluster, &connected.nodes, &nodes_of(steps), events).await?;
            }
            anyhow::Ok(())
        };
        let observing = Box::pin(async {
            // Both only wait for answers.
            tokio::join!(checking, self.observe(&connected, mode, events))
        });
        // After an interrupt, the steps report that themselves.
        let observed = self.options.cancel.run_until_cancelled(observing).await;
        let (found, code) = match observed {
            Some((Err(error), _)) => {
                close(&connected.nodes, events).await;
                connected.holds.release(events).await;
                return Err(error);
            }
            Some((Ok(()), observed)) => observed,
            None => (Assumptions::new(), Assumptions::new()),
        };
        let mut run = open()?;
        let is_new = !run_files::has_begun(&run);
        if is_new {
            run.record.assumptions.extend(code);
        }
        // A run that is resumed keeps what was known when it began.
        if !assumptions::has_hosts(&run.record.assumptions) {
            run.record.assumptions.extend(found);
        }
        let kept = KeptEvents::begin(run.results.path(), copies)
            .with_context(|| unwritten("failed to write events.jsonl"))?;
        // What the command cost that began a run which is resumed is not known.
        let meter = (is_new && mode == Mode::Run).then_some(meter);
        let performed = self
            .perform(connected, kept, &mut run, mode, meter, events)
            .await?;
        Ok((performed, run))
    }

    /// What the hosts say about a run that begins, and what the repository of the topology and its files do.
    async fn observe(
        &self,
        connected: &Connected,
        mode: Mode,
        events: &Events,
    ) -> (Assumptions, Assumptions) {
        if mode != Mode::Run {
            return (Assumptions::new(), Assumptions::new());
        }
        let (hosts, mut code, sources) = tokio::join!(
            assumptions::of_hosts(&self.cluster.plan, &connected.holds, events),
            assumptions::of_repository(&self.topology.base_dir),
            of_sources(self.topology, events),
        );
        code.extend(sources);
        (hosts, code)
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

    /// Runs, collects or stops the steps. Judges and closes the run unless a step may still run.
    async fn perform(
        &self,
        connected: Connected,
        kept: KeptEvents,
        run: &mut InterruptedRun,
        mode: Mode,
        meter: Option<Meter>,
        events: &Events,
    ) -> anyhow::Result<Performed> {
        let Connected { nodes, holds } = connected;
        let journal = Journal::open(&run.results)
            .with_context(|| unwritten("failed to open the journal of the run"))?;
        let watch = Watch::new(&run.record);
        let reports = self
            .work(&nodes, run, &journal, watch.as_ref(), mode, events)
            .await
            .with_context(|| unwritten("failed to write results"))?;
        // What comes after the steps does not change how they ended.
        let is_stopped = mode == Mode::Stop || self.options.cancel.is_cancelled();
        close(&nodes, events).await;
        holds.release(events).await;
        let mut unconfirmed = journal.unconfirmed(&run.results, &run.record.steps, &reports);
        // A node that `up` has removed since then runs nothing.
        unconfirmed.retain(|node| self.cluster.plan.nodes.iter().any(|known| known.name == *node));
        let aborted = watch.as_ref().and_then(Watch::aborted);
        let is_over = unconfirmed.is_empty();
        let measured = if is_over {
            let own = meter.map(|meter| meter.read("run"));
            let measured = measure(run, &reports, own, events).await;
            measured.with_context(|| unwritten("failed to write the samples of the run"))?
        } else {
            Measured::default()
        };
        let verdict = if is_stopped {
            Verdict::Interrupted
        } else if aborted.is_some() {
            Verdict::Aborted
        } else if reports.iter().any(|report| !report.passed()) {
            Verdict::WorkloadFailed
        } else if reports.len() < run.record.steps.len() {
            Verdict::Interrupted
        } else if measured.findings.iter().any(Finding::fails) {
            Verdict::CriteriaFailed
        } else {
            Verdict::Passed
        };
        if let Err(error) = kept.end().await {
            events.warn(format!("failed to write events.jsonl of the run: {error}"));
        }
        let Measured {
            findings,
            troubles,
            metrics,
        } = measured;
        if is_over {
            run.record.metrics = metrics;
            let name = &self.cluster.record.name;
            run_files::close(name, run, &reports, verdict, &findings, &troubles)
                .with_context(|| unwritten("failed to write the results of the run"))?;
        }
        let name = run.results.path().file_name().unwrap_or_default();
        Ok(Performed {
            name: name.to_string_lossy().into_owned(),
            reports,
            unconfirmed,
            verdict,
            findings,
            troubles,
            aborted,
        })
    }

    /// Runs, collects or stops the steps.
    async fn work(
        &self,
        nodes: &Nodes,
        run: &InterruptedRun,
        journal: &Journal,
        watch: Option<&Watch>,
        mode: Mode,
        events: &Events,
    ) -> std::io::Result<Vec<StepReport>> {
        let _slow = report_slow_nodes(nodes, events);
        let renderer = configure::context(&self.cluster.plan, self.topology);
        // A criterion that fails ends the steps as an interrupt does.
        let cancel = self.options.cancel.child_token();
        let workload = Workload {
            renderer: &renderer,
            nodes,
            events,
            cancel: &cancel,
            run: &run.record.id,
            results: &run.results,
            journal,
            live: self.options.live,
            fanout: self.options.fanout,
            barrier_timeout: self.options.barrier_timeout,
            starts: mode == Mode::Run,
            watcher: watch.map(|watch| watch as &dyn Observe),
        };
        let steps = &run.record.steps;
        match (mode, watch) {
            (Mode::Stop, _) => Ok(workload.stop(steps).await),
            (_, Some(watch)) => watch.over(workload.run(steps), &cancel, events).await,
            (_, None) => workload.run(steps).await,
        }
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
