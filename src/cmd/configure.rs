//! `vcluster configure`: runs all configuration steps again, on all nodes or some.

use super::Context;
use super::common::HostArgs;
use super::output::Output;
use crate::base::event::Event;
use crate::base::exit::ExitCode;
use crate::base::text::plural;
use crate::cluster::Cluster;
use crate::cluster::configure::{ConfigureOptions, configure};
use crate::state::Lock;

/// Run the configuration steps of the topology again
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cluster name or topology file [default: the only cluster]
    #[arg(value_name = "NAME|FILE", env = "VCLUSTER_NAME")]
    pub cluster: Option<String>,
    /// Only on these nodes (node set, `@group`)
    #[arg(short = 'w', long, value_name = "NODESET")]
    pub nodes: Option<String>,
    /// Nodes at once [default: chosen by host CPU capacity, at most 64]
    #[arg(short = 'f', long, value_name = "N", value_parser = super::common::at_least_one())]
    pub fanout: Option<usize>,
    #[command(flatten)]
    hosts: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (cluster, _lock) = Cluster::hold(args.cluster.as_deref(), "configure", Lock::take)?;
    let topology = cluster.topology()?;
    let chosen = cluster.select(args.nodes.as_deref(), None)?;
    let output = Output::begin(context, None);
    output.events.emit(Event::Started {
        verb: "configure",
        cluster: cluster.record.name.clone(),
        hosts: cluster.hosts_of(&chosen),
        nodes: Some(chosen.len()),
    });
    let options = ConfigureOptions {
        fanout: args.fanout,
        access: args.hosts.access(),
        cancel: context.cancel.clone(),
    };
    let result = configure(&cluster, &topology, &chosen, &options, &output.events).await;
    let done = || {
        format!(
            "configured {} of cluster `{}`",
            plural(chosen.len(), "node"),
            cluster.record.name
        )
    };
    output.finish(result.map(|()| Some(done()))).await
}
