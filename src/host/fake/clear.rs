//! Removal from a host in memory, which has no reaper.

use std::time::Duration;

use async_trait::async_trait;

use super::{FakeHost, is_of};
use crate::host::clear::reaper::{Reaper, ReaperState};
use crate::host::clear::remove::{Removal, Removed};
use crate::host::error::HostError;
use crate::inventory::{ClusterRef, ObservedNode, ObservedObject};

#[async_trait]
impl Removal for FakeHost {
    async fn remove_node(&self, _cluster: &ClusterRef, node: &ObservedNode) -> Result<bool, HostError> {
        let removed = self.call("remove_node", |state| {
            let nodes = &mut state.contents.nodes;
            nodes
                .extract_if(.., |other| other.uuid == node.uuid)
                .collect::<Vec<_>>()
        })?;
        self.off(&removed);
        Ok(!removed.is_empty())
    }

    async fn remove_cluster(&self, cluster: &ClusterRef) -> Result<Removed, HostError> {
        let (removed, objects, kept) = self.call("remove_cluster", |state| {
            let kept = state.foreign.clone();
            let stays = |kind: &str| !kept.is_empty() && matches!(kind, "pool" | "directory");
            let (nodes, objects) = (&mut state.contents.nodes, state.contents.objects.len());
            let removed = nodes.extract_if(.., |node| node.mark.cluster_ref() == *cluster);
            let removed: Vec<ObservedNode> = removed.collect();
            let left = |object: &ObservedObject| !is_of(object, cluster) || stays(&object.kind);
            state.contents.objects.retain(left);
            state.contents.claims.remove(cluster);
            (removed, objects - state.contents.objects.len(), kept)
        })?;
        self.off(&removed);
        Ok(Removed {
            domains: removed.len(),
            objects,
            errors: Vec::new(),
            kept,
            unplugged: Vec::new(),
        })
    }
}

#[async_trait]
impl Reaper for FakeHost {
    async fn install_reaper(&self, _every: Duration) -> Result<ReaperState, HostError> {
        self.reaper_state().await
    }

    async fn remove_reaper(&self) -> Result<ReaperState, HostError> {
        self.reaper_state().await
    }

    async fn reaper_state(&self) -> Result<ReaperState, HostError> {
        self.call("reaper_state", |_| ReaperState {
            installed: false,
            current: false,
            timer: None,
        })
    }
}
