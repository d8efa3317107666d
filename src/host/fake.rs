//! In-memory hosts, for tests of the layers above. They store the objects that are created on them, fail the calls that
//! a test chooses, and boot no guests.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::backend::{Access, Backend, Connector};
use super::claim::{LockMode, LockRequest, LockState};
use super::clear::reaper::ReaperState;
use super::clear::remove::Removed;
use super::connect::ConnectOptions;
use super::error::{Cause, HostError};
use super::guest::console::ConsoleLine;
use super::guest::domain::Definition;
use super::net::NetworkChange;
use super::storage::artifact::{HostImage, ImagePart};
use crate::base::name::{ClusterName, HostName, NodeName};
use crate::base::units::MiB;
use crate::inventory::{
    Claim, ClusterRef, DomainState, HostEndpoint, HostFacts, Mark, ObservedClaim, ObservedHost, ObservedNode,
    ObservedObject, Orphan, Orphans, ShortId,
};
use crate::network::Wanted;
use crate::plan::{NodePlan, Plan};
use crate::ssh::Session;

/// The objects on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) nodes: Vec<ObservedNode>,
    pub(crate) objects: BTreeSet<ObservedObject>,
    pub(crate) claims: BTreeMap<ClusterRef, Claim>,
}

#[derive(Debug, Default)]
struct State {
    contents: Contents,
    /// The locks of clusters: the holder's connection, and whether the lock is exclusive.
    locks: BTreeMap<ClusterRef, (u64, LockMode)>,
    /// Clusters whose claim cannot be read.
    unreadable: BTreeSet<ClusterRef>,
    /// Calls that fail, by the name of the method; `connect` among them.
    failing: BTreeSet<&'static str>,
}

/// A set of hosts.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeHosts(Arc<Mutex<BTreeMap<HostName, State>>>);

impl FakeHosts {
    /// Empty hosts with these names.
    pub(crate) fn new(names: &[&str]) -> Self {
        let hosts = names.iter().map(|name| (name.parse().unwrap(), State::default()));
        Self(Arc::new(Mutex::new(hosts.collect())))
    }

    /// Access to them.
    pub(crate) fn access(&self) -> Access {
        Access {
            options: ConnectOptions::default(),
            connector: Arc::new(self.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, BTreeMap<HostName, State>> {
        self.0.lock().unwrap()
    }

    /// Makes calls of this method fail on the host.
    pub(crate) fn fail(&self, host: &str, method: &'static str) {
        self.state().get_mut(host).unwrap().failing.insert(method);
    }

    /// Makes all calls succeed again.
    pub(crate) fn heal(&self) {
        for state in self.state().values_mut() {
            state.failing.clear();
        }
    }

    /// The objects on each host.
    pub(crate) fn contents(&self) -> BTreeMap<HostName, Contents> {
        let state = self.state();
        state
            .iter()
            .map(|(name, state)| (name.clone(), state.contents.clone()))
            .collect()
    }

    /// Whether all hosts are empty.
    pub(crate) fn are_empty(&self) -> bool {
        self.contents()
            .values()
            .all(|contents| *contents == Contents::default())
    }

    /// Changes the claims of all hosts.
    pub(crate) fn change_claims(&self, change: impl Fn(&mut Claim)) {
        for state in self.state().values_mut() {
            state.contents.claims.values_mut().for_each(&change);
        }
    }

    /// Makes all claims on the host unreadable.
    pub(crate) fn spoil_claims(&self, host: &str) {
        let mut hosts = self.state();
        let state = hosts.get_mut(host).unwrap();
        let claims = std::mem::take(&mut state.contents.claims);
        state.unreadable.extend(claims.into_keys());
    }

    /// Creates what `up` creates from a plan, except claims: objects, and running nodes. Only the wanted nodes.
    pub(crate) fn apply(&self, plan: &Plan, mut wanted: impl FnMut(&NodePlan) -> bool) {
        let cluster = plan.cluster_ref();
        let mut hosts = self.state();
        for node in plan.nodes.iter().filter(|node| wanted(node)) {
            let contents = &mut hosts.get_mut(&node.host).unwrap().contents;
            contents
                .objects
                .insert(object("pool", &cluster.pool_name(), &cluster));
            contents
                .objects
                .insert(object("directory", &cluster.directory_name(), &cluster));
            contents.nodes.retain(|other| other.uuid != node.uuid);
            contents.nodes.push(ObservedNode {
                mark: plan.mark(node),
                domain: node.domain.clone(),
                uuid: node.uuid,
                state: DomainState::Running,
            });
        }
    }
}

#[async_trait]
impl Connector for FakeHosts {
    async fn connect(
        &self,
        host: &HostEndpoint,
        _options: &ConnectOptions,
    ) -> Result<Arc<dyn Backend>, HostError> {
        static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
        let connected = FakeHost {
            name: host.name.clone(),
            hosts: self.clone(),
            connection: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
        };
        connected.call("connect", |_| ())?;
        Ok(Arc::new(connected))
    }
}

struct FakeHost {
    name: HostName,
    hosts: FakeHosts,
    connection: u64,
}

fn object(kind: &str, name: &str, cluster: &ClusterRef) -> ObservedObject {
    ObservedObject {
        kind: kind.to_owned(),
        name: name.to_owned(),
        cluster: cluster.name.clone(),
        short_id: cluster.short_id.clone(),
    }
}

fn is_of(object: &ObservedObject, cluster: &ClusterRef) -> bool {
    object.cluster == cluster.name && object.short_id == cluster.short_id
}

impl FakeHost {
    fn call<T>(&self, method: &'static str, work: impl FnOnce(&mut State) -> T) -> Result<T, HostError> {
        let mut hosts = self.hosts.state();
        match hosts.get_mut(&self.name) {
            Some(state) if !state.failing.contains(method) => Ok(work(state)),
            Some(_) => Err(HostError::new(
                &self.name,
                method,
                Cause::Other("failed by the test".into()),
            )),
            None => Err(HostError::new(&self.name, method, Cause::Closed)),
        }
    }
}

impl State {
    fn token(&self) -> String {
        serde_json::to_string(&self.contents.claims.values().collect::<Vec<_>>()).unwrap()
    }

    fn shows(&self, cluster: &ClusterRef) -> bool {
        let Contents {
            nodes,
            objects,
            claims,
        } = &self.contents;
        nodes.iter().any(|node| node.mark.cluster_ref() == *cluster)
            || objects.iter().any(|object| is_of(object, cluster))
            || claims.contains_key(cluster)
    }
}

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
        _node: &NodePlan,
        _image: &HostImage,
        _seed: Vec<u8>,
    ) -> Result<bool, HostError> {
        self.call("ensure_disk", |_| true)
    }

    async fn define(&self, definition: &Definition<'_>) -> Result<bool, HostError> {
        self.call("define", |state| {
            state.contents.nodes.push(ObservedNode {
                mark: definition.mark.clone(),
                domain: definition.node.domain.clone(),
                uuid: definition.node.uuid,
                state: DomainState::Off,
            });
            true
        })
    }

    async fn start(&self, domain: &str) -> Result<bool, HostError> {
        self.call("start", |state| {
            let mut nodes = state.contents.nodes.iter_mut();
            let node = nodes.find(|node| node.domain == domain).unwrap();
            let was = std::mem::replace(&mut node.state, DomainState::Running);
            was != DomainState::Running
        })
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
        self.call("remove_node", |state| {
            let before = state.contents.nodes.len();
            state.contents.nodes.retain(|other| other.uuid != node.uuid);
            state.contents.nodes.len() < before
        })
    }

    async fn remove_cluster(&self, cluster: &ClusterRef) -> Result<Removed, HostError> {
        self.call("remove_cluster", |state| {
            let (nodes, objects) = (state.contents.nodes.len(), state.contents.objects.len());
            state
                .contents
                .nodes
                .retain(|node| node.mark.cluster_ref() != *cluster);
            state.contents.objects.retain(|object| !is_of(object, cluster));
            state.contents.claims.remove(cluster);
            Removed {
                domains: nodes - state.contents.nodes.len(),
                objects: objects - state.contents.objects.len(),
                errors: Vec::new(),
            }
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
