//! The topology after parsing: defaults applied, node sets expanded, values rendered.
//! Plain data; nothing here reads a file or makes a choice.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::min_ready::MinReady;
use super::range::AddressRange;
use crate::base::name::{ClusterName, GroupName, HostName, ImageName, NetworkName, NodeName};
use crate::base::units::MiB;
use crate::inventory::HostEndpoint;
use crate::measure::{Criterion, MetricName, MetricSpec};

/// A place in a topology file, for messages. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The file as the user named it; `<stdin>` for standard input.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A whole, valid topology.
#[derive(Clone, Debug, Serialize)]
pub struct Topology {
    /// Name of the cluster.
    pub name: ClusterName,
    /// The bare-metal hosts, in the order of the file; never empty (this machine if none is given).
    pub hosts: Vec<Host>,
    /// The images that nodes use, built-in ones (`micro`, `debian`) included where used.
    pub images: IndexMap<ImageName, Image>,
    /// The network `cluster`, which every node joins.
    pub network: Network,
    /// The further networks, in the order of the file.
    pub networks: Vec<Network>,
    /// The groups, in the order of the file.
    pub groups: Vec<Group>,
    /// All nodes, in the order of the groups, then of their index.
    pub nodes: Vec<Node>,
    /// How many of them must be up for the cluster to count as up.
    pub min_ready: MinReady,
    /// The user's variables.
    pub vars: Map<String, Value>,
    /// Configuration steps, in order.
    pub configure: Vec<ConfigureStep>,
    /// Workload steps, in order.
    pub workload: Vec<WorkloadStep>,
    /// Properties of metrics that no step defines: measured by vcluster, or series of files.
    pub metrics: Vec<MetricSpec>,
    /// What must hold after a run, in the order of the file.
    pub criteria: Vec<Criterion>,
    /// The lease that every `up` gives to the cluster; `None` if it has no end.
    pub ttl: Option<Duration>,
    /// The directory that relative paths are relative to.
    pub base_dir: PathBuf,
    /// The file as the user named it.
    pub file: String,
    /// Its text.
    #[serde(skip)]
    pub text: String,
}

/// Acceleration of the guests of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// KVM if a short boot proves that it works, else software emulation.
    #[default]
    Auto,
    /// KVM, or an error.
    Kvm,
    /// Software emulation.
    Tcg,
}

/// A bare-metal host.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// libvirt URI: `qemu:///system`, `qemu+ssh://[user@]host[:port]/system` or `qemu+unix:///system?socket=PATH`.
    pub uri: String,
    /// Maximum number of nodes on it.
    pub max_nodes: u32,
    /// vCPUs per physical CPU thread that may be promised to nodes.
    pub overcommit: f64,
    /// Memory reserved for the host itself.
    pub reserve: MiB,
    /// Address at which other hosts reach it (VXLAN); detected by probing if absent.
    pub address: Option<IpAddr>,
    /// Acceleration.
    pub accel: Accel,
    /// Private key file for SSH to the host.
    pub identity: Option<PathBuf>,
    /// The user's variables for this host.
    pub vars: Map<String, Value>,
    /// Its place in the topology; `None` for the implied local host.
    pub at: Option<Location>,
}

impl Host {
    /// How to reach it.
    pub fn endpoint(&self) -> HostEndpoint {
        HostEndpoint {
            name: self.name.clone(),
            uri: self.uri.clone(),
            identity: self.identity.clone(),
            address: self.address,
        }
    }
}

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageSource {
    /// The built-in small kernel + initramfs image.
    Micro,
    /// The built-in Debian cloud image.
    Debian,
    /// A user's disk image with cloud-init (qcow2 or raw), absolute path.
    File(PathBuf),
}

/// What is to boot the disk of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BootFirmware {
    /// UEFI if the disk can boot by nothing else, else the BIOS.
    #[default]
    Auto,
    /// The BIOS.
    Bios,
    /// UEFI, without Secure Boot.
    Uefi,
}

/// What an error of cloud-init's own modules means, where what vcluster asked of cloud-init is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CloudInitPolicy {
    /// A warning: the node is up.
    #[default]
    Tolerant,
    /// The node fails.
    Strict,
}

/// An image as the topology describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Its name.
    pub name: ImageName,
    /// Where it comes from.
    pub source: ImageSource,
    /// Debian packages added to a built-in image, sorted, without duplicates.
    pub packages: Vec<String>,
    /// Required digest of a file: 64 lower-case hex digits.
    pub sha256: Option<String>,
    /// Login user of a file image (if absent: `root` for `micro`, `debian` for `debian`).
    pub user: Option<String>,
    /// What boots its disk.
    pub firmware: BootFirmware,
    /// What an error of its cloud-init means.
    pub cloud_init: CloudInitPolicy,
    /// The user's own cloud-config for its nodes: a text that begins with `#cloud-config`.
    pub user_data: Option<String>,
    /// Its place in the topology.
    pub at: Option<Location>,
}

/// A network of a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Network {
    /// Its name: `cluster`, or as written in `networks`.
    pub name: NetworkName,
    /// Network of the addresses of nodes and of the hosts' bridges.
    pub subnet: Ipv4Net,
    /// The part of it that may be used; all of it if absent.
    pub range: Option<AddressRange>,
    /// MTU of the nodes; computed from the underlay if absent.
    pub mtu: Option<u32>,
    /// Whether nodes reach the outside through their host (masquerading).
    pub nat: bool,
    /// An existing bridge of the hosts to use instead of creating our own.
    pub bridge: Option<String>,
    /// Default gateway of the nodes; if absent, the host with `nat`, else none.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers of the nodes.
    pub dns: Vec<IpAddr>,
    /// Its place in the topology.
    pub at: Option<Location>,
}

/// How the nodes of a group are distributed over the hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Evenly: the host with the fewest nodes of this cluster first.
    Spread,
    /// Tightly: fill a host before using the next.
    #[default]
    Pack,
}

/// A group of nodes of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// Names of its nodes, in order.
    pub nodes: Vec<NodeName>,
    /// Placement policy.
    pub place: Place,
    /// Hosts on which its nodes may be placed; `None` for all of them.
    pub on: Option<Vec<HostName>>,
    /// Groups whose nodes may not share a host with nodes of this group (its own name is allowed).
    pub separate: Vec<GroupName>,
    /// The user's own cloud-config for its nodes, besides that of their image.
    pub user_data: Option<String>,
    /// The user's variables for this group.
    pub vars: Map<String, Value>,
    /// Its place in the topology.
    pub at: Option<Location>,
}

/// One node, with everything that the topology defines.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Its group.
    pub group: GroupName,
    /// Index in the group, from 0.
    pub index: u32,
    /// Its image.
    pub image: ImageName,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory.
    pub memory: MiB,
    /// Size of its disk: the overlay of a disk image, an empty disk of a micro node; `None` for the image's own or none.
    pub disk: Option<MiB>,
    /// Sizes of its further disks, which are empty.
    pub disks: Vec<MiB>,
    /// The further networks that it joins besides `cluster`, in the order of its interfaces.
    pub networks: Vec<NetworkName>,
    /// Variables of topology, group and node merged.
    pub vars: Map<String, Value>,
}

/// What a configuration step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigureAction {
    /// Render a template and write it to a file on the node.
    Template {
        /// Template text, read at validation.
        text: String,
        /// Template file as written, for messages; `None` for inline `content:`.
        source: Option<String>,
        /// Absolute path on the node; may use the template language.
        to: String,
        /// Permission bits, 0o7777 at most.
        mode: u32,
        /// `user`, `user:group` or absent for root.
        owner: Option<String>,
    },
    /// Copy a file unchanged.
    File {
        /// Its path as written, relative to the topology.
        name: String,
        /// Absolute path on the controller.
        source: PathBuf,
        /// Absolute path on the node.
        to: String,
        /// Permission bits.
        mode: u32,
        /// `user`, `user:group` or absent for root.
        owner: Option<String>,
    },
    /// Run a command with `sh`; may use the template language.
    Run {
        /// The command.
        command: String,
    },
}

/// A configuration step.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigureStep {
    /// Name for people: as given or derived from the action.
    pub name: String,
    /// Names of the nodes that it is for, in topology order.
    pub on: Vec<NodeName>,
    /// What it does.
    pub action: ConfigureAction,
    /// Time allowed per node.
    pub timeout: Duration,
    /// Maximum number of nodes at the same time, if set.
    pub fanout: Option<usize>,
    /// Its place in the topology.
    pub at: Option<Location>,
}

/// A workload step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkloadStep {
    /// Name for people and for the results directory: as given or `step1`, `step2`, ...; a safe file name.
    pub name: String,
    /// Nodes, in topology order.
    pub on: Vec<NodeName>,
    /// Command, run with `sh`; may use the template language.
    pub run: String,
    /// Time allowed per node.
    pub timeout: Duration,
    /// Whether all nodes start together, once every one of them is connected and ready to start.
    pub barrier: bool,
    /// Maximum number of nodes at the same time, if set.
    pub fanout: Option<usize>,
    /// Absolute paths (shell globs allowed) of files to fetch from every node afterwards.
    pub collect: Vec<String>,
    /// Its metrics, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricSpec>,
    /// Names of processes that are measured while it runs, as in /proc/PID/comm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watch: Vec<String>,
    /// Its place in the topology.
    #[serde(skip)]
    pub at: Option<Location>,
}

impl Topology {
    /// All networks, `cluster` first.
    pub fn all_networks(&self) -> impl Iterator<Item = &Network> {
        std::iter::once(&self.network).chain(&self.networks)
    }

    /// A metric by its exact name: as its step defines it, or as `metrics` describes it.
    pub fn metric(&self, name: &MetricName) -> Option<&MetricSpec> {
        let of_steps = self.workload.iter().flat_map(|step| &step.metrics);
        of_steps.chain(&self.metrics).find(|spec| spec.name == *name)
    }

    /// The number of nodes of each group.
    pub fn sizes(&self) -> BTreeMap<GroupName, u32> {
        self.groups
            .iter()
            .map(|group| (group.name.clone(), group.nodes.len() as u32))
            .collect()
    }

    /// The user's own cloud-configs for the nodes of a group with an image, the one that counts more last.
    pub fn user_data(&self, image: &ImageName, group: &GroupName) -> Vec<&str> {
        let of_image = self
            .images
            .get(image)
            .and_then(|image| image.user_data.as_deref());
        let mut groups = self.groups.iter();
        let of_group = groups
            .find(|known| known.name == *group)
            .and_then(|group| group.user_data.as_deref());
        of_image.into_iter().chain(of_group).collect()
    }

    /// A digest of a node's own cloud-configs; `None` without any.
    pub fn user_data_digest(&self, node: &Node) -> Option<String> {
        let parts = self.user_data(&node.image, &node.group);
        // A NUL is in none of them, so different parts never give the same text.
        (!parts.is_empty()).then(|| crate::base::digest::sha256(parts.join("\0")))
    }
}

impl Image {
    /// An image with nothing but its source.
    pub fn new(name: ImageName, source: ImageSource) -> Self {
        Self {
            name,
            source,
            packages: Vec::new(),
            sha256: None,
            user: None,
            firmware: BootFirmware::default(),
            cloud_init: CloudInitPolicy::default(),
            user_data: None,
            at: None,
        }
    }

    /// The user as which vcluster logs in.
    pub fn login_user(&self) -> &str {
        match (&self.user, &self.source) {
            (Some(user), _) => user,
            (None, ImageSource::Debian) => "debian",
            (None, _) => "root",
        }
    }
}
