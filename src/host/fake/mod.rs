//! In-memory hosts, for tests of the layers above. They store the objects that are created on them and fail the calls
//! that a test chooses. Their guests are only records, unless the test gives them power. The calls of each area are in a
//! file of their own.

mod claim;
mod clear;
mod connect;
mod guest;
mod inspect;
mod net;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use super::backend::{Access, Backend, Connector};
use super::claim::LockMode;
use super::connect::ConnectOptions;
use super::error::{Cause, HostError};
use crate::base::name::{HostName, NodeName};
use crate::inventory::{Claim, ClusterRef, DomainState, HostEndpoint, ObservedNode, ObservedObject};
use crate::plan::{NodePlan, Plan};

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
    /// Bridges that are down.
    broken_bridges: BTreeSet<String>,
    /// Calls that fail, by the name of the method; `connect` among them.
    failing: BTreeSet<&'static str>,
    /// The call in which it loses its power.
    dies_in: Option<&'static str>,
    is_dead: bool,
    /// Nodes that cannot be started here.
    refused: BTreeSet<NodeName>,
    seeds: BTreeMap<NodeName, Vec<u8>>,
    /// Files of others in the directories of clusters.
    foreign: Vec<String>,
}

/// Runs the guests of the hosts.
pub(crate) trait Power: Send + Sync {
    /// A host starts a guest that has this seed volume.
    fn on(&self, host: &HostName, node: &ObservedNode, seed: &[u8]);
    /// A host ends a guest, if it runs.
    fn off(&self, host: &HostName, domain: &str);
}

/// A set of hosts.
#[derive(Clone)]
pub(crate) struct FakeHosts {
    hosts: Arc<Mutex<BTreeMap<HostName, State>>>,
    power: Option<Arc<dyn Power>>,
}

impl FakeHosts {
    /// Empty hosts with these names, whose guests are only records.
    pub(crate) fn new(names: &[&str]) -> Self {
        let hosts = names.iter().map(|name| (name.parse().unwrap(), State::default()));
        Self {
            hosts: Arc::new(Mutex::new(hosts.collect())),
            power: None,
        }
    }

    /// The same hosts, with guests that run.
    pub(crate) fn powered(self, power: Arc<dyn Power>) -> Self {
        Self {
            power: Some(power),
            ..self
        }
    }

    /// Access to them.
    pub(crate) fn access(&self) -> Access {
        Access {
            options: ConnectOptions::default(),
            connector: Arc::new(self.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, BTreeMap<HostName, State>> {
        self.hosts.lock().unwrap()
    }

    /// Makes calls of this method fail on the host.
    pub(crate) fn fail(&self, host: &str, method: &'static str) {
        self.state().get_mut(host).unwrap().failing.insert(method);
    }

    /// Powers the host off when this method is called: its guests end, and no call succeeds.
    pub(crate) fn die(&self, host: &str, method: &'static str) {
        self.state().get_mut(host).unwrap().dies_in = Some(method);
    }

    /// Whether the host has no power.
    pub(crate) fn is_dead(&self, host: &HostName) -> bool {
        self.state()[host].is_dead
    }

    /// Makes this node fail to start on the host.
    pub(crate) fn refuse(&self, host: &str, node: &str) {
        let mut hosts = self.state();
        hosts.get_mut(host).unwrap().refused.insert(node.parse().unwrap());
    }

    /// Puts a file of others into the directories of clusters on the host.
    pub(crate) fn put_foreign(&self, host: &str, path: &str) {
        let mut hosts = self.state();
        hosts.get_mut(host).unwrap().foreign.push(path.to_owned());
    }

    /// Makes all calls succeed again. Hosts have power again; their guests do not run by themselves.
    pub(crate) fn heal(&self) {
        for state in self.state().values_mut() {
            state.failing.clear();
            state.refused.clear();
            state.dies_in = None;
            state.is_dead = false;
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

    /// Takes the bridges of all clusters on the host down.
    pub(crate) fn break_bridges(&self, host: &str) {
        let mut hosts = self.state();
        let state = hosts.get_mut(host).unwrap();
        let bridges = state
            .contents
            .objects
            .iter()
            .filter(|object| object.kind == "bridge");
        state.broken_bridges = bridges.map(|object| object.name.clone()).collect();
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
    /// Ends the guests of these nodes.
    fn off(&self, nodes: &[ObservedNode]) {
        if let Some(power) = &self.hosts.power {
            for node in nodes {
                power.off(&self.name, &node.domain);
            }
        }
    }

    fn call<T>(&self, method: &'static str, work: impl FnOnce(&mut State) -> T) -> Result<T, HostError> {
        let mut hosts = self.hosts.state();
        let state = hosts.get_mut(&self.name).filter(|state| !state.is_dead);
        let Some(state) = state else {
            return Err(HostError::new(&self.name, method, Cause::Closed));
        };
        if state.dies_in == Some(method) {
            state.is_dead = true;
            state.locks.clear();
            for node in &mut state.contents.nodes {
                node.state = DomainState::Off;
            }
            self.off(&state.contents.nodes);
            return Err(HostError::new(&self.name, method, Cause::Closed));
        }
        if state.failing.contains(method) {
            let cause = Cause::Other("failed by the test".into());
            return Err(HostError::new(&self.name, method, cause));
        }
        Ok(work(state))
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
