//! What a plan is: every choice made, nothing left to decide. Serialisable, deterministic.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use indexmap::IndexMap;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::name::{ClusterName, GroupName, HostName, ImageName, NodeName};
use crate::units::MiB;

/// Version of the plan's JSON form.
pub const PLAN_VERSION: u32 = 1;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            let colon = if place == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0_u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            *byte = parts
                .next()
                .filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or_else(|| format!("`{}` is not an Ethernet address", text.escape_debug()))?;
        }
        if parts.next().is_some() {
            return Err(format!("`{}` is not an Ethernet address", text.escape_debug()));
        }
        Ok(Self(bytes))
    }
}

/// What a node is made of. Two nodes with equal specs are interchangeable; a
/// difference between the wanted and the observed spec is a reason to recreate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Image by name, for messages.
    pub image: ImageName,
    /// Key of the image: changes whenever its contents would (recipe digest or file digest).
    pub image_key: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory.
    pub memory: MiB,
    /// Disk, where one is asked for.
    pub disk: Option<MiB>,
    /// Address of the node.
    pub address: Ipv4Addr,
    /// Its Ethernet address.
    pub mac: Mac,
    /// MTU of its link.
    pub mtu: u32,
    /// Its default gateway: the topology's, with `nat` the end of its own host, or none.
    pub gateway: Option<Ipv4Addr>,
    /// Its name servers.
    pub dns: Vec<IpAddr>,
    /// Fingerprint (`SHA256:...`) of the client key that the node accepts.
    pub client_key: String,
}

/// A node with every choice made.
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
    /// What it is made of.
    pub spec: NodeSpec,
}

/// What is done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// It exists, runs and is as wanted: nothing is done.
    Keep,
    /// It is made.
    Create,
    /// It is removed and made anew.
    Recreate,
    /// It exists as wanted but does not run: it is started.
    Start,
    /// It is removed.
    Remove,
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
    /// Why, for people: `memory 4 GiB -> 8 GiB`, `not there yet`.
    pub reason: String,
}

/// The network of a cluster with every choice made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// The subnet of the cluster.
    pub subnet: Ipv4Net,
    /// Bridge on every host: our own (`vcbXXXXXXXX`) or the user's.
    pub bridge: String,
    /// Whether the bridge is ours to make and remove.
    pub own_bridge: bool,
    /// VXLAN device (`vcxXXXXXXXX`) and network identifier; `None` with one host or an existing bridge.
    pub vxlan: Option<VxlanPlan>,
    /// MTU of bridge and nodes.
    pub mtu: u32,
    /// Masquerade to the outside.
    pub nat: bool,
    /// Default gateway written into the nodes: with `nat`, the end of the node's own host when `None`.
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
    /// The host's own address on the cluster's bridge; `None` on an existing bridge.
    pub bridge_address: Option<Ipv4Addr>,
    /// Its underlay address.
    pub underlay: Option<IpAddr>,
    /// Nodes that will be on it, in topology order.
    pub nodes: Vec<NodeName>,
    /// Memory, vCPUs and disk promised to them.
    pub memory: MiB,
    /// vCPUs promised.
    pub vcpus: u32,
    /// Disk promised.
    pub disk: MiB,
    /// What the host has for this cluster, before any of its nodes is placed.
    pub capacity: Capacity,
}

/// Room for nodes on a host.
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
    /// Its id: random, made at its first `up`, the same ever after.
    pub cluster_id: Uuid,
    /// The network.
    pub network: NetworkPlan,
    /// The hosts that take part, in topology order.
    pub hosts: Vec<HostPlan>,
    /// The nodes as they will be, in topology order.
    pub nodes: Vec<NodePlan>,
    /// Nodes of the topology that will not be there, in topology order; never more than `min_ready` leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingNode>,
    /// What is done: removals first, then the rest in topology order.
    pub actions: Vec<Action>,
}

/// A node of the topology that the cluster does without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingNode {
    /// The node.
    pub node: NodeName,
    /// Its group.
    pub group: GroupName,
    /// Why it is missing.
    pub reason: String,
}

/// Names of host objects, all derived from the cluster's id.
impl Plan {
    /// Short form of a cluster id: its first 8 hex digits. Part of device and pool names.
    pub fn short_id(id: Uuid) -> String {
        id.simple().to_string()[..8].to_owned()
    }

    /// Name of the libvirt pool of a cluster: `vcluster.NAME.SHORTID`.
    /// Neither part can hold a dot, so it parses back without doubt.
    pub fn pool_name(cluster: &ClusterName, id: Uuid) -> String {
        format!("vcluster.{cluster}.{}", Self::short_id(id))
    }
}

/// What the planner knows besides the topology.
#[derive(Clone, Debug)]
pub struct PlanInput<'a> {
    /// The topology.
    pub topology: &'a crate::topology::Topology,
    /// The cluster's id.
    pub cluster_id: Uuid,
    /// Key of each image.
    pub image_keys: IndexMap<ImageName, String>,
    /// Fingerprint of the cluster's client key.
    pub client_key: String,
    /// What was seen on the hosts; a host of the topology that is missing here gets no nodes.
    pub observed: Vec<crate::host::ObservedHost>,
    /// What went wrong so far.
    pub trouble: Trouble,
}

/// What went wrong so far, and what was there before: what the hosts that answer cannot tell.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// The last plan of the cluster. Tells the true copy of a node from a stale one, and keeps the
    /// addresses of nodes whose host is silent.
    pub before: Option<Plan>,
    /// Hosts that answer but get no new nodes, because something else of theirs failed.
    pub closed: BTreeSet<HostName>,
    /// Nodes that did not come up.
    pub failed: BTreeMap<NodeName, FailedNode>,
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
