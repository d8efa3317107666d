//! The observed state of a host. Plain data that the planner reads.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::id::{ClusterRef, ShortId};
use super::{Mac, NodeSpec};
use crate::base::name::{ClusterName, GroupName, HostName, NodeName};
use crate::base::units::MiB;

/// The facts of a host, as probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The host's own name, from libvirt.
    pub hostname: String,
    /// CPU threads.
    pub cpus: u32,
    /// Memory of the machine.
    pub memory: MiB,
    /// Memory available now (`MemAvailable`).
    pub memory_available: MiB,
    /// Free disk space where our pools are.
    pub disk_free: MiB,
    /// libvirt version, major * 1,000,000 + minor * 1,000 + release.
    pub libvirt_version: u32,
    /// QEMU version in the same form.
    pub qemu_version: u32,
    /// Whether it offers UEFI without Secure Boot to guests.
    #[serde(default)]
    pub uefi: bool,
    /// TSC frequency in kHz, if the kernel reports it.
    pub tsc_khz: Option<u64>,
    /// Address at which other hosts reach it.
    pub underlay: Option<IpAddr>,
    /// MTU of the device with that address.
    pub underlay_mtu: Option<u32>,
    /// Destinations of the host's routes, without default routes and our own devices, with the device name.
    pub routes: Vec<(Ipv4Net, String)>,
    /// Its IPv4 addresses, without those of our own devices, and those of its default routers. Nodes on an existing
    /// bridge must not get one of them.
    #[serde(default)]
    pub addresses: Vec<Ipv4Addr>,
    /// The routers of its other routes. Nodes must not get one of them either, but a node may have become one.
    #[serde(default)]
    pub routers: Vec<Ipv4Addr>,
    /// VXLAN identifiers in use.
    pub vnis: Vec<u32>,
    /// The kernel's boot id: hosts that share it share a machine.
    pub boot_id: Option<String>,
    /// Whether KVM is used; `None` until it has been checked.
    pub kvm: Option<bool>,
}

/// State of a domain, as far as it matters to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainState {
    /// It runs.
    Running,
    /// It is paused.
    Paused,
    /// It is defined but does not run.
    Off,
    /// It has crashed.
    Crashed,
}

/// Why a domain does not run, as its host reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRunning {
    /// The reason, with the host, for people.
    pub reason: String,
    /// Whether it may continue where it was: it is paused, for example because the disk of its host is full.
    pub may_continue: bool,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Our mark in a domain's metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Cluster.
    pub cluster: ClusterName,
    /// Its id.
    pub cluster_id: Uuid,
    /// Node.
    pub node: NodeName,
    /// Its group.
    pub group: GroupName,
    /// Index in the group.
    pub index: u32,
    /// What it was created from.
    pub spec: NodeSpec,
}

impl Mark {
    /// The cluster in the mark.
    pub fn cluster_ref(&self) -> ClusterRef {
        ClusterRef::new(&self.cluster, self.cluster_id)
    }
}

/// A domain of ours on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedNode {
    /// Its mark.
    pub mark: Mark,
    /// Domain name.
    pub domain: String,
    /// Domain UUID.
    pub uuid: Uuid,
    /// Its state.
    pub state: DomainState,
}

/// A domain with a copy of our mark: others made it from a node, for example with `virt-clone`. It is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedCopy {
    /// Domain name.
    pub domain: String,
    /// The cluster in the mark.
    pub cluster: ClusterRef,
    /// The node in the mark.
    pub node: NodeName,
}

/// An object of one of our clusters on a host: a pool, a directory, a bridge, a VXLAN, a firewall table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObservedObject {
    /// Kind, for people: `pool`, `directory`, `bridge`, `vxlan`, `nft table`.
    pub kind: String,
    /// Name on the host.
    pub name: String,
    /// Cluster in the mark.
    pub cluster: ClusterName,
    /// Short id in the mark (8 hex digits).
    pub short_id: ShortId,
}

/// The observed state of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedHost {
    /// The host.
    pub name: HostName,
    /// Its facts.
    pub facts: HostFacts,
    /// The domains of all our clusters.
    pub nodes: Vec<ObservedNode>,
    /// The other objects of all our clusters.
    pub objects: Vec<ObservedObject>,
    /// Memory assigned to running domains that are not ours.
    pub foreign_memory: MiB,
    /// Their vCPUs.
    pub foreign_vcpus: u32,
    /// What our clusters reserve there.
    #[serde(default)]
    pub claims: Vec<super::ObservedClaim>,
    /// Digest of these claims. A new claim carries it, to show which claims it was based on.
    #[serde(default)]
    pub token: String,
    /// Clusters with a claim that cannot be read: another release of vcluster may have written it.
    #[serde(default)]
    pub unreadable: Vec<ClusterRef>,
    /// Domains that others made from nodes.
    #[serde(default)]
    pub copies: Vec<ObservedCopy>,
    /// Our bridges that are down or have no IPv4 address: nodes on them cannot be reached until `up` repairs them.
    #[serde(default)]
    pub broken_bridges: Vec<String>,
    /// Ethernet addresses of the guests' interfaces that are on no bridge, which `up` repairs as well.
    #[serde(default)]
    pub unplugged: Vec<Mac>,
}

#[cfg(test)]
impl ObservedHost {
    /// A host without objects, for tests: 8 CPUs, 64 GiB of memory, 100 GiB of disk.
    pub(crate) fn empty(name: HostName) -> Self {
        Self {
            facts: HostFacts {
                hostname: name.to_string(),
                cpus: 8,
                memory: MiB(64 * 1024),
                memory_available: MiB(64 * 1024),
                disk_free: MiB(100 * 1024),
                libvirt_version: 9_000_000,
                qemu_version: 7_002_000,
                uefi: true,
                tsc_khz: None,
                underlay: None,
                underlay_mtu: None,
                routes: Vec::new(),
                addresses: Vec::new(),
                routers: Vec::new(),
                vnis: Vec::new(),
                boot_id: None,
                kvm: None,
            },
            name,
            nodes: Vec::new(),
            objects: Vec::new(),
            foreign_memory: MiB(0),
            foreign_vcpus: 0,
            claims: Vec::new(),
            token: String::new(),
            unreadable: Vec::new(),
            copies: Vec::new(),
            broken_bridges: Vec::new(),
            unplugged: Vec::new(),
        }
    }
}
