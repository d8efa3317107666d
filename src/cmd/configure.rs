//! `vcluster configure`: runs all configuration steps again, on all nodes or some.

use std::collections::BTreeSet;

use super::Context;
use super::common::HostArgs;
use super::output::Output;
use crate::base::event::Event;
use crate::base::exit::ExitCode;
use crate::base::name::NodeName;
use crate::cluster::nodes::close;
use crate::cluster::{Cluster, configured};
use crate::configure::{Configuration, DoneCommands};
use crate::engine::{EngineError, report_slow_nodes};
use crate::host::LockMode;
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
    let result = async {
        let (nodes, holds) = cluster
            .nodes_held(
                &chosen,
                &args.hosts.access(),
                "configure",
                LockMode::Exclusive,
                &output.events,
            )
            .await?;
        let renderer = crate::configure::context(&cluster.plan, &topology);
        let _slow = report_slow_nodes(&nodes, &output.events);
        let owner = uuid::Uuid::new_v4().simple().to_string();
        let targets: BTreeSet<NodeName> = chosen.iter().cloned().collect();
        let before = configured::configured(&cluster.dir)?;
        configured::begin_configuring(&cluster.dir, &targets)?;
        let faults = Configuration {
            renderer: &renderer,
            nodes: &nodes,
            events: &output.events,
            cancel: &context.cancel,
            fanout: args.fanout,
            owner: &owner,
            may_lose: 0,
        }
        .run(
            &topology.configure,
            &targets,
            &targets,
            &mut DoneCommands::default(),
        )
        .await;
        close(&nodes, &output.events).await;
        holds.release(&output.events).await;
        if context.cancel.is_cancelled() {
            return Err(EngineError::Interrupted.into());
        }
        configured::failed(&cluster.plan, chosen.len(), faults)?;
        // A node that is partly configured from before and partly from now may lack a step that neither run did.
        let whole = chosen.len() == cluster.plan.nodes.len();
        configured::end_configuring(
            &cluster.dir,
            targets.iter().filter(|node| whole || before.contains(*node)),
        )?;
        Ok(Some(format!(
            "configured {} nodes of cluster `{}`",
            chosen.len(),
            cluster.record.name
        )))
    }
    .await;
    output.finish(result).await
}
