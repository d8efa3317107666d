//! `down`: removes a cluster from all hosts, continues after errors, and then audits every host.

use std::collections::BTreeMap;

use super::failure::EngineError;
use super::fleet::{Fleet, Member, split};
use super::stage;
use crate::base::event::{Event, Events, HostStage, NodeStage};
use crate::base::failure::{Failure, explain};
use crate::base::name::{ClusterName, HostName};
use crate::host::{HostError, Removed};
use crate::inventory::{ClusterRef, ObservedHost, ObservedNode, ObservedObject, ShortId, domain_name};
use crate::ssh::fanout;

/// Nodes of one host that are removed at once.
const NODES_AT_ONCE: usize = 16;

/// The cluster to remove.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub cluster: ClusterName,
    /// Its short id; `None` matches every cluster of that name.
    pub short_id: Option<ShortId>,
}

impl Target {
    /// One cluster.
    pub fn of(cluster: ClusterRef) -> Self {
        Self {
            cluster: cluster.name,
            short_id: Some(cluster.short_id),
        }
    }

    fn matches(&self, node: &ObservedNode) -> bool {
        node.mark.cluster == self.cluster
            && self
                .short_id
                .as_ref()
                .is_none_or(|id| *id == ShortId::of(node.mark.cluster_id))
    }

    /// Whether a host was observed with objects of it.
    pub fn is_on(&self, host: &HostName, observed: &[ObservedHost]) -> bool {
        let seen = observed.iter().find(|seen| seen.name == *host);
        seen.is_some_and(|seen| found(self, std::slice::from_ref(seen)) != (0, 0))
    }

    /// The cluster, or all clusters of this name that a host has objects of.
    pub(super) fn clusters(&self, observed: &ObservedHost) -> Vec<ClusterRef> {
        let cluster = |short_id: &ShortId| ClusterRef {
            name: self.cluster.clone(),
            short_id: short_id.clone(),
        };
        if let Some(id) = &self.short_id {
            return vec![cluster(id)];
        }
        let mut ids: Vec<ShortId> = observed
            .nodes
            .iter()
            .filter(|node| self.matches(node))
            .map(|node| ShortId::of(node.mark.cluster_id))
            .chain(
                observed
                    .objects
                    .iter()
                    .filter(|object| object.cluster == self.cluster)
                    .map(|object| object.short_id.clone()),
            )
            .collect();
        ids.sort();
        ids.dedup();
        ids.iter().map(cluster).collect()
    }
}

/// How many nodes and other objects of a cluster the hosts have.
pub fn found(target: &Target, observed: &[ObservedHost]) -> (usize, usize) {
    let nodes = observed
        .iter()
        .flat_map(|host| &host.nodes)
        .filter(|node| target.matches(node))
        .count();
    let objects = observed
        .iter()
        .flat_map(|host| &host.objects)
        .filter(|object| {
            object.cluster == target.cluster
                && target.short_id.as_ref().is_none_or(|id| *id == object.short_id)
        })
        .count();
    (nodes, objects)
}

/// Domains that others made from nodes of a cluster, as `name on host`. They are not ours and stay.
pub fn copies(target: &Target, observed: &[ObservedHost]) -> Vec<String> {
    let of_host = |host: &ObservedHost| {
        let copies = host.copies.iter().filter(|copy| {
            copy.cluster.name == target.cluster
                && target
                    .short_id
                    .as_ref()
                    .is_none_or(|id| *id == copy.cluster.short_id)
        });
        let name = host.name.clone();
        copies
            .map(move |copy| format!("{} (made from `{}`) on {name}", copy.domain, copy.node))
            .collect::<Vec<_>>()
    };
    observed.iter().flat_map(of_host).collect()
}

/// Removes the cluster from all hosts of the fleet. Continues after errors; the audit at the end reports what is left.
pub async fn remove(
    fleet: &Fleet,
    observed: &[ObservedHost],
    target: &Target,
    events: &Events,
) -> Result<(), EngineError> {
    expect(observed, target, events);
    for copy in copies(target, observed) {
        events.warn(format!("vcluster did not create the domain {copy}; it stays"));
    }
    let done = fleet
        .stage(HostStage::Clean, events, |member| async move {
            let seen = observed.iter().find(|host| host.name == member.endpoint.name);
            let mut changed = false;
            if let Some(seen) = seen {
                changed |= remove_nodes(&member, seen, target, events).await;
            }
            let clusters = seen.map_or_else(Vec::new, |seen| target.clusters(seen));
            let mut kept = Vec::new();
            for cluster in clusters {
                let removed = member.host.remove_cluster(&cluster).await?;
                changed |= removed.domains + removed.objects > 0;
                for error in &removed.errors {
                    events.warn(format!("{}: {}", member.endpoint.name, explain(error)));
                }
                warn_unplugged(&member, &removed, events);
                kept.extend(removed.kept);
            }
            Ok((changed, (member.endpoint.name.clone(), kept)))
        })
        .await;
    let (kept, mut failures) = split(HostStage::Clean, done);
    let kept: BTreeMap<HostName, Vec<String>> =
        kept.into_iter().filter(|(_, paths)| !paths.is_empty()).collect();
    let audit = fleet
        .stage(HostStage::Audit, events, |member| async move {
            let left = member
                .host
                .leftovers(&target.cluster, target.short_id.as_ref())
                .await?;
            Ok((false, (member.endpoint.name.clone(), left)))
        })
        .await;
    let (audited, unaudited) = split(HostStage::Audit, audit);
    let mut left: Vec<String> = audited
        .iter()
        .flat_map(|(host, left)| {
            let others = kept.contains_key(host);
            left.iter()
                .filter(move |object| !(others && holds_files(object)))
                .map(move |object| format!("{} {} on {host}", object.kind, object.name))
        })
        .collect();
    // The audit decides: an earlier failure on an audited host does not count. A host that could not be audited may
    // have any objects.
    failures.retain(|failure| unaudited.iter().any(|other| other.host == failure.host));
    failures.extend(unaudited);
    left.extend(unknown(&failures));
    let kept: Vec<String> = kept
        .iter()
        .flat_map(|(host, paths)| paths.iter().map(move |path| format!("{path} on {host}")))
        .collect();
    check_removal(left, kept)
}

/// Names the interfaces of others whose bridge was removed.
pub(super) fn warn_unplugged(member: &Member, removed: &Removed, events: &Events) {
    for interface in &removed.unplugged {
        events.warn(format!(
            "{}: unplugged {interface}: vcluster did not create it, and its bridge is removed",
            member.endpoint.name
        ));
    }
}

/// Whether an object is kept as long as others have files in it.
fn holds_files(object: &ObservedObject) -> bool {
    matches!(object.kind.as_str(), "pool" | "directory")
}

/// Removes only the nodes that are given in `observed`; network, pools and other nodes stay.
pub async fn remove_nodes_only(
    fleet: &Fleet,
    observed: &[ObservedHost],
    target: &Target,
    events: &Events,
) -> Result<(), EngineError> {
    expect(observed, target, events);
    let done = fleet
        .stage(HostStage::Clean, events, |member| async move {
            let seen = observed.iter().find(|host| host.name == member.endpoint.name);
            let (mut changed, mut left) = (false, Vec::new());
            if let Some(seen) = seen {
                changed = remove_nodes(&member, seen, target, events).await;
                let now = member.host.observe().await?;
                left.extend(
                    now.nodes
                        .into_iter()
                        .filter(|node| seen.nodes.iter().any(|other| other.uuid == node.uuid))
                        .map(|node| format!("domain {} on {}", node.domain, member.endpoint.name)),
                );
            }
            Ok((changed, left))
        })
        .await;
    let (left, failures) = split(HostStage::Clean, done);
    let mut left: Vec<String> = left.into_iter().flatten().collect();
    left.extend(unknown(&failures));
    check_leftovers(left)
}

/// The error that names what is left, if anything is.
pub fn check_leftovers(left: Vec<String>) -> Result<(), EngineError> {
    if left.is_empty() {
        Ok(())
    } else {
        Err(EngineError::LeftBehind { left })
    }
}

/// The same, and `kept`: what others keep in the pools. If nothing else is left, the error is about that.
pub fn check_removal(mut left: Vec<String>, kept: Vec<String>) -> Result<(), EngineError> {
    if kept.is_empty() {
        return check_leftovers(left);
    }
    let kept = EngineError::Kept { kept };
    if left.is_empty() {
        return Err(kept);
    }
    left.extend(kept.into_left()?);
    check_leftovers(left)
}

/// How many nodes will be removed.
fn expect(observed: &[ObservedHost], target: &Target, events: &Events) {
    events.emit(Event::Expected {
        stage: NodeStage::Remove,
        nodes: found(target, observed).0,
    });
}

/// Hosts that could not be observed count as left behind, once each.
pub fn unknown(failures: &[Failure]) -> Vec<String> {
    let mut hosts: Vec<String> = failures
        .iter()
        .filter_map(|failure| {
            failure
                .host
                .as_ref()
                .map(|host| format!("unknown objects on {host} ({})", failure.error()))
        })
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

async fn remove_nodes(member: &Member, seen: &ObservedHost, target: &Target, events: &Events) -> bool {
    let nodes = seen.nodes.iter().filter(|node| target.matches(node));
    for node in nodes.clone() {
        let name = domain_name(&node.mark.cluster, &node.mark.node);
        if node.domain != name {
            let host = &member.endpoint.name;
            events.warn(format!(
                "{host}: removing the domain `{}`, which is `{name}` renamed",
                node.domain
            ));
        }
    }
    let removals = fanout::each(nodes, NODES_AT_ONCE, |node| async move {
        let (host, name) = (&member.endpoint.name, &node.mark.node);
        let emit = stage::of_node(events, name, host, NodeStage::Remove);
        let removal = async {
            let changed = member.host.remove_node(&node.mark.cluster_ref(), node).await?;
            Ok((changed, changed))
        };
        let failed = |error: &HostError| stage::failed(error, None);
        let removed: Result<bool, HostError> = stage::run(emit, failed, removal).await;
        removed.unwrap_or(false)
    });
    removals.await.into_iter().any(|changed| changed)
}
