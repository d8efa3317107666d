//! The plan's data: every choice that can be made before the plan is applied. `choices` has those that depend on facts
//! known only then. Serialisable, deterministic.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use indexmap::IndexMap;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::choices::EmulatedCpu;
use crate::base::event::ActionKind;
use crate::base::group::grouped;
use crate::base::name::{ClusterName, GroupName, HostName, ImageName, NetworkName, NodeName};
use crate::base::units::MiB;
use crate::inventory::{ClusterRef, Firmware, Mark, NodeSpec};
use crate::topology::Accel;

/// Version of the plan's JSON form.
pub const PLAN_VERSION: u32 = 1;

/// A planned node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    /// Name and host name of the node.
    pub name: NodeName,
    /// Its group.
    pub group: GroupName,
    /// Index in its group, from 0.
    pub index: u32,
    /// The host that it is placed on.
    pub host: HostName,
    /// libvirt domain name: `CLUSTER.NODE`.
    pub domain: String,
    /// libvirt domain UUID: version 5 of cluster id and node name.
    pub uuid: Uuid,
    /// The user that vcluster logs in as. Not part of the spec, so that a node is not recreated because of it. `None`
    /// only in a plan that an earlier release stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The CPU that the guest gets if its host emulates it. Not part of the spec: it depends on the host's QEMU.
    #[serde(default)]
    pub emulated_cpu: EmulatedCpu,
    /// What its disks may take on its host: the disk of the spec, else that of the image, as far as it is known, and the
    /// further disks of the spec.
    #[serde(default)]
    pub disk: MiB,
    /// What it is made of.
    pub spec: NodeSpec,
}

impl NodePlan {
    /// Its login user; an error if neither the plan nor the record of its cluster has it.
    pub fn login_user(&self) -> Result<&str, String> {
        let user = self.user.as_deref();
        user.ok_or_else(|| format!("no login user is known for image `{}`", self.spec.image))
    }
}

/// One action with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The node.
    pub node: NodeName,
    /// The host where it is done.
    pub host: HostName,
    /// What is done.
    pub kind: ActionKind,
    /// Why, as shown to the user: `memory 4 GiB -> 8 GiB`, `does not exist yet`.
    pub reason: String,
}

/// A planned network of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// Its name.
    #[serde(default = "NetworkName::cluster")]
    pub name: NetworkName,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// Bridge on every host with nodes in it: our own (`vcbXXXXXXXX`, of a further network `vcbXXXXXXXXYYYY`) or the
    /// user's.
    pub bridge: String,
    /// Whether vcluster creates and removes the bridge.
    pub own_bridge: bool,
    /// VXLAN device (`vcxXXXXXXXX`, of a further network `vcxXXXXXXXXYYYY`) and network identifier; `None` with one host
    /// or an existing bridge.
    pub vxlan: Option<VxlanPlan>,
    /// MTU of bridge and nodes.
    pub mtu: u32,
    /// Masquerade to the outside.
    pub nat: bool,
    /// Default gateway written into the nodes; `None` with `nat`: the bridge address of the node's host.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers written into the nodes.
    pub dns: Vec<IpAddr>,
}

/// A VXLAN between the hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VxlanPlan {
    /// Device name.
    pub device: String,
    /// VXLAN network identifier, 24 bits.
    pub vni: u32,
    /// UDP port (4789, RFC 7348).
    pub port: u16,
}

/// A host's part of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPlan {
    /// The host.
    pub name: HostName,
    /// The host's own address on the bridge of the network `cluster`; `None` on an existing bridge.
    pub bridge_address: Option<Ipv4Addr>,
    /// The further networks that nodes on this host join, with the host's own address on the bridge; `None` on an
    /// existing bridge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<NetworkName, Option<Ipv4Addr>>,
    /// Its underlay address.
    pub underlay: Option<IpAddr>,
    /// Nodes planned on it, in topology order.
    pub nodes: Vec<NodeName>,
    /// The wanted acceleration of its guests.
    #[serde(default)]
    pub accel: Accel,
    /// Memory of these nodes.
    pub memory: MiB,
    /// vCPUs of these nodes.
    pub vcpus: u32,
    /// Disk of these nodes.
    pub disk: MiB,
    /// What the host has for this cluster, before any of its nodes is placed.
    pub capacity: Capacity,
}

/// Capacity of a host for nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Nodes.
    pub nodes: u32,
    /// Memory.
    pub memory: MiB,
    /// vCPUs, overcommitment included.
    pub vcpus: u32,
    /// Disk.
    pub disk: MiB,
}

/// The whole plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The cluster.
    pub cluster: ClusterName,
    /// Its id: random, chosen at its first `up`, never changed.
    pub cluster_id: Uuid,
    /// The network `cluster`, which every node joins.
    pub network: NetworkPlan,
    /// The further networks, in topology order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkPlan>,
    /// The hosts that take part, in topology order.
    pub hosts: Vec<HostPlan>,
    /// The planned nodes, in topology order.
    pub nodes: Vec<NodePlan>,
    /// Nodes of the topology that are left out, in topology order; never more than `min_ready` allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingNode>,
    /// What is done: removals first, then the rest in topology order.
    pub actions: Vec<Action>,
}

impl HostPlan {
    /// Whether the host takes part in a network.
    pub fn joins(&self, network: &NetworkName) -> bool {
        network.is_cluster() || self.networks.contains_key(network)
    }

    /// The host's own address on the bridge of a network.
    pub fn address_in(&self, network: &NetworkName) -> Option<Ipv4Addr> {
        if network.is_cluster() {
            return self.bridge_address;
        }
        self.networks.get(network).copied().flatten()
    }
}

impl Plan {
    /// All networks, `cluster` first.
    pub fn all_networks(&self) -> impl Iterator<Item = &NetworkPlan> {
        std::iter::once(&self.network).chain(&self.networks)
    }

    /// A network by its name.
    pub fn network(&self, name: &NetworkName) -> Option<&NetworkPlan> {
        self.all_networks().find(|network| network.name == *name)
    }

    /// The cluster's identity on its hosts.
    pub fn cluster_ref(&self) -> ClusterRef {
        ClusterRef::new(&self.cluster, self.cluster_id)
    }

    /// The mark of a node.
    pub fn mark(&self, node: &NodePlan) -> Mark {
        Mark {
            cluster: self.cluster.clone(),
            cluster_id: self.cluster_id,
            node: node.name.clone(),
            group: node.group.clone(),
            index: node.index,
            spec: node.spec.clone(),
        }
    }

    /// The nodes that are left out, by reason, in the order in which they first appear.
    pub fn missing_by_reason(&self) -> Vec<(&str, Vec<&NodeName>)> {
        let missing = self.missing.iter();
        grouped(missing.map(|missing| (missing.reason.as_str(), &missing.node)))
            .into_iter()
            .collect()
    }
}

/// A node of the topology that is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingNode {
    /// The node.
    pub node: NodeName,
    /// Its group.
    pub group: GroupName,
    /// Why it is missing.
    pub reason: String,
}

/// The planner's input.
#[derive(Clone, Debug)]
pub struct PlanInput<'a> {
    /// The topology.
    pub topology: &'a crate::topology::Topology,
    /// The cluster's id.
    pub cluster_id: Uuid,
    /// What is known of each image.
    pub images: IndexMap<ImageName, ImageFacts>,
    /// Fingerprint of the cluster's client key.
    pub client_key: String,
    /// What was observed on the hosts; a host of the topology that is missing here gets no nodes.
    pub observed: Vec<crate::inventory::ObservedHost>,
    /// What failed so far.
    pub known_failures: KnownFailures,
}

/// What is known of an image before its nodes are placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its key: a digest of its recipe or of its file.
    pub key: String,
    /// Size in bytes of the disk that it brings; `None` without one, and for an image that is not built yet.
    pub disk: Option<u64>,
    /// What boots its disk.
    pub firmware: Firmware,
}

impl ImageFacts {
    /// The facts of an image without a disk, or of one that is not built yet.
    pub fn of_key(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            ..Self::default()
        }
    }

    /// Size of its disk in whole MiB, rounded up.
    pub fn disk_mib(&self) -> Option<MiB> {
        self.disk.map(|bytes| MiB(bytes.div_ceil(1 << 20)))
    }
}

/// What failed so far, and the previous plan: facts that reachable hosts cannot report.
#[derive(Clone, Debug, Default)]
pub struct KnownFailures {
    /// The last plan of the cluster. Distinguishes a node from a leftover domain of it, and keeps the
    /// addresses of nodes whose host is unreachable.
    pub before: Option<Plan>,
    /// Reachable hosts that get no new nodes, because something else failed there.
    pub closed: BTreeSet<HostName>,
    /// Nodes that did not come up.
    pub failed: BTreeMap<NodeName, FailedNode>,
    /// Nodes that stay where they are, but not as they are.
    pub due: BTreeMap<NodeName, Due>,
}

/// What is to be done to a node that is otherwise as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// `Configure`, `Start`, `Restart` or `Recreate`.
    pub kind: ActionKind,
    /// Why, on one line.
    pub why: String,
}

/// A node that did not come up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedNode {
    /// Hosts where it is not tried again.
    pub on: BTreeSet<HostName>,
    /// Why, on one line.
    pub why: String,
    /// Whether it is not tried again at all.
    pub given_up: bool,
}
