//! Directories, pools and networks of a cluster on its hosts.

use std::collections::BTreeSet;

use super::apply::Round;
use super::failure::EngineError;
use super::fleet::{Member, split};
use super::remove::{Target, copies};
use crate::base::event::{ActionKind, HostStage};
use crate::base::name::{HostName, NodeName};
use crate::host::HostError;
use crate::inventory::{NodeSpec, ObservedHost};
use crate::network::{self, Wanted};

impl Round<'_> {
    pub(super) async fn networks(&self) -> Result<(), EngineError> {
        for copy in copies(&Target::of(self.plan.cluster_ref()), self.observed) {
            self.events
                .warn(format!("vcluster did not create the domain {copy}; it stays"));
        }
        let done = self
            .used()
            .stage(HostStage::Network, self.events, |member| async move {
                // The directory records the owner of everything else, so it comes first.
                let keep = self.nodes_of(&member.endpoint.name);
                let made = member
                    .host
                    .ensure_pools(&self.plan.cluster, self.plan.cluster_id, &keep)
                    .await?;
                let name = &member.endpoint.name;
                let changed = self.host_networks(&member).await?;
                for path in &made.others {
                    self.events
                        .warn(format!("{name}: vcluster did not create {path}; it stays"));
                }
                Ok((made.changed || changed, ()))
            })
            .await;
        self.losses.hosts(split(HostStage::Network, done).1);
        self.check_interrupt()
    }

    /// Creates the networks that a host takes part in. Before that, what it has of others is removed: a new network may
    /// have the subnet of an old one. What a node that stays is connected to stays too.
    async fn host_networks(&self, member: &Member) -> Result<bool, HostError> {
        let name = &member.endpoint.name;
        let seen = self.observed.iter().find(|seen| seen.name == *name);
        let stale = seen.map_or_else(Vec::new, |seen| {
            network::stale(self.plan, name, &self.staying(seen), &seen.objects)
        });
        let mut changed = false;
        if !stale.is_empty() {
            let cluster = self.plan.cluster_ref();
            changed |= member.host.remove_networks(&cluster, &stale).await?;
        }
        for planned in network::networks_of(self.plan, name) {
            let wanted = Wanted::new(self.plan, name, planned).map_err(|error| {
                let of_network = network::of_network(&planned.name);
                let doing = format!("create the bridge `{}`{of_network}", planned.bridge);
                HostError::new(name, doing, error.into())
            })?;
            let change = member.host.ensure_network(&wanted).await?;
            for note in change.notes {
                self.events.warn(format!("{name}: {note}"));
            }
            changed |= change.changed;
        }
        Ok(changed)
    }

    /// The nodes of the cluster that were observed on a host and are still there, as they were made. That is not always
    /// what the plan has: a command for some nodes leaves the others as they are, and a removal may have failed.
    fn staying<'a>(&self, seen: &'a ObservedHost) -> Vec<&'a NodeSpec> {
        let is_removal = |kind| matches!(kind, ActionKind::Remove | ActionKind::Recreate);
        let actions = self.plan.actions.iter();
        let removals = actions.filter(|action| action.host == seen.name && is_removal(action.kind));
        let removed: BTreeSet<&NodeName> = removals
            .map(|action| &action.node)
            .filter(|node| !self.losses.has_node(node))
            .collect();
        let marks = seen.nodes.iter().map(|node| &node.mark);
        marks
            .filter(|mark| mark.cluster_id == self.plan.cluster_id && !removed.contains(&mark.node))
            .map(|mark| &mark.spec)
            .collect()
    }

    /// The nodes that are planned on a host, and those of the cluster that were observed there: one of these may still
    /// exist if its removal failed.
    fn nodes_of(&self, host: &HostName) -> BTreeSet<&NodeName> {
        let planned = self.plan.nodes.iter().filter(|node| node.host == *host);
        let seen = self.observed.iter().filter(|seen| seen.name == *host);
        let marks = seen.flat_map(|seen| &seen.nodes).map(|node| &node.mark);
        planned
            .map(|node| &node.name)
            .chain(
                marks
                    .filter(|mark| mark.cluster_id == self.plan.cluster_id)
                    .map(|mark| &mark.node),
            )
            .collect()
    }
}
