//! Exports for other tools: `vcluster ssh-config`, `inventory`, `hosts`, `targets`.

use super::Context;
use super::common::ClusterArg;
use crate::base::exit::ExitCode;
use crate::cluster::Cluster;
use crate::export::{ExportFormat, ExportedCluster, HostsFile, Inventory, SshConfigFile, Targets};
use crate::report;

/// Arguments of the verbs that export a cluster for other tools
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArg,
    /// Only these nodes (node set, `@group`)
    #[arg(short = 'w', long, value_name = "NODESET")]
    pub nodes: Option<String>,
}

/// Arguments of `targets`
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct TargetsArgs {
    #[command(flatten)]
    common: Args,
    /// Port of the exporter on every node
    #[arg(long, value_name = "PORT", default_value_t = 9100)]
    pub port: u16,
}

fn export(args: &Args, context: &Context, format: &dyn ExportFormat) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(args.cluster.cluster.as_deref())?;
    let chosen = cluster.select(args.nodes.as_deref(), None)?;
    let exported = ExportedCluster::new(&cluster, &chosen)?;
    report::data(&format.render(&exported, context.format)?);
    Ok(ExitCode::Ok)
}

/// `vcluster ssh-config`: a file to `Include` in `~/.ssh/config`.
pub fn ssh_config(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    export(args, context, &SshConfigFile)
}

/// `vcluster inventory`: an Ansible inventory.
pub fn inventory(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    export(args, context, &Inventory)
}

/// `vcluster hosts`: lines for `/etc/hosts`; with all nodes, a complete file.
pub fn hosts(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    export(args, context, &HostsFile)
}

/// `vcluster targets`: Prometheus `file_sd`.
pub fn targets(args: &TargetsArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let port = args.port;
    export(&args.common, context, &Targets { port })
}
