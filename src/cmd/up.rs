//! `vcluster up`: raises a cluster, or updates it to match its topology.

use std::time::Duration;

use super::Context;
use super::common::HostArgs;
use super::output::Output;
use crate::base::event::{Event, Events};
use crate::base::exit::ExitCode;
use crate::base::text::plural;
use crate::cluster::leases::lease_words;
use crate::cluster::{UpOptions, up};
use crate::plan::Plan;
use crate::report::{self, Format};
use crate::state::{ClusterDir, Lock, StateRoot};
use crate::topology::Topology;

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
    #[arg(long, env = "VCLUSTER_KEEP")]
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
            keep: self.keep,
            adopt: self.adopt,
            configure: !self.no_configure,
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
    let dir = StateRoot::from_env()?.cluster(&topology.name);
    // A dry run changes nothing, so it needs no lock and leaves no directory.
    let lock = if args.dry_run {
        None
    } else {
        Some(Lock::take(&dir, &topology.name, "up")?)
    };
    let output = Output::with(context, |options| {
        options.results.clone_from(&args.summary);
        options.summary = !args.dry_run;
    });
    output.events.emit(Event::Started {
        verb: if args.dry_run { "plan" } else { "up" },
        cluster: topology.name.clone(),
        hosts: topology.hosts.len(),
        nodes: Some(topology.nodes.len()),
    });
    let fresh = !dir.exists();
    let result = plan_and_raise(&args, context, topology, &dir, &output.events).await;
    if fresh && lock.is_some() && !dir.exists() {
        // Nothing was started, or everything was undone: remove the directory as well.
        let _ = dir.remove();
        dir.remove_if_empty();
    }
    drop(lock);
    output.finish(result).await
}

/// Shows the plan of a dry run, or applies it; returns the closing line.
async fn plan_and_raise(
    args: &Args,
    context: &Context,
    topology: Topology,
    dir: &ClusterDir,
    events: &Events,
) -> anyhow::Result<Option<String>> {
    let options = args.options(context)?;
    let situation = up::prepare(&options, topology, dir, events).await?;
    if args.dry_run {
        match context.format {
            Format::Human => report::data(&report::plan::plan(&situation.plan)),
            Format::Json => report::plan::plan_json(&situation.plan),
        }
        situation.close().await;
        return Ok(None);
    }
    let raised = up::raise(situation, &options, events).await?;
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
