//! The claims and the locks on a host in memory.

use async_trait::async_trait;

use super::{FakeHost, is_of, object};
use crate::host::claim::{Claims, LockMode, LockRequest, LockState};
use crate::host::error::HostError;
use crate::inventory::{Claim, ClusterRef};

#[async_trait]
impl Claims for FakeHost {
    async fn hold(&self, request: &LockRequest<'_>) -> Result<LockState, HostError> {
        self.call("hold", |state| {
            let cluster = request.cluster;
            if let Some((connection, how)) = state.locks.get(cluster)
                && *connection != self.connection
                && (*how == LockMode::Exclusive || request.how == LockMode::Exclusive)
            {
                return LockState::Busy {
                    holder: "another command".into(),
                };
            }
            let made = !state.shows(cluster);
            if let Some((claim, token)) = request.claim {
                if token != state.token() {
                    return LockState::Changed { by: None };
                }
                state.contents.claims.insert(cluster.clone(), claim.clone());
                let directory = object("directory", &cluster.directory_name(), cluster);
                state.contents.objects.insert(directory);
            } else if made {
                return LockState::Nothing;
            }
            state
                .locks
                .insert(cluster.clone(), (self.connection, request.how));
            LockState::Held {
                made,
                claim: state.contents.claims.get(cluster).cloned(),
            }
        })
    }

    async fn unclaim(&self, cluster: &ClusterRef, before: Option<&Claim>) -> Result<(), HostError> {
        self.call("unclaim", |state| {
            if let Some(claim) = before {
                state.contents.claims.insert(cluster.clone(), claim.clone());
                return;
            }
            state.contents.claims.remove(cluster);
            let others = state
                .contents
                .objects
                .iter()
                .filter(|object| is_of(object, cluster));
            if others.count() == 1 {
                state.contents.objects.retain(|object| !is_of(object, cluster));
            }
        })
    }

    async fn rewrite_claim(&self, claim: &Claim) -> Result<(), HostError> {
        self.call("rewrite_claim", |state| {
            if let Some(there) = state.contents.claims.get_mut(&claim.cluster_ref()) {
                *there = claim.clone();
            }
        })
    }

    async fn claim_of(&self, cluster: &ClusterRef) -> Result<Option<Claim>, HostError> {
        self.call("claim_of", |state| state.contents.claims.get(cluster).cloned())
    }

    async fn suspended(&self) -> bool {
        false
    }
}
