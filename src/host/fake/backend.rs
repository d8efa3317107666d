//! The calls of a host in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{FakeHost, is_of, object};
use crate::base::name::{ClusterName, HostName, NodeName};
use crate::base::units::MiB;
use crate::host::backend::Backend;
use crate::host::claim::{LockMode, LockRequest, LockState};
use crate::host::clear::reaper::ReaperState;
use crate::host::clear::remove::Removed;
use crate::host::error::{Cause, HostError};
use crate::host::guest::console::ConsoleLine;
use crate::host::guest::domain::Definition;
use crate::host::net::NetworkChange;
use crate::host::storage::artifact::{HostImage, ImagePart};
use crate::inventory::{
    Claim, ClusterRef, DomainState, HostFacts, Mark, ObservedClaim, ObservedHost, ObservedNode,
    ObservedObject, Orphan, Orphans, ShortId,
};
use crate::network::Wanted;
use crate::plan::NodePlan;
use crate::ssh::Session;

#[async_trait]
impl Backend for FakeHost {
    fn name(&self) -> &HostName {
        &self.name
    }

    fn session(&self) -> Option<Arc<Session>> {
        None
    }

    fn connect_timeout(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn close(&self) {
        let mut hosts = self.hosts.state();
        if let Some(state) = hosts.get_mut(&self.name) {
            state
                .locks
                .retain(|_, (connection, _)| *connection != self.connection);
        }
    }

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
            ..empty
        })
    }

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

    async fn not_running(&self, domains: &[String]) -> Result<BTreeMap<String, String>, HostError> {
        self.call("not_running", |state| {
            let runs = |name: &String| {
                let mut nodes = state.contents.nodes.iter();
                nodes.any(|node| node.domain == *name && node.state == DomainState::Running)
            };
            let dead = domains.iter().filter(|name| !runs(name));
            dead.map(|name| (name.clone(), "the guest is off".to_owned()))
                .collect()
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

    async fn orphans(&self) -> Result<Orphans, HostError> {
        self.call("orphans", |_| Orphans::default())
    }

    async fn cpu_pressure(&self) -> Result<Option<f64>, HostError> {
        Ok(None)
    }

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

    async fn ensure_pools(
        &self,
        cluster: &ClusterName,
        id: Uuid,
        _keep: &BTreeSet<&NodeName>,
    ) -> Result<bool, HostError> {
        self.call("ensure_pools", |state| {
            let cluster = ClusterRef::new(cluster, id);
            state
                .contents
                .objects
                .insert(object("directory", &cluster.directory_name(), &cluster));
            state
                .contents
                .objects
                .insert(object("pool", &cluster.pool_name(), &cluster))
        })
    }

    async fn ensure_network(&self, wanted: &Wanted) -> Result<NetworkChange, HostError> {
        self.call("ensure_network", |state| {
            let (cluster, id) = crate::network::read_alias(&wanted.alias).unwrap();
            let bridge = object("bridge", &wanted.bridge, &ClusterRef::new(&cluster, id));
            NetworkChange {
                changed: state.contents.objects.insert(bridge),
                notes: Vec::new(),
            }
        })
    }

    async fn prove_mtu(&self, _mtu: u32, _peers: &[(&HostName, IpAddr)]) -> Result<Vec<HostName>, HostError> {
        self.call("prove_mtu", |_| Vec::new())
    }

    async fn ensure_image(
        &self,
        key: &str,
        cmdline: &str,
        _parts: &[ImagePart],
        _progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<HostImage, HostError> {
        self.call("ensure_image", |_| HostImage {
            key: key.to_owned(),
            kernel: None,
            initrd: None,
            cmdline: cmdline.to_owned(),
            disk: None,
        })
    }

    async fn prove_kvm(&self, _like: &Mark, _image: &HostImage) -> Result<bool, HostError> {
        self.call("prove_kvm", |_| false)
    }

    async fn ensure_disk(
        &self,
        _cluster: &ClusterRef,
        node: &NodePlan,
        _image: &HostImage,
        seed: Vec<u8>,
    ) -> Result<bool, HostError> {
        self.call("ensure_disk", |state| {
            state.seeds.insert(node.name.clone(), seed);
            true
        })
    }

    async fn define(&self, definition: &Definition<'_>) -> Result<bool, HostError> {
        self.call("define", |state| {
            let nodes = &mut state.contents.nodes;
            nodes.retain(|other| other.domain != definition.node.domain);
            nodes.push(ObservedNode {
                mark: definition.mark.clone(),
                domain: definition.node.domain.clone(),
                uuid: definition.node.uuid,
                state: DomainState::Off,
            });
            true
        })
    }

    async fn start(&self, domain: &str) -> Result<bool, HostError> {
        let (node, seed, changed) = self.call("start", |state| {
            let mut nodes = state.contents.nodes.iter_mut();
            let node = nodes.find(|node| node.domain == domain).unwrap();
            if state.refused.contains(&node.mark.node) {
                let cause = Cause::Other("refused by the test".into());
                return Err(HostError::new(&self.name, "start", cause));
            }
            let was = std::mem::replace(&mut node.state, DomainState::Running);
            let seed = state.seeds.get(&node.mark.node).cloned().unwrap_or_default();
            Ok((node.clone(), seed, was != DomainState::Running))
        })??;
        if let (Some(power), true) = (&self.hosts.power, changed) {
            power.on(&self.name, &node, &seed);
        }
        Ok(changed)
    }

    async fn watch_consoles(
        &self,
        _cluster: &ClusterRef,
        _nodes: Vec<NodeName>,
    ) -> Result<mpsc::Receiver<ConsoleLine>, HostError> {
        self.call("watch_consoles", |_| mpsc::channel(1).1)
    }

    async fn console_tail(
        &self,
        _cluster: &ClusterRef,
        _node: &NodeName,
        _lines: usize,
    ) -> Result<String, HostError> {
        self.call("console_tail", |_| String::new())
    }

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
        let (removed, objects) = self.call("remove_cluster", |state| {
            let (nodes, objects) = (&mut state.contents.nodes, state.contents.objects.len());
            let removed = nodes.extract_if(.., |node| node.mark.cluster_ref() == *cluster);
            let removed: Vec<ObservedNode> = removed.collect();
            state.contents.objects.retain(|object| !is_of(object, cluster));
            state.contents.claims.remove(cluster);
            (removed, objects - state.contents.objects.len())
        })?;
        self.off(&removed);
        Ok(Removed {
            domains: removed.len(),
            objects,
            errors: Vec::new(),
        })
    }

    async fn remove_orphan(&self, _orphan: &Orphan) -> Result<bool, HostError> {
        self.call("remove_orphan", |_| false)
    }

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
