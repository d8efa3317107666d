//! Starts, stops, restarts or recreates some nodes of a cluster. The other nodes stay as they are.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tokio_util::sync::CancellationToken;

use super::configured;
use super::options::UpOptions;
use super::{Cluster, up};
use crate::base::event::Events;
use crate::base::failure::Failure;
use crate::base::name::{HostName, NodeName};
use crate::engine::{self, EngineError, Fleet, HOSTS_AT_ONCE, Pending, Target};
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
    let before = configured::mark_stopped(&cluster.dir, nodes.iter().map(|node| &node.name))?;
    let results = Pending::each(
        events,
        "stopping",
        NODES_AT_ONCE,
        nodes,
        |node| &node.name,
        |node| async move {
            let member = fleet.get(&node.host).filter(|_| !cancel.is_cancelled());
            let Some(member) = member else {
                return (*node, Ok(Stop::Untouched));
            };
            let stopped = member.host.stop(reference, node.uuid).await;
            let stopped = stopped.map(|ran| if ran { Stop::Stopped } else { Stop::DidNotRun });
            let failed = |error| Failure::of_node(node.name.clone(), node.host.clone(), error);
            (*node, stopped.map_err(failed))
        },
    )
    .await;
    let mut failures = Vec::new();
    let (mut untouched, mut failed) = (Vec::new(), Vec::new());
    let mut count = 0;
    for (node, result) in results {
        match result {
            Ok(Stop::Stopped) => count += 1,
            Ok(Stop::DidNotRun) => {}
            Ok(Stop::Untouched) => untouched.push(node),
            Err(failure) => {
                failed.push(node);
                failures.push(failure);
            }
        }
    }
    untouched.extend(still_active(fleet, failed, events).await);
    let untouched = untouched.iter().map(|node| &node.name);
    configured::unmark_stopped(&cluster.dir, &before, untouched)?;
    if cancel.is_cancelled() {
        return Err(EngineError::Interrupted.into());
    }
    EngineError::from_failures("failed to stop nodes", failures)?;
    Ok(count)
}

/// What was done to a node that is to be stopped.
enum Stop {
    Stopped,
    DidNotRun,
    /// The user interrupted before.
    Untouched,
}

/// Which of these nodes still have a guest. Where a host does not answer, none counts: it may have stopped them.
async fn still_active<'a>(fleet: &Fleet, nodes: Vec<&'a NodePlan>, events: &Events) -> Vec<&'a NodePlan> {
    let hosts: BTreeSet<&HostName> = nodes.iter().map(|node| &node.host).collect();
    let members = fleet.members().iter();
    let members = members.filter(|member| hosts.contains(&member.endpoint.name));
    let active = Pending::each(
        events,
        "the domains on",
        HOSTS_AT_ONCE,
        members,
        |member| &member.endpoint.name,
        |member| async move { Some((&member.endpoint.name, member.host.active().await.ok()?)) },
    )
    .await;
    let active: BTreeMap<&HostName, HashSet<String>> = active.into_iter().flatten().collect();
    let is_active = |node: &&NodePlan| {
        let domains = active.get(&node.host);
        domains.is_some_and(|domains| domains.contains(&node.domain))
    };
    nodes.into_iter().filter(is_active).collect()
}
