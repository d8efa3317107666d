//! Starts, stops, restarts or recreates some nodes of a cluster. The other nodes stay as they are.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::configured;
use super::options::UpOptions;
use super::{Cluster, up};
use crate::base::event::Events;
use crate::base::failure::Failure;
use crate::base::name::{HostName, NodeName};
use crate::engine::{self, EngineError, Fleet, Pending, Target};
use crate::host::{Access, LockMode};
use crate::inventory::{HostEndpoint, ObservedHost};
use crate::plan::NodePlan;

/// Nodes that are stopped at once.
const NODES_AT_ONCE: usize = 256;

/// Does what the scope of the options asks for, waits until the nodes accept a login, and configures them. The topology is
/// that of the last `up`: a file that has changed since then does not matter. Returns how many nodes it booted or
/// resumed.
pub async fn change(cluster: &Cluster, options: &UpOptions, events: &Events) -> anyhow::Result<usize> {
    let topology = cluster.stored_topology()?;
    let situation = up::prepare(&options.plan(), topology, &cluster.dir, events).await?;
    let boots = situation.plan.actions.iter().filter(|action| action.kind.boots());
    let nodes: BTreeSet<NodeName> = boots.map(|action| action.node.clone()).collect();
    up::raise(situation, options, events).await?;
    Ok(nodes.len())
}

/// Stops nodes, as by cutting their power; returns how many ran. Their domains and disks stay.
pub async fn stop(
    cluster: &Cluster,
    chosen: &[NodeName],
    access: &Access,
    cancel: &CancellationToken,
    events: &Events,
) -> anyhow::Result<usize> {
    let plan = &cluster.plan;
    let nodes: Vec<&NodePlan> = plan
        .nodes
        .iter()
        .filter(|node| chosen.contains(&node.name))
        .collect();
    let names: BTreeSet<&HostName> = nodes.iter().map(|node| &node.host).collect();
    let hosts = cluster.record.hosts.iter();
    let hosts: Vec<HostEndpoint> = hosts.filter(|host| names.contains(&host.name)).cloned().collect();
    let (fleet, mut failures) = Fleet::connect(&hosts, access, events).await;
    let (observed, unseen) = fleet.observe(events).await;
    failures.extend(unseen);
    let stopped = match EngineError::from_failures("failed to reach the hosts", failures) {
        Ok(()) => stop_on(cluster, &nodes, (&fleet, &observed), cancel, events).await,
        Err(error) => Err(error.into()),
    };
    fleet.close().await;
    stopped
}

async fn stop_on(
    cluster: &Cluster,
    nodes: &[&NodePlan],
    (fleet, observed): (&Fleet, &[ObservedHost]),
    cancel: &CancellationToken,
    events: &Events,
) -> anyhow::Result<usize> {
    let reference = &cluster.record.cluster_ref();
    let target = Target::of(reference.clone());
    engine::hold(fleet, observed, &target, "stop", LockMode::Exclusive, events).await?;
    if cancel.is_cancelled() {
        return Err(EngineError::Interrupted.into());
    }
    // First: a node that is off without that was not stopped by the user.
    configured::mark_stopped(&cluster.dir, nodes.iter().map(|node| &node.name))?;
    let results = Pending::each(
        events,
        "stopping",
        NODES_AT_ONCE,
        nodes,
        |node| &node.name,
        |node| async move {
            if cancel.is_cancelled() {
                return Ok(false);
            }
            let Some(member) = fleet.get(&node.host) else {
                return Ok(false);
            };
            let stopped = member.host.stop(reference, node.uuid).await;
            stopped.map_err(|error| Failure::of_node(node.name.clone(), node.host.clone(), error))
        },
    )
    .await;
    if cancel.is_cancelled() {
        return Err(EngineError::Interrupted.into());
    }
    let mut failures = Vec::new();
    let mut count = 0;
    for result in results {
        match result {
            Ok(did) => count += usize::from(did),
            Err(failure) => failures.push(failure),
        }
    }
    EngineError::from_failures("failed to stop nodes", failures)?;
    Ok(count)
}
