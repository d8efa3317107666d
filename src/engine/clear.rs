//! Removals before anything new is created: nodes, and the rest of the cluster on hosts without nodes.

use super::apply::Round;
use super::failure::EngineError;
use super::fleet::{Member, split};
use super::remove::{Target, warn_unplugged};
use super::stage;
use crate::base::event::{ActionKind, HostStage, NodeStage};
use crate::base::failure::{Failure, explain};
use crate::host::HostError;
use crate::inventory::ObservedNode;
use crate::plan::Action;
use crate::ssh::fanout;

/// Nodes that are removed at once.
const NODES_AT_ONCE: usize = 256;

impl Round<'_> {
    /// A node that cannot be removed has failed: its replacement would have the same name and addresses.
    pub(super) async fn remove(&self) -> Result<(), EngineError> {
        let cluster = &self.plan.cluster_ref();
        let gone = self
            .plan
            .actions
            .iter()
            .filter(|action| matches!(action.kind, ActionKind::Remove | ActionKind::Recreate));
        let work: Vec<(&Action, &Member, &ObservedNode)> = gone
            .filter_map(|action| {
                let member = self.fleet.get(&action.host)?;
                let seen = self.observed.iter().find(|host| host.name == action.host)?;
                let node = seen.nodes.iter().find(|node| {
                    node.mark.node == action.node && node.mark.cluster_id == self.plan.cluster_id
                })?;
                Some((action, member, node))
            })
            .collect();
        let removals = fanout::each(work, NODES_AT_ONCE, |(action, member, node)| async move {
            if self.cancel.is_cancelled() {
                return None;
            }
            let emit = stage::of_node(self.events, &action.node, &action.host, NodeStage::Remove);
            let removal = async { Ok((member.host.remove_node(cluster, node).await?, ())) };
            let failed = |error: &HostError| stage::failed(error, None);
            let removed: Result<(), HostError> = stage::run(emit, failed, removal).await;
            removed.err().map(|error| {
                let (node, host) = (action.node.clone(), action.host.clone());
                Failure::of_node(node, host, error).at(NodeStage::Remove)
            })
        });
        self.losses.nodes(removals.await.into_iter().flatten());
        self.check_interrupt()
    }

    /// Removes the rest of the cluster from hosts that lost their last node.
    pub(super) async fn clear_emptied_hosts(&self) -> Result<(), EngineError> {
        let cluster = &self.plan.cluster_ref();
        let target = Target::of(cluster.clone());
        let emptied = self
            .fleet
            .only(|name| !self.has_nodes(name) && target.is_on(name, self.observed));
        let done = emptied
            .stage(HostStage::Clean, self.events, |member| async move {
                let removed = member.host.remove_cluster(cluster).await?;
                for error in &removed.errors {
                    self.events
                        .warn(format!("{}: {}", member.endpoint.name, explain(error)));
                }
                warn_unplugged(&member, &removed, self.events);
                for path in &removed.kept {
                    let host = &member.endpoint.name;
                    self.events.warn(format!(
                        "{host}: vcluster did not create {path}; it stays, and so does the pool"
                    ));
                }
                Ok((removed.objects > 0, ()))
            })
            .await;
        // Only a warning: no node needs these hosts, and the record keeps them for `down`.
        for failure in split(HostStage::Clean, done).1 {
            self.events.warn(format!(
                "{}; `vcluster down` will check this host again",
                failure.error()
            ));
        }
        self.check_interrupt()
    }
}
