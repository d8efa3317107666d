//! `vcluster up`: raises a cluster, or updates it to match its topology.

use std::time::Duration;

use clap::ArgAction;

use super::common::{FlagVariable, HostArgs};
use super::output::Output;
use super::{Context, plan};
use crate::base::event::{Event, Events};
use crate::base::exit::ExitCode;
use crate::base::text::plural;
use crate::cluster::leases::lease_words;
use crate::cluster::{UpOptions, up};
use crate::plan::Plan;
use crate::state::{ClusterDir, Lock, StateRoot};
use crate::topology::{Overrides, Topology};

/// Raise a cluster, or update it to match its topology
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Topology file, `-` for standard input
    #[arg(value_name = "TOPOLOGY", default_value = "topology.yaml")]
    pub topology: String,
    /// Show the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// When interrupted, keep what was created so far
    #[arg(long, env = "VCLUSTER_KEEP", action = ArgAction::SetTrue, value_parser = FlagVariable)]
    pub keep: bool,
    /// Take over a cluster of this name that was created elsewhere; its nodes are recreated
    #[arg(long)]
    pub adopt: bool,
    /// Skip the configuration steps
    #[arg(long)]
    pub no_configure: bool,
    /// Time for one guest to boot and accept the login
    #[arg(long, env = "VCLUSTER_BOOT_TIMEOUT", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub boot_timeout: Duration,
    /// Guests that boot at once on one machine [default: chosen by its CPUs]
    #[arg(long, env = "VCLUSTER_BOOTS", value_name = "N")]
    pub boots: Option<usize>,
    /// Write the closing summary (counts, p50 / p95 / max per stage) to a file as JSON
    #[arg(long, value_name = "FILE")]
    pub summary: Option<std::path::PathBuf>,
    #[command(flatten)]
    hosts: HostArgs,
}

impl Args {
    fn options(&self, context: &Context) -> anyhow::Result<UpOptions> {
        let topology_file = (self.topology != "-")
            .then(|| std::path::absolute(&self.topology))
            .transpose()?;
        Ok(UpOptions {
            topology_file,
            overrides: Overrides::default(),
            experiment: None,
            keep: self.keep,
            adopt: self.adopt,
            configure: !self.no_configure,
            scope: None,
            boot_timeout: self.boot_timeout,
            boots: self.boots,
            connect: self.hosts.access(),
            cancel: context.cancel.clone(),
        })
    }
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let topology = Topology::load(&args.topology)?;
    let options = args.options(context)?;
    if args.dry_run {
        return plan::show(topology, &options.plan(), args.summary, context).await;
    }
    let dir = StateRoot::from_env()?.cluster(&topology.name);
    let lock = Lock::take(&dir, &topology.name, "up")?;
    let output = Output::begin(context, args.summary);
    output.events.emit(Event::Started {
        verb: "up",
        cluster: topology.name.clone(),
        hosts: topology.hosts.len(),
        nodes: Some(topology.nodes.len()),
    });
    let fresh = !dir.exists();
    let result = raise(&options, topology, &dir, &output.events).await;
    if fresh && !dir.exists() {
        // Nothing was started, or everything was undone: remove the directory as well.
        let _ = dir.remove();
        dir.remove_if_empty();
    }
    drop(lock);
    output.finish(result).await
}

/// Plans and applies the plan; returns the closing line.
async fn raise(
    options: &UpOptions,
    topology: Topology,
    dir: &ClusterDir,
    events: &Events,
) -> anyhow::Result<Option<String>> {
    let raised = up::up(options, topology, dir, events).await?;
    Ok(Some(format!(
        "{}; {}",
        ready_line(&raised.plan),
        lease_words(raised.expires)
    )))
}

fn ready_line(plan: &Plan) -> String {
    let hosts = plan.hosts.iter().filter(|host| !host.nodes.is_empty()).count();
    let hosts = plural(hosts, "host");
    let (up, cluster) = (plan.nodes.len(), &plan.cluster);
    if plan.missing.is_empty() {
        return format!("cluster `{cluster}` is up: {} on {hosts}", plural(up, "node"));
    }
    format!(
        "cluster `{cluster}` is up: {up} of {} on {hosts}, without {}",
        plural(up + plan.missing.len(), "node"),
        crate::nodeset::fold(plan.missing.iter().map(|missing| &missing.node))
    )
}
