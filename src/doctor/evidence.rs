//! All that is known when the checks begin. Plain data.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::machine::Machine;
use crate::host::ObservedHost;
use crate::name::{ClusterName, HostName};
use crate::network::MtuFailure;
use crate::plan::{ActionKind, HostPlan, Plan, PlanError};
use crate::topology::{self, Topology};

/// At which step a host stopped answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No login.
    Login,
    /// The script that examines the machine.
    Examine,
    /// libvirt.
    Libvirt,
    /// Packets to the other hosts.
    Paths,
}

/// What could not be done on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it was needed for.
    pub stage: Stage,
    /// What went wrong, without the host's name.
    pub error: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How far the clocks of a host and the controller are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The difference, whichever is ahead.
    pub apart: Duration,
    /// How wrong that may be: half the time that the question took.
    pub bound: Duration,
}

/// A host.
#[derive(Clone, Debug)]
pub struct HostEvidence {
    /// What the topology says of it.
    pub config: topology::Host,
    /// What could not be done there.
    pub troubles: Vec<Trouble>,
    /// Whether it is this machine.
    pub local: bool,
    /// What the machine said.
    pub machine: Option<Machine>,
    /// What `up` would see.
    pub seen: Option<ObservedHost>,
    /// Whether KVM runs guests; `None` where nothing was there to prove it with.
    pub kvm: Option<bool>,
    /// Its clock.
    pub clock: Option<Clock>,
}

impl HostEvidence {
    /// Its name.
    pub fn name(&self) -> &HostName {
        &self.config.name
    }

    /// What could not be done at a stage.
    pub fn trouble(&self, stage: Stage) -> Option<&Trouble> {
        self.troubles.iter().find(|trouble| trouble.stage == stage)
    }
}

/// The machine that vcluster runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// Files that this process may open.
    pub files: u64,
    /// How far root may raise that.
    pub files_hard: u64,
    /// Neighbours (IPv4) that it has.
    pub neighbours: u64,
    /// `gc_thresh2` and `gc_thresh3` of its neighbour table.
    pub thresholds: Option<(u64, u64)>,
}

/// A way between two hosts that does not carry a full packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where it begins.
    pub from: HostName,
    /// Where it ends, and how it fails.
    pub failure: MtuFailure,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// The topology.
    pub topology: &'a Topology,
    /// The plan that `up` would obey; `None` when no host could be looked at.
    pub plan: Option<Result<Plan, PlanError>>,
    /// The controller.
    pub controller: Controller,
    /// The hosts, in the order of the topology.
    pub hosts: Vec<HostEvidence>,
    /// MTU that was tried between the hosts, and how many ways; `None` where there is nothing to try.
    pub tried: Option<(u32, usize)>,
    /// The ways that failed.
    pub paths: Vec<Path>,
    /// Clusters that have a record here: name and short id.
    pub known: BTreeSet<(ClusterName, String)>,
}

impl Evidence<'_> {
    /// The plan, where there is one.
    pub fn good_plan(&self) -> Option<&Plan> {
        self.plan.as_ref()?.as_ref().ok()
    }

    /// A host's part of the plan.
    pub fn part(&self, host: &HostName) -> Option<&HostPlan> {
        self.good_plan()?.hosts.iter().find(|part| part.name == *host)
    }

    /// How many nodes a host will have; without a plan the most that it may be asked to take.
    pub fn nodes_on(&self, host: &HostEvidence) -> usize {
        match (&self.plan, self.part(host.name())) {
            (Some(Ok(_)), None) => 0,
            (_, Some(part)) => part.nodes.len(),
            _ => self.topology.nodes.len().min(host.config.max_nodes as usize),
        }
    }

    /// How many of them `up` would start.
    pub fn starts_on(&self, host: &HostEvidence) -> usize {
        let Some(plan) = self.good_plan() else {
            return self.nodes_on(host);
        };
        let starts = plan.actions.iter().filter(|action| {
            action.host == *host.name() && !matches!(action.kind, ActionKind::Keep | ActionKind::Remove)
        });
        starts.count()
    }

    /// Whether the nodes' network spans hosts by VXLAN.
    pub fn spans(&self) -> bool {
        match self.good_plan() {
            Some(plan) => plan.network.vxlan.is_some(),
            None => self.topology.network.bridge.is_none() && self.topology.hosts.len() > 1,
        }
    }

    /// Whether a bridge of ours is made on the hosts.
    pub fn own_bridge(&self) -> bool {
        self.topology.network.bridge.is_none()
    }

    /// The hosts whose machine answered, with the answer.
    pub fn machines(&self) -> impl Iterator<Item = (&HostEvidence, &Machine)> {
        self.hosts
            .iter()
            .filter_map(|host| Some((host, host.machine.as_ref()?)))
    }
}
