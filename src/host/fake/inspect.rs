//! What is on a host in memory.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;

use super::{FakeHost, object};
use crate::base::name::ClusterName;
use crate::base::units::MiB;
use crate::host::error::HostError;
use crate::host::inspect::observe::Observation;
use crate::host::inspect::orphans::Sweep;
use crate::host::inspect::states::DomainStates;
use crate::inventory::{
    DomainState, HostFacts, NotRunning, ObservedClaim, ObservedHost, ObservedObject, Orphan, Orphans, ShortId,
};

#[async_trait]
impl Observation for FakeHost {
    async fn observe(&self) -> Result<ObservedHost, HostError> {
        let empty = ObservedHost::empty(self.name.clone());
        self.call("observe", |state| ObservedHost {
            facts: HostFacts {
                cpus: 16,
                memory: MiB(65_536),
                memory_available: MiB(65_536),
                disk_free: MiB(1 << 20),
                // One per name: hosts must not share an address.
                underlay: Some([192, 0, 2, self.name.as_str().bytes().last().unwrap()].into()),
                underlay_mtu: Some(1500),
                kvm: Some(false),
                ..empty.facts
            },
            nodes: state.contents.nodes.clone(),
            objects: state.contents.objects.iter().cloned().collect(),
            claims: state
                .contents
                .claims
                .iter()
                .map(|(cluster, claim)| ObservedClaim {
                    claim: claim.clone(),
                    holder: state.locks.get(cluster).map(|_| "another command".to_owned()),
                })
                .collect(),
            token: state.token(),
            unreadable: state.unreadable.iter().cloned().collect(),
            broken_bridges: state.broken_bridges.iter().cloned().collect(),
            ..empty
        })
    }

    async fn leftovers(
        &self,
        cluster: &ClusterName,
        short_id: Option<&ShortId>,
    ) -> Result<Vec<ObservedObject>, HostError> {
        self.call("leftovers", |state| {
            let nodes = state.contents.nodes.iter();
            let domains = nodes.map(|node| object("domain", &node.domain, &node.mark.cluster_ref()));
            domains
                .chain(state.contents.objects.iter().cloned())
                .filter(|object| {
                    object.cluster == *cluster && short_id.is_none_or(|id| *id == object.short_id)
                })
                .collect()
        })
    }

    async fn cpu_pressure(&self) -> Result<Option<f64>, HostError> {
        Ok(None)
    }
}

#[async_trait]
impl DomainStates for FakeHost {
    async fn states(&self) -> Result<HashMap<String, DomainState>, HostError> {
        self.call("states", |state| {
            let nodes = state.contents.nodes.iter();
            nodes.map(|node| (node.domain.clone(), node.state)).collect()
        })
    }

    async fn active(&self) -> Result<HashSet<String>, HostError> {
        self.call("active", |state| {
            let nodes = state.contents.nodes.iter();
            let active = nodes.filter(|node| node.state != DomainState::Off);
            active.map(|node| node.domain.clone()).collect()
        })
    }

    async fn not_running(&self, domains: &[String]) -> Result<BTreeMap<String, NotRunning>, HostError> {
        self.call("not_running", |state| {
            let runs = |name: &String| {
                let mut nodes = state.contents.nodes.iter();
                nodes.any(|node| node.domain == *name && node.state == DomainState::Running)
            };
            let dead = domains.iter().filter(|name| !runs(name)).map(|name| {
                let why = NotRunning {
                    reason: "the guest is off".to_owned(),
                    may_continue: false,
                    hint: None,
                };
                (name.clone(), why)
            });
            dead.collect()
        })
    }
}

#[async_trait]
impl Sweep for FakeHost {
    async fn orphans(&self) -> Result<Orphans, HostError> {
        self.call("orphans", |_| Orphans::default())
    }

    async fn remove_orphan(&self, _orphan: &Orphan) -> Result<bool, HostError> {
        self.call("remove_orphan", |_| false)
    }
}
