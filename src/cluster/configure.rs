//! Runs all configuration steps again, on nodes of a cluster that is up.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Cluster;
use super::configured::{self, Configured};
use super::login_check::{Allowed, answer};
use super::nodes::close;
use super::transfer::NODES_AT_ONCE;
use crate::base::event::Events;
use crate::base::name::NodeName;
use crate::configure::{Configuration, DoneCommands};
use crate::engine::{EngineError, Pending, report_slow_nodes};
use crate::host::{Access, LockMode};
use crate::ssh::Nodes;
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
    let before = Configured::load(&cluster.dir)?.nodes;
    // Before the steps: a node that boots while they run is not as they left it.
    let boots = boots(&nodes, chosen, &options.cancel, events).await;
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
    let done = targets
        .into_iter()
        .filter(|node| whole || before.contains_key(node))
        .map(|node| {
            let boot = boots.get(&node).copied();
            (node, boot)
        });
    configured::end_configuring(&cluster.dir, done)
}

/// The boots of nodes, as far as they answer. Whether one that does not can be configured is up to the steps.
async fn boots(
    nodes: &Nodes,
    chosen: &[NodeName],
    cancel: &CancellationToken,
    events: &Events,
) -> BTreeMap<NodeName, Uuid> {
    let answers = Pending::each(
        events,
        "an answer from",
        NODES_AT_ONCE,
        chosen,
        |node| *node,
        |node| async move {
            let answer = answer(node, nodes, Allowed::ByLoad).await.ok()?;
            Some((node.clone(), answer.boot?))
        },
    );
    let answers = cancel.run_until_cancelled(answers).await.unwrap_or_default();
    answers.into_iter().flatten().collect()
}
