//! What was seen on a host. Plain data that the planner reads.

use std::net::IpAddr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::name::{ClusterName, GroupName, HostName, NodeName};
use crate::plan::NodeSpec;
use crate::units::MiB;

/// What a host is and has, as probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The host's own name, from libvirt.
    pub hostname: String,
    /// CPU threads.
    pub cpus: u32,
    /// Memory of the machine.
    pub memory: MiB,
    /// Memory that could be given out now (`MemAvailable`).
    pub memory_available: MiB,
    /// Free room where our pools are.
    pub disk_free: MiB,
    /// libvirt version, major * 1,000,000 + minor * 1,000 + release.
    pub libvirt_version: u32,
    /// QEMU version in the same form.
    pub qemu_version: u32,
    /// TSC frequency in kHz as the kernel knows it, where it is known.
    pub tsc_khz: Option<u64>,
    /// Address that other hosts reach it at.
    pub underlay: Option<IpAddr>,
    /// MTU of the device with that address.
    pub underlay_mtu: Option<u32>,
    /// Networks that the host has routes to, other than default routes and our own devices, with the device name.
    pub routes: Vec<(Ipv4Net, String)>,
    /// VXLAN identifiers in use.
    pub vnis: Vec<u32>,
    /// The kernel's boot id: hosts that share it share a machine.
    pub boot_id: Option<String>,
    /// Whether KVM is used; `None` until it was proved or ruled out.
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
    /// It is defined and does not run.
    Off,
    /// It has crashed.
    Crashed,
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
    /// What it was made of.
    pub spec: NodeSpec,
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

/// A trace of one of our clusters on a host: a pool, a directory, a bridge, a VXLAN, a firewall table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObservedObject {
    /// Kind, for people: `pool`, `directory`, `bridge`, `vxlan`, `nft table`.
    pub kind: String,
    /// Name on the host.
    pub name: String,
    /// Cluster that the mark names.
    pub cluster: ClusterName,
    /// Short id that the mark names (8 hex digits).
    pub short_id: String,
}

/// All that matters about one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedHost {
    /// The host.
    pub name: HostName,
    /// What it is and has.
    pub facts: HostFacts,
    /// Our domains, of all clusters.
    pub nodes: Vec<ObservedNode>,
    /// Other traces of ours, of all clusters.
    pub objects: Vec<ObservedObject>,
    /// Memory promised to running domains that are not ours.
    pub foreign_memory: MiB,
    /// Their vCPUs.
    pub foreign_vcpus: u32,
    /// What our clusters are promised there.
    #[serde(default)]
    pub claims: Vec<super::ObservedClaim>,
    /// Digest of these claims: who claims more says by it what he knew.
    #[serde(default)]
    pub token: String,
}
