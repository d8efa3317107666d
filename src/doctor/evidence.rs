//! Everything that the checks use. Plain data.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::machine::Machine;
use crate::base::name::{ClusterName, HostName, NetworkName};
use crate::inventory::{ObservedHost, ShortId};
use crate::network::{MtuFailure, OverlayFailure};
use crate::plan::{HostPlan, Plan, PlanError};
use crate::topology::{self, Topology};

/// At which step a host stopped answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Login.
    Login,
    /// The script that examines the machine.
    Examine,
    /// libvirt.
    Libvirt,
    /// Pings to the other hosts.
    Paths,
    /// Pings through the VXLAN.
    Overlay,
}

/// A step that failed on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeError {
    /// The step.
    pub stage: Stage,
    /// What went wrong, without the host's name.
    pub error: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the host refused what the user there may not do.
    pub denied: bool,
}

/// The difference between the clocks of a host and the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The difference, whichever is ahead.
    pub apart: Duration,
    /// Error bound: half the round trip.
    pub bound: Duration,
}

/// A host.
#[derive(Clone, Debug)]
pub struct HostEvidence {
    /// Its entry in the topology.
    pub config: topology::Host,
    /// Steps that failed there.
    pub failures: Vec<ProbeError>,
    /// Whether it is this machine.
    pub local: bool,
    /// What the examination of the machine reported.
    pub machine: Option<Machine>,
    /// What `up` would observe.
    pub seen: Option<ObservedHost>,
    /// Whether KVM runs guests; `None` if this could not be tested.
    pub kvm: Option<bool>,
    /// Its clock.
    pub clock: Option<Clock>,
}

impl HostEvidence {
    /// Its name.
    pub fn name(&self) -> &HostName {
        &self.config.name
    }

    /// The failure of a stage.
    pub fn failure(&self, stage: Stage) -> Option<&ProbeError> {
        self.failures.iter().find(|failure| failure.stage == stage)
    }
}

/// The machine that vcluster runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// Files that this process may open.
    pub files: u64,
    /// How far root may raise the limit.
    pub files_hard: u64,
    /// Entries of its neighbour table (IPv4).
    pub neighbours: u64,
    /// `gc_thresh2` and `gc_thresh3` of its neighbour table.
    pub thresholds: Option<(u64, u64)>,
    /// Version of the OpenSSH client; `None` if there is none.
    pub ssh: Option<String>,
}

/// A path between two hosts that does not carry a full packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where it begins.
    pub from: HostName,
    /// The MTU that was tested: the largest of the networks that both hosts may take part in.
    pub mtu: u32,
    /// Where it ends, and how it fails.
    pub failure: MtuFailure,
}

/// A pair of hosts between which the VXLAN of a network does not carry a full packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayPath {
    /// The network.
    pub network: NetworkName,
    /// Where it begins.
    pub from: HostName,
    /// Where it ends, and how it fails.
    pub failure: OverlayFailure,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// The topology.
    pub topology: &'a Topology,
    /// The plan that `up` would apply; `None` if no host could be observed.
    pub plan: Option<Result<Plan, PlanError>>,
    /// The controller.
    pub controller: Controller,
    /// The hosts, in the order of the topology.
    pub hosts: Vec<HostEvidence>,
    /// Largest MTU that was tested between the hosts, and the number of paths; `None` if there is nothing to test.
    pub tried: Option<(u32, usize)>,
    /// The paths that failed.
    pub paths: Vec<Path>,
    /// How many pairs of hosts were tried through the VXLANs; none unless the cluster is up.
    pub overlay_pairs: usize,
    /// The pairs that failed.
    pub overlays: Vec<OverlayPath>,
    /// Clusters that have a record here: name and short id.
    pub known: BTreeSet<(ClusterName, ShortId)>,
}

impl Evidence<'_> {
    /// The plan, if there is one.
    pub fn good_plan(&self) -> Option<&Plan> {
        self.plan.as_ref()?.as_ref().ok()
    }

    /// A host's part of the plan.
    pub fn part(&self, host: &HostName) -> Option<&HostPlan> {
        self.good_plan()?.hosts.iter().find(|part| part.name == *host)
    }

    /// How many nodes a host will have; without a plan, the most that it may get.
    pub fn nodes_on(&self, host: &HostEvidence) -> usize {
        match (&self.plan, self.part(host.name())) {
            (Some(Ok(_)), None) => 0,
            (_, Some(part)) => part.nodes.len(),
            _ => self.topology.nodes.len().min(host.config.max_nodes as usize),
        }
    }

    /// How many of its nodes `up` would start.
    pub fn starts_on(&self, host: &HostEvidence) -> usize {
        let Some(plan) = self.good_plan() else {
            return self.nodes_on(host);
        };
        let starts = plan
            .actions
            .iter()
            .filter(|action| action.host == *host.name() && action.kind.boots());
        starts.count()
    }

    /// Whether a network of the nodes spans hosts by VXLAN.
    pub fn spans(&self) -> bool {
        match self.good_plan() {
            Some(plan) => plan.all_networks().any(|network| network.vxlan.is_some()),
            None => self.own_bridge() && self.topology.hosts.len() > 1,
        }
    }

    /// Whether vcluster creates a bridge of its own on the hosts.
    pub fn own_bridge(&self) -> bool {
        let mut networks = self.topology.all_networks();
        networks.any(|network| network.bridge.is_none())
    }

    /// Whether the nodes of a network with a bridge of its own get access to the outside.
    pub fn nat(&self) -> bool {
        let mut networks = self.topology.all_networks();
        networks.any(|network| network.nat && network.bridge.is_none())
    }

    /// The hosts that were examined, with the result.
    pub fn machines(&self) -> impl Iterator<Item = (&HostEvidence, &Machine)> {
        self.hosts
            .iter()
            .filter_map(|host| Some((host, host.machine.as_ref()?)))
    }
}
