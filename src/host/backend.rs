//! The operations on a bare-metal host, behind one trait. Methods are idempotent: `ensure` and `remove` return whether
//! they changed anything. Objects without our mark are never touched.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::claim::{LockRequest, LockState};
use super::clear::reaper::ReaperState;
use super::clear::remove::Removed;
use super::connect::{ConnectOptions, Host};
use super::error::HostError;
use super::guest::console::ConsoleLine;
use super::guest::domain::Definition;
use super::net::NetworkChange;
use super::storage::artifact::{HostImage, ImagePart};
use crate::base::name::{ClusterName, HostName, NodeName};
use crate::inventory::{
    Claim, ClusterRef, DomainState, HostEndpoint, Mark, ObservedHost, ObservedNode, ObservedObject, Orphan,
    Orphans, ShortId,
};
use crate::network::Wanted;
use crate::plan::NodePlan;
use crate::ssh::Session;

/// A connected bare-metal host.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The host's name in the topology.
    fn name(&self) -> &HostName;

    /// The SSH session through which nodes are reached; `None` for this machine.
    fn session(&self) -> Option<Arc<Session>>;

    /// Time for a connection and login.
    fn connect_timeout(&self) -> Duration;

    /// Ends the connections and frees the locks. Calls in flight fail.
    async fn close(&self);

    /// The host's facts, capacity and our objects.
    async fn observe(&self) -> Result<ObservedHost, HostError>;

    /// States of all domains, by domain name.
    async fn states(&self) -> Result<HashMap<String, DomainState>, HostError>;

    /// Names of the domains that are not off. One call, so it can be polled.
    async fn active(&self) -> Result<HashSet<String>, HostError>;

    /// Which of these domains do not run, and why. Cheap enough to be polled.
    async fn not_running(&self, domains: &[String]) -> Result<BTreeMap<String, String>, HostError>;

    /// All objects that carry the mark of a cluster; without an id, of all clusters of that name.
    async fn leftovers(
        &self,
        cluster: &ClusterName,
        short_id: Option<&ShortId>,
    ) -> Result<Vec<ObservedObject>, HostError>;

    /// Leftovers that no cluster owns, and the ages of objects.
    async fn orphans(&self) -> Result<Orphans, HostError>;

    /// Share of the last ten seconds in which some task waited for a CPU, in percent; `None` if the kernel does not measure it.
    async fn cpu_pressure(&self) -> Result<Option<f64>, HostError>;

    /// Locks a cluster until this host is closed, and writes its claim if the request has one.
    async fn hold(&self, request: &LockRequest<'_>) -> Result<LockState, HostError>;

    /// Reverts a claim that was just made: restores `before`, or removes the directory if it holds nothing else. The cluster must be locked.
    async fn unclaim(&self, cluster: &ClusterRef, before: Option<&Claim>) -> Result<(), HostError>;

    /// Overwrites an existing claim. The cluster must be locked.
    async fn rewrite_claim(&self, claim: &Claim) -> Result<(), HostError>;

    /// The claim of a cluster, if the host has one.
    async fn claim_of(&self, cluster: &ClusterRef) -> Result<Option<Claim>, HostError>;

    /// Whether a lock here was lost because this process was suspended.
    async fn suspended(&self) -> bool;

    /// Creates the directory and the pools of a cluster; returns whether anything was created. Files of nodes not in `keep` are removed.
    async fn ensure_pools(
        &self,
        cluster: &ClusterName,
        id: Uuid,
        keep: &BTreeSet<&NodeName>,
    ) -> Result<bool, HostError>;

    /// Creates bridge, VXLAN and NAT of a cluster; changes only what differs.
    async fn ensure_network(&self, wanted: &Wanted) -> Result<NetworkChange, HostError>;

    /// Sends full-size packets to other hosts; returns those that do not respond at all. A host that only smaller packets reach is an error.
    async fn prove_mtu(&self, mtu: u32, peers: &[(&HostName, IpAddr)]) -> Result<Vec<HostName>, HostError>;

    /// Uploads the files of an image that the host does not have. `progress` gets the bytes done and the total.
    async fn ensure_image(
        &self,
        key: &str,
        cmdline: &str,
        parts: &[ImagePart],
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<HostImage, HostError>;

    /// Whether KVM runs guests here. `like` is the mark of any node of the cluster.
    async fn prove_kvm(&self, like: &Mark, image: &HostImage) -> Result<bool, HostError>;

    /// Creates the overlay and the seed of a node that is not defined.
    async fn ensure_disk(
        &self,
        cluster: &ClusterRef,
        node: &NodePlan,
        image: &HostImage,
        seed: Vec<u8>,
    ) -> Result<bool, HostError>;

    /// Defines the domain of a node; returns false if it is already defined as wanted.
    async fn define(&self, definition: &Definition<'_>) -> Result<bool, HostError>;

    /// Starts a domain, or resumes a paused one; returns false if it already runs.
    async fn start(&self, domain: &str) -> Result<bool, HostError>;

    /// Follows the consoles of these nodes. A line is a hint, not a proof: a guest can forge lines of another guest.
    async fn watch_consoles(
        &self,
        cluster: &ClusterRef,
        nodes: Vec<NodeName>,
    ) -> Result<mpsc::Receiver<ConsoleLine>, HostError>;

    /// The last lines of a node's console log; empty if there is none.
    async fn console_tail(
        &self,
        cluster: &ClusterRef,
        node: &NodeName,
        lines: usize,
    ) -> Result<String, HostError>;

    /// Removes a node with its files; returns whether anything was removed.
    async fn remove_node(&self, cluster: &ClusterRef, node: &ObservedNode) -> Result<bool, HostError>;

    /// Removes everything of a cluster; continues after errors.
    async fn remove_cluster(&self, cluster: &ClusterRef) -> Result<Removed, HostError>;

    /// Removes an object that no cluster owns; returns whether it existed.
    async fn remove_orphan(&self, orphan: &Orphan) -> Result<bool, HostError>;

    /// Installs the reaper with a timer.
    async fn install_reaper(&self, every: Duration) -> Result<ReaperState, HostError>;

    /// Removes the reaper.
    async fn remove_reaper(&self) -> Result<ReaperState, HostError>;

    /// Whether the reaper is installed.
    async fn reaper_state(&self) -> Result<ReaperState, HostError>;
}

/// Connects to hosts.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects to a host.
    async fn connect(
        &self,
        host: &HostEndpoint,
        options: &ConnectOptions,
    ) -> Result<Arc<dyn Backend>, HostError>;
}

/// How to connect to hosts.
#[derive(Clone)]
pub struct Access {
    /// Timeouts.
    pub options: ConnectOptions,
    /// The implementation.
    pub connector: Arc<dyn Connector>,
}

impl Access {
    /// Access by SSH and libvirt.
    pub fn libvirt(options: ConnectOptions) -> Self {
        Self {
            options,
            connector: Arc::new(LibvirtHosts),
        }
    }

    /// Connects to a host.
    pub async fn connect(&self, host: &HostEndpoint) -> Result<Arc<dyn Backend>, HostError> {
        self.connector.connect(host, &self.options).await
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Hosts with libvirt, over SSH or on this machine.
struct LibvirtHosts;

#[async_trait]
impl Connector for LibvirtHosts {
    async fn connect(
        &self,
        host: &HostEndpoint,
        options: &ConnectOptions,
    ) -> Result<Arc<dyn Backend>, HostError> {
        Ok(Arc::new(Host::connect(host, options).await?))
    }
}

#[async_trait]
impl Backend for Host {
    fn name(&self) -> &HostName {
        Host::name(self)
    }

    fn session(&self) -> Option<Arc<Session>> {
        Host::session(self)
    }

    fn connect_timeout(&self) -> Duration {
        Host::connect_timeout(self)
    }

    async fn close(&self) {
        Host::close(self).await;
    }

    async fn observe(&self) -> Result<ObservedHost, HostError> {
        Host::observe(self).await
    }

    async fn states(&self) -> Result<HashMap<String, DomainState>, HostError> {
        Host::states(self).await
    }

    async fn active(&self) -> Result<HashSet<String>, HostError> {
        Host::active(self).await
    }

    async fn not_running(&self, domains: &[String]) -> Result<BTreeMap<String, String>, HostError> {
        Host::not_running(self, domains).await
    }

    async fn leftovers(
        &self,
        cluster: &ClusterName,
        short_id: Option<&ShortId>,
    ) -> Result<Vec<ObservedObject>, HostError> {
        Host::leftovers(self, cluster, short_id).await
    }

    async fn orphans(&self) -> Result<Orphans, HostError> {
        Host::orphans(self).await
    }

    async fn cpu_pressure(&self) -> Result<Option<f64>, HostError> {
        Host::cpu_pressure(self).await
    }

    async fn hold(&self, request: &LockRequest<'_>) -> Result<LockState, HostError> {
        Host::hold(self, request).await
    }

    async fn unclaim(&self, cluster: &ClusterRef, before: Option<&Claim>) -> Result<(), HostError> {
        Host::unclaim(self, cluster, before).await
    }

    async fn rewrite_claim(&self, claim: &Claim) -> Result<(), HostError> {
        Host::rewrite_claim(self, claim).await
    }

    async fn claim_of(&self, cluster: &ClusterRef) -> Result<Option<Claim>, HostError> {
        Host::claim_of(self, cluster).await
    }

    async fn suspended(&self) -> bool {
        Host::suspended(self).await
    }

    async fn ensure_pools(
        &self,
        cluster: &ClusterName,
        id: Uuid,
        keep: &BTreeSet<&NodeName>,
    ) -> Result<bool, HostError> {
        Host::ensure_pools(self, cluster, id, keep).await
    }

    async fn ensure_network(&self, wanted: &Wanted) -> Result<NetworkChange, HostError> {
        Host::ensure_network(self, wanted).await
    }

    async fn prove_mtu(&self, mtu: u32, peers: &[(&HostName, IpAddr)]) -> Result<Vec<HostName>, HostError> {
        Host::prove_mtu(self, mtu, peers).await
    }

    async fn ensure_image(
        &self,
        key: &str,
        cmdline: &str,
        parts: &[ImagePart],
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<HostImage, HostError> {
        Host::ensure_image(self, key, cmdline, parts, progress).await
    }

    async fn prove_kvm(&self, like: &Mark, image: &HostImage) -> Result<bool, HostError> {
        Host::prove_kvm(self, like, image).await
    }

    async fn ensure_disk(
        &self,
        cluster: &ClusterRef,
        node: &NodePlan,
        image: &HostImage,
        seed: Vec<u8>,
    ) -> Result<bool, HostError> {
        Host::ensure_disk(self, cluster, node, image, seed).await
    }

    async fn define(&self, definition: &Definition<'_>) -> Result<bool, HostError> {
        Host::define(self, definition).await
    }

    async fn start(&self, domain: &str) -> Result<bool, HostError> {
        Host::start(self, domain).await
    }

    async fn watch_consoles(
        &self,
        cluster: &ClusterRef,
        nodes: Vec<NodeName>,
    ) -> Result<mpsc::Receiver<ConsoleLine>, HostError> {
        Host::watch_consoles(self, cluster, nodes).await
    }

    async fn console_tail(
        &self,
        cluster: &ClusterRef,
        node: &NodeName,
        lines: usize,
    ) -> Result<String, HostError> {
        Host::console_tail(self, cluster, node, lines).await
    }

    async fn remove_node(&self, cluster: &ClusterRef, node: &ObservedNode) -> Result<bool, HostError> {
        Host::remove_node(self, cluster, node).await
    }

    async fn remove_cluster(&self, cluster: &ClusterRef) -> Result<Removed, HostError> {
        Host::remove_cluster(self, cluster).await
    }

    async fn remove_orphan(&self, orphan: &Orphan) -> Result<bool, HostError> {
        Host::remove_orphan(self, orphan).await
    }

    async fn install_reaper(&self, every: Duration) -> Result<ReaperState, HostError> {
        Host::install_reaper(self, every).await
    }

    async fn remove_reaper(&self) -> Result<ReaperState, HostError> {
        Host::remove_reaper(self).await
    }

    async fn reaper_state(&self) -> Result<ReaperState, HostError> {
        Host::reaper_state(self).await
    }
}
