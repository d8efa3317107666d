//! Sessions to the nodes of a cluster, through their hosts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Cluster;
use super::configured::Configured;
use super::hosts::ssh_target;
use super::locks::ClusterLocks;
use crate::base::event::{Events, HostStage};
use crate::base::exit::ExitCode;
use crate::base::failure::{Failure, UserError};
use crate::base::name::{HostName, NodeName};
use crate::base::waiting;
use crate::engine::{Deaths, EngineError, Fleet, HOSTS_AT_ONCE, Pending};
use crate::host::{Access, ConnectOptions, LockMode};
use crate::inventory::HostEndpoint;
use crate::plan::{NodePlan, Plan};
use crate::ssh::{HostWay, NodeTarget, Nodes, Reach, Session, Via};
use crate::state::ClusterKeys;

impl Cluster {
    /// Sessions to the given nodes; connects only to their hosts. An unreachable host fails only its own nodes,
    /// unless no host is reachable.
    pub async fn nodes(
        &self,
        chosen: &[NodeName],
        access: &Access,
        events: &Events,
    ) -> anyhow::Result<Nodes> {
        let ways = self.ways_to(chosen, access, events).await?;
        self.nodes_over(&ways, access)
    }

    /// As [`Self::nodes`], and locks the cluster on these hosts, so that no other command removes it. A host whose
    /// lock state is unknown is skipped; one where another command holds the cluster is an error.
    pub async fn nodes_held(
        &self,
        chosen: &[NodeName],
        access: &Access,
        verb: &str,
        how: LockMode,
        events: &Events,
    ) -> anyhow::Result<(Nodes, ClusterLocks)> {
        let ways = self.ways_to(chosen, access, events).await?;
        let holds = ClusterLocks::take(&ways, &self.plan, &access.options, verb, how, events).await?;
        Ok((self.nodes_over(&ways, access)?, holds))
    }

    /// Connections to the hosts of these nodes.
    async fn ways_to(
        &self,
        chosen: &[NodeName],
        access: &Access,
        events: &Events,
    ) -> anyhow::Result<HashMap<HostName, Via>> {
        let wanted: BTreeSet<&NodeName> = chosen.iter().collect();
        let nodes = self.plan.nodes.iter().filter(|node| wanted.contains(&node.name));
        let hosts: BTreeSet<&HostName> = nodes.map(|node| &node.host).collect();
        let records = self.record.hosts.iter().filter(|host| hosts.contains(&host.name));
        ways(records.cloned().collect(), &access.options, events).await
    }

    fn nodes_over(&self, ways: &HashMap<HostName, Via>, access: &Access) -> anyhow::Result<Nodes> {
        let nodes = nodes_with(&self.plan, &self.keys, |host| {
            let way = ways.get(host).cloned();
            way.unwrap_or_else(|| Via::Lost("none of the selected nodes is there".to_owned()))
        })?;
        let hosts = self
            .record
            .hosts
            .iter()
            .filter(|host| ways.contains_key(&host.name));
        let deaths = Deaths::by_need(hosts.cloned(), access, &self.plan);
        let boots = Configured::load(&self.dir)?.nodes.into_iter();
        let boots = boots.filter_map(|(node, boot)| Some((node.to_string(), boot?.to_string())));
        Ok(nodes.with_evidence(deaths).with_boots(boots.collect()))
    }
}

/// Closes the sessions, after what is abandoned on the nodes has been killed.
pub async fn close(nodes: &Nodes, events: &Events) {
    let what = || Some("closing the sessions to the nodes".to_owned());
    waiting::shown(events, what, nodes.close()).await;
}

/// Connections through these hosts to their nodes. libvirt is not used.
async fn ways(
    hosts: Vec<HostEndpoint>,
    options: &ConnectOptions,
    events: &Events,
) -> anyhow::Result<HashMap<HostName, Via>> {
    let mut ways = HashMap::new();
    let mut failures = Vec::new();
    let connected = Pending::each(
        events,
        "connecting to",
        HOSTS_AT_ONCE,
        hosts,
        |host| &host.name,
        |host| async move {
            let way = match ssh_target(&host) {
                Ok(None) => Ok(Via::Direct),
                Ok(Some(mut target)) => {
                    target.timeout = options.timeout;
                    let session = Session::connect_host(&target).await;
                    session
                        .map(|session| Via::Host(HostWay::new(Arc::new(session), target)))
                        .map_err(|error| Failure::of_host(host.name.clone(), error))
                }
                Err(error) => Err(Failure::of_host(host.name.clone(), error)),
            };
            (host.name, way)
        },
    )
    .await;
    for (host, way) in connected {
        let way = way.unwrap_or_else(|failure| {
            let lost = Via::Lost(failure.error());
            failures.push(failure.at(HostStage::Connect));
            lost
        });
        ways.insert(host, way);
    }
    // An unreachable host fails only its own nodes; without any host there is nothing to do.
    if failures.len() == ways.len() {
        EngineError::from_failures("failed to reach the hosts", failures)?;
    }
    Ok(ways)
}

/// Sessions to a plan's nodes over a connected fleet; opened on first use.
pub fn nodes_of(plan: &Plan, keys: &ClusterKeys, fleet: &Fleet) -> anyhow::Result<Nodes> {
    let nodes = nodes_with(plan, keys, |host| match fleet.get(host) {
        Some(member) => member.way(),
        None => Via::Lost("it is left out".to_owned()),
    })?;
    Ok(nodes.with_evidence(Deaths::over(fleet, plan)))
}

/// The login user of a node.
pub(crate) fn login_user(node: &NodePlan) -> Result<&str, UserError> {
    node.login_user().map_err(|error| {
        UserError::new(ExitCode::ApplyFailed, error)
            .with_hint("run `vcluster up TOPOLOGY`: it records the login users again")
    })
}

fn nodes_with(plan: &Plan, keys: &ClusterKeys, via: impl Fn(&HostName) -> Via) -> anyhow::Result<Nodes> {
    let mut reaches = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let user = login_user(node)?;
        let target = NodeTarget {
            name: node.name.to_string(),
            address: (node.spec.address, 22).into(),
            user: user.to_owned(),
            key: keys.client(),
            host_key: keys.host_public_key(&node.name),
            timeout: None,
        };
        reaches.push(Reach {
            target,
            via: via(&node.host),
            host: node.host.to_string(),
        });
    }
    Ok(Nodes::new(reaches))
}
