//! Runs all configuration steps again, on nodes of a cluster that is up.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::nodes::close;
use super::{Cluster, configured};
use crate::base::event::Events;
use crate::base::name::NodeName;
use crate::configure::{Configuration, DoneCommands};
use crate::engine::{EngineError, report_slow_nodes};
use crate::host::{Access, LockMode};
use crate::topology::Topology;

/// Options of a configuration.
#[derive(Clone, Debug)]
pub struct ConfigureOptions {
    /// Nodes at once; `None`: chosen by host CPU capacity.
    pub fanout: Option<usize>,
    /// How to connect to hosts.
    pub access: Access,
    /// Cancelled by the first interrupt.
    pub cancel: CancellationToken,
}

/// Runs the steps of the topology on these nodes, also those that ran there before. The nodes where one fails are an
/// error, after the others are done.
pub async fn configure(
    cluster: &Cluster,
    topology: &Topology,
    chosen: &[NodeName],
    options: &ConfigureOptions,
    events: &Events,
) -> anyhow::Result<()> {
    let (nodes, holds) = cluster
        .nodes_held(chosen, &options.access, "configure", LockMode::Exclusive, events)
        .await?;
    let renderer = crate::configure::context(&cluster.plan, topology);
    let _slow = report_slow_nodes(&nodes, events);
    let owner = uuid::Uuid::new_v4().simple().to_string();
    let targets: BTreeSet<NodeName> = chosen.iter().cloned().collect();
    let before = configured::configured(&cluster.dir)?;
    configured::begin_configuring(&cluster.dir, &targets)?;
    let faults = Configuration {
        renderer: &renderer,
        nodes: &nodes,
        events,
        cancel: &options.cancel,
        fanout: options.fanout,
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
    close(&nodes, events).await;
    holds.release(events).await;
    if options.cancel.is_cancelled() {
        return Err(EngineError::Interrupted.into());
    }
    configured::failed(&cluster.plan, chosen.len(), faults)?;
    // A node that is partly configured from before and partly from now may lack a step that neither run did.
    let whole = chosen.len() == cluster.plan.nodes.len();
    configured::end_configuring(
        &cluster.dir,
        targets.iter().filter(|node| whole || before.contains(*node)),
    )
}
