//! `down`: removes a cluster from all hosts, past errors, and then looks again at every host.

use futures::StreamExt;

use super::event::{Event, Events, HostStage, NodeStage, Progress};
use super::failure::{EngineError, Failure, explain};
use super::fleet::{Fleet, Member, split};
use crate::host::{ObservedHost, ObservedNode};
use crate::name::{ClusterName, NodeName};

/// Which cluster is removed.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub cluster: ClusterName,
    /// Its short id; `None` takes every cluster of that name.
    pub short_id: Option<String>,
}

impl Target {
    fn matches(&self, node: &ObservedNode) -> bool {
        node.mark.cluster == self.cluster
            && self
                .short_id
                .as_ref()
                .is_none_or(|id| *id == crate::plan::Plan::short_id(node.mark.cluster_id))
    }

    /// Short ids of this cluster that a host shows.
    pub(super) fn ids(&self, observed: &ObservedHost) -> Vec<String> {
        if let Some(id) = &self.short_id {
            return vec![id.clone()];
        }
        let mut ids: Vec<String> = observed
            .nodes
            .iter()
            .filter(|node| self.matches(node))
            .map(|node| crate::plan::Plan::short_id(node.mark.cluster_id))
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
        ids
    }
}

/// How many nodes and other objects of a cluster the hosts show.
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

/// Removes the cluster from all hosts of the fleet. Goes on past errors; the audit that follows says what is left.
pub async fn remove(
    fleet: &Fleet,
    observed: &[ObservedHost],
    target: &Target,
    events: &Events,
) -> Result<(), EngineError> {
    expect(observed, target, events);
    let done = fleet
        .stage(HostStage::Clean, events, |member| async move {
            let seen = observed.iter().find(|host| host.name == member.config.name);
            let mut changed = false;
            if let Some(seen) = seen {
                changed |= remove_nodes(&member, seen, target, events).await;
            }
            let ids = seen.map_or_else(Vec::new, |seen| target.ids(seen));
            for id in ids {
                let removed = member.host.remove_cluster(&target.cluster, &id).await?;
                changed |= removed.domains + removed.objects > 0;
                for error in &removed.errors {
                    events.warn(format!("{}: {}", member.config.name, explain(error)));
                }
            }
            Ok((changed, ()))
        })
        .await;
    let (_, mut failures) = split(done);
    let audit = fleet
        .stage(HostStage::Audit, events, |member| async move {
            let left = member
                .host
                .leftovers(&target.cluster, target.short_id.as_deref())
                .await?;
            Ok((false, (member.config.name.clone(), left)))
        })
        .await;
    let (audited, unaudited) = split(audit);
    let mut left: Vec<String> = audited
        .iter()
        .flat_map(|(host, left)| {
            left.iter()
                .map(move |object| format!("{} {} on {host}", object.kind, object.name))
        })
        .collect();
    // The audit found nothing: what failed before it was mended by what came after. A host that could
    // not be audited may hold anything.
    failures.retain(|failure| unaudited.iter().any(|other| other.host == failure.host));
    failures.extend(unaudited);
    left.extend(unknown(&failures));
    nothing_left(left)
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
            let seen = observed.iter().find(|host| host.name == member.config.name);
            let (mut changed, mut left) = (false, Vec::new());
            if let Some(seen) = seen {
                changed = remove_nodes(&member, seen, target, events).await;
                let now = member.host.observe().await?;
                left.extend(
                    now.nodes
                        .into_iter()
                        .filter(|node| seen.nodes.iter().any(|other| other.uuid == node.uuid))
                        .map(|node| format!("domain {} on {}", node.domain, member.config.name)),
                );
            }
            Ok((changed, left))
        })
        .await;
    let (left, failures) = split(done);
    let mut left: Vec<String> = left.into_iter().flatten().collect();
    left.extend(unknown(&failures));
    nothing_left(left)
}

/// The error that names what is left, if anything is.
pub fn nothing_left(left: Vec<String>) -> Result<(), EngineError> {
    if left.is_empty() {
        Ok(())
    } else {
        Err(EngineError::LeftBehind { left })
    }
}

/// How many nodes will be removed.
fn expect(observed: &[ObservedHost], target: &Target, events: &Events) {
    events.emit(Event::Expected {
        stage: NodeStage::Remove,
        nodes: found(target, observed).0,
    });
}

/// Hosts that could not be looked at count as something left behind, once each.
pub fn unknown(failures: &[Failure]) -> Vec<String> {
    let mut hosts: Vec<String> = failures
        .iter()
        .filter_map(|failure| {
            failure
                .host
                .as_ref()
                .map(|host| format!("whatever is on {host} ({})", failure.error))
        })
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

async fn remove_nodes(member: &Member, seen: &ObservedHost, target: &Target, events: &Events) -> bool {
    let results: Vec<bool> = futures::stream::iter(seen.nodes.iter().filter(|node| target.matches(node)))
        .map(|node| async move {
            let short_id = crate::plan::Plan::short_id(node.mark.cluster_id);
            let name: NodeName = node.mark.node.clone();
            let say = |progress| {
                events.emit(Event::Node {
                    node: name.clone(),
                    host: member.config.name.clone(),
                    stage: NodeStage::Remove,
                    progress,
                });
            };
            say(Progress::Begun);
            let began = std::time::Instant::now();
            match member.host.remove_node(&target.cluster, &short_id, node).await {
                Ok(changed) => {
                    say(Progress::Done {
                        changed,
                        took: began.elapsed(),
                    });
                    changed
                }
                Err(error) => {
                    say(Progress::Failed {
                        error: explain(&error),
                    });
                    false
                }
            }
        })
        .buffer_unordered(16)
        .collect()
        .await;
    results.into_iter().any(|changed| changed)
}
