//! `vcluster restart`, `stop`, `start` and `recreate`: change some nodes and leave the others as they are.

use std::time::Duration;

use clap::ArgAction;

use super::Context;
use super::common::{ClusterArg, FlagVariable, HostArgs};
use super::confirm::confirm;
use super::output::Output;
use crate::base::event::{ActionKind, Event};
use crate::base::exit::ExitCode;
use crate::base::name::NodeName;
use crate::base::text::plural;
use crate::cluster::{Cluster, UpOptions, power};
use crate::plan::Scope;
use crate::report;
use crate::state::Lock;

/// The nodes to change, and how to reach their hosts.
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    #[command(flatten)]
    cluster: ClusterArg,
    /// Nodes (node set, `@group`, `@all`)
    #[arg(short = 'w', long, value_name = "NODESET")]
    nodes: String,
    /// Exclude these nodes
    #[arg(short = 'x', long, value_name = "NODESET")]
    exclude: Option<String>,
    #[command(flatten)]
    hosts: HostArgs,
}

/// How nodes boot and are configured.
#[derive(Debug, clap::Args)]
pub struct BootArgs {
    /// Skip the configuration steps
    #[arg(long)]
    no_configure: bool,
    /// Time for one guest to boot and accept the login
    #[arg(long, env = "VCLUSTER_BOOT_TIMEOUT", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    boot_timeout: Duration,
    /// Guests that boot at once on one machine [default: chosen by its CPUs]
    #[arg(long, env = "VCLUSTER_BOOTS", value_name = "N")]
    boots: Option<usize>,
}

/// Restart nodes, as by their reset button, and configure them again
#[derive(Debug, clap::Args)]
pub struct RestartArgs {
    #[command(flatten)]
    nodes: NodeArgs,
    #[command(flatten)]
    boot: BootArgs,
}

/// Start nodes that are stopped, and configure them again
#[derive(Debug, clap::Args)]
pub struct StartArgs {
    #[command(flatten)]
    nodes: NodeArgs,
    #[command(flatten)]
    boot: BootArgs,
}

/// Stop nodes, as by cutting their power; their disks stay
#[derive(Debug, clap::Args)]
pub struct StopArgs {
    #[command(flatten)]
    nodes: NodeArgs,
}

/// Remove nodes and create them again; what is on their disks is lost
#[derive(Debug, clap::Args)]
pub struct RecreateArgs {
    #[command(flatten)]
    nodes: NodeArgs,
    #[command(flatten)]
    boot: BootArgs,
    /// Do not ask for confirmation
    #[arg(short = 'y', long, env = "VCLUSTER_YES", action = ArgAction::SetTrue, value_parser = FlagVariable)]
    yes: bool,
}

/// A verb that boots nodes.
struct Booting {
    verb: &'static str,
    /// What is said of the nodes afterwards.
    done: &'static str,
    kind: ActionKind,
}

const RESTART: Booting = Booting {
    verb: "restart",
    done: "restarted",
    kind: ActionKind::Restart,
};

const START: Booting = Booting {
    verb: "start",
    done: "started",
    kind: ActionKind::Start,
};

const RECREATE: Booting = Booting {
    verb: "recreate",
    done: "recreated",
    kind: ActionKind::Recreate,
};

/// Runs `restart`.
pub async fn restart(args: RestartArgs, context: &Context) -> anyhow::Result<ExitCode> {
    RESTART.run(&args.nodes, &args.boot, false, context).await
}

/// Runs `start`.
pub async fn start(args: StartArgs, context: &Context) -> anyhow::Result<ExitCode> {
    START.run(&args.nodes, &args.boot, false, context).await
}

/// Runs `recreate`.
pub async fn recreate(args: RecreateArgs, context: &Context) -> anyhow::Result<ExitCode> {
    RECREATE.run(&args.nodes, &args.boot, !args.yes, context).await
}

/// Runs `stop`.
pub async fn stop(args: StopArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let (cluster, _lock) = Cluster::hold(args.nodes.cluster.cluster.as_deref(), "stop", Lock::take)?;
    let chosen = args.nodes.select(&cluster)?;
    let output = Output::begin(context, None);
    output.events.emit(started("stop", &cluster, &chosen));
    let access = args.nodes.hosts.access();
    let stopped = power::stop(&cluster, &chosen, &access, &context.cancel, &output.events).await;
    let line = stopped.map(|ran| {
        let rest = chosen.len() - ran;
        let rest = if rest > 0 {
            format!("; {rest} did not run")
        } else {
            String::new()
        };
        let name = &cluster.record.name;
        Some(format!(
            "stopped {} of cluster `{name}`{rest}",
            plural(ran, "node")
        ))
    });
    output.finish(line).await
}

impl NodeArgs {
    fn select(&self, cluster: &Cluster) -> anyhow::Result<Vec<NodeName>> {
        cluster.select(Some(&self.nodes), self.exclude.as_deref())
    }
}

impl Booting {
    /// Runs the verb on these nodes; `asks`: only if the user confirms it.
    async fn run(
        &self,
        nodes: &NodeArgs,
        boot: &BootArgs,
        asks: bool,
        context: &Context,
    ) -> anyhow::Result<ExitCode> {
        let (cluster, _lock) = Cluster::hold(nodes.cluster.cluster.as_deref(), self.verb, Lock::take)?;
        let chosen = nodes.select(&cluster)?;
        let name = &cluster.record.name;
        if asks {
            let count = plural(chosen.len(), "node");
            let folded = crate::nodeset::fold(&chosen);
            let question = format!("Recreate {count} of cluster `{name}` ({folded})?");
            if !confirm(&question, &context.cancel).await? {
                report::message("nothing was changed");
                return Ok(ExitCode::Declined);
            }
        }
        let output = Output::begin(context, None);
        output.events.emit(started(self.verb, &cluster, &chosen));
        let options = UpOptions {
            topology_file: cluster.record.topology.clone(),
            overrides: cluster.overrides(),
            // Whose the cluster is does not change.
            experiment: cluster.record.experiment.clone(),
            // There is nothing to undo: what was there before an interrupt cannot be brought back.
            keep: true,
            adopt: false,
            configure: !boot.no_configure,
            scope: Some(Scope {
                nodes: chosen.iter().cloned().collect(),
                kind: self.kind,
            }),
            boot_timeout: boot.boot_timeout,
            boots: boot.boots,
            connect: nodes.hosts.access(),
            cancel: context.cancel.clone(),
        };
        let result = power::change(&cluster, &options, &output.events).await;
        let line = result.map(|booted| {
            // Only `start` leaves a node as it is.
            let rest = match chosen.len().saturating_sub(booted) {
                0 => String::new(),
                rest => format!("; {rest} ran already"),
            };
            let count = plural(booted, "node");
            Some(format!("{} {count} of cluster `{name}`{rest}", self.done))
        });
        output.finish(line).await
    }
}

fn started(verb: &'static str, cluster: &Cluster, chosen: &[NodeName]) -> Event {
    Event::Started {
        verb,
        cluster: cluster.record.name.clone(),
        hosts: cluster.hosts_of(chosen),
        nodes: Some(chosen.len()),
    }
}
