//! `vcluster run`: the workload of the topology, on every node. A run that was cut off is gone on with.

mod show;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::Context;
use super::cluster::Cluster;
use super::common::HostArgs;
use super::talk::Talk;
use crate::engine::{EngineError, Event, tell_slowness};
use crate::exit::ExitCode;
use crate::host::Hold;
use crate::name::NodeName;
use crate::report::error::Failure;
use crate::report::{self, junit};
use crate::state::Lock;
use crate::topology::{Topology, WorkloadStep};
use crate::workload::{CutOff, Journal, Record, Results, StepReport, Workload, cut_off};

/// Run the workload of the topology and keep output and files of every node
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cluster: its name or its topology file [default: the only one there is]
    #[arg(value_name = "NAME|FILE", env = "VCLUSTER_NAME")]
    pub cluster: Option<String>,
    /// Only these steps, by name
    #[arg(long = "step", value_name = "NAME")]
    pub steps: Vec<String>,
    /// Only on these nodes (node set, `@group`)
    #[arg(short = 'w', long, value_name = "NODESET")]
    pub nodes: Option<String>,
    /// Nodes at once, for steps without a barrier [default: as many as their machines bear, 64 at most]
    #[arg(short = 'f', long, value_name = "N", value_parser = super::common::at_least_one())]
    pub fanout: Option<usize>,
    /// Show the output of the nodes as it comes
    #[arg(long)]
    pub live: bool,
    /// Directory for results, a new one in it for every run [default: the cluster's own]
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,
    /// Write a JUnit XML report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Time for all nodes to come to a barrier
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub barrier_timeout: Duration,
    /// Go on with a run whose controller was killed: collect what has ended, wait for what runs
    #[arg(long, conflicts_with_all = ["steps", "nodes"])]
    pub attach: bool,
    /// End what a run whose controller was killed has left on the nodes
    #[arg(long, conflicts_with_all = ["attach", "steps", "nodes"])]
    pub stop: bool,
    #[command(flatten)]
    hosts: HostArgs,
}

/// What is done with the steps of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Started, or gone on with.
    Run,
    /// Collected as far as they were begun.
    Collect,
    /// Ended.
    Stop,
}

/// What all runs of one command have in common.
struct Runs<'a> {
    args: &'a Args,
    context: &'a Context,
    cluster: &'a Cluster,
    topology: &'a Topology,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (cluster, _lock) = Cluster::hold(args.cluster.as_deref(), context, "run", Lock::share)?;
    let topology = cluster.topology()?;
    let parent = args
        .results
        .clone()
        .unwrap_or_else(|| cluster.dir.join("results"));
    let earlier = cut_off(&parent, cluster.plan.cluster_id);
    let runs = Runs {
        args: &args,
        context,
        cluster: &cluster,
        topology: &topology,
    };
    if args.attach || args.stop {
        if earlier.is_empty() {
            let text = format!(
                "no run of cluster `{}` in {} was cut off",
                cluster.record.name,
                parent.display()
            );
            let hint = "`vcluster status` shows the nodes, `vcluster run` begins a run";
            return Err(Failure::new(ExitCode::Usage, text).with_hint(hint).into());
        }
        let mode = if args.stop { Mode::Stop } else { Mode::Run };
        let mut code = ExitCode::Ok;
        for run in earlier {
            match runs.go_on(run, mode).await? {
                ExitCode::Ok => {}
                failed => code = failed,
            }
        }
        return Ok(code);
    }
    let chosen = cluster.select(args.nodes.as_deref(), None)?;
    let steps = choose(&args, topology.workload.clone(), &chosen)?;
    for run in earlier {
        report::talk(&format!(
            "note: the run in {} was cut off; what still runs of it is waited for (`vcluster run --stop` ends it)",
            run.results.path().display()
        ));
        runs.go_on(run, Mode::Collect).await?;
    }
    let results = Results::create(&parent, std::time::SystemTime::now())
        .with_context(|| format!("failed to make a results directory in {}", parent.display()))?;
    let record = Record::new(cluster.plan.cluster_id, steps);
    let _running = record.begin(&results).context("failed to write run.json")?;
    runs.perform(&results, &record, Mode::Run).await
}

impl Runs<'_> {
    /// Goes on with a run that was cut off.
    async fn go_on(&self, run: CutOff, mode: Mode) -> anyhow::Result<ExitCode> {
        let CutOff {
            results,
            record,
            running,
        } = run;
        let code = self.perform(&results, &record, mode).await;
        drop(running);
        code
    }

    /// Works on the steps of a run, writes its results and shows them.
    async fn perform(&self, results: &Results, record: &Record, mode: Mode) -> anyhow::Result<ExitCode> {
        let Self {
            args,
            context,
            cluster,
            ..
        } = self;
        let mut chosen: Vec<NodeName> = record.steps.iter().flat_map(|step| step.on.clone()).collect();
        chosen.sort();
        chosen.dedup();
        let talk = Talk::begin(context, None);
        talk.events.emit(Event::Started {
            verb: "run",
            cluster: cluster.record.name.clone(),
            hosts: cluster.hosts_of(&chosen),
            nodes: Some(chosen.len()),
        });
        let outcome = self.steps(results, record, &chosen, mode, &talk).await;
        talk.finish(Ok(None)).await?;
        let reports = outcome?;
        if let Some(file) = &args.junit {
            let text = junit::document(cluster.record.name.as_str(), &show::cases(&reports, results))?;
            std::fs::write(file, text).with_context(|| format!("failed to write {}", file.display()))?;
        }
        show::show(&reports, results, context);
        if context.cancel.is_cancelled() {
            return Err(EngineError::Interrupted.into());
        }
        let whole = reports.len() == record.steps.len() && reports.iter().all(StepReport::passed);
        Ok(match mode {
            Mode::Stop if reports.iter().all(show::is_stopped) => ExitCode::Ok,
            Mode::Stop => ExitCode::ApplyFailed,
            _ if whole => ExitCode::Ok,
            _ => ExitCode::WorkloadFailed,
        })
    }

    async fn steps(
        &self,
        results: &Results,
        record: &Record,
        chosen: &[NodeName],
        mode: Mode,
        talk: &Talk,
    ) -> anyhow::Result<Vec<StepReport>> {
        let Self {
            args,
            context,
            cluster,
            topology,
        } = self;
        let journal = Journal::open(results).context("failed to open the journal of the run")?;
        let options = args.hosts.options();
        let (nodes, holds) = cluster.nodes_held(chosen, &options, "run", Hold::Shared).await?;
        let _slow = tell_slowness(&nodes, &talk.events);
        let renderer = crate::template::context(&cluster.plan, topology);
        let workload = Workload {
            renderer: &renderer,
            nodes: &nodes,
            events: &talk.events,
            cancel: &context.cancel,
            run: &record.id,
            results,
            journal: &journal,
            live: args.live,
            fanout: args.fanout,
            barrier_timeout: args.barrier_timeout,
            starts: mode == Mode::Run,
        };
        let reports = match mode {
            Mode::Stop => workload.stop(&record.steps).await,
            _ => workload
                .run(&record.steps)
                .await
                .context("failed to write results")?,
        };
        nodes.close().await;
        holds.release().await;
        results
            .write(cluster.record.name.as_str(), &reports)
            .context("failed to write results.json")?;
        Ok(reports)
    }
}

fn choose(
    args: &Args,
    steps: Vec<WorkloadStep>,
    chosen: &[crate::name::NodeName],
) -> anyhow::Result<Vec<WorkloadStep>> {
    if steps.is_empty() {
        let text = "the topology has no `workload:` steps";
        return Err(Failure::new(ExitCode::Usage, text).into());
    }
    for name in &args.steps {
        let known: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        if !known.contains(&name.as_str()) {
            let text = format!(
                "the workload has no step `{}` (it has {})",
                report::sanitize(name),
                known.join(", ")
            );
            return Err(Failure::new(ExitCode::Usage, text).into());
        }
    }
    Ok(steps
        .into_iter()
        .filter(|step| args.steps.is_empty() || args.steps.contains(&step.name))
        .map(|mut step| {
            step.on.retain(|node| chosen.contains(node));
            step
        })
        .filter(|step| !step.on.is_empty())
        .collect())
}
