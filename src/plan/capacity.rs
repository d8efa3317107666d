//! What a host has for the nodes of this cluster, and what is left of it while nodes are
//! placed. Nothing is promised twice: the host's reserve, foreign domains and the nodes of
//! our other clusters are taken off first, whether they run, are off or are only claimed yet.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::claims;
use super::error::Lack;
use super::model::{Capacity, NodeSpec};
use crate::host::ObservedHost;
use crate::topology;
use crate::units::MiB;

/// What a node takes from its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Needs {
    pub(super) memory: u64,
    pub(super) vcpus: u32,
    pub(super) disk: u64,
}

impl Needs {
    pub(super) fn of(node: &topology::Node) -> Self {
        Self {
            memory: node.memory.0,
            vcpus: node.vcpus,
            disk: node.disk.map_or(0, |disk| disk.0),
        }
    }

    pub(super) fn of_spec(spec: &NodeSpec) -> Self {
        Self {
            memory: spec.memory.0,
            vcpus: spec.vcpus,
            disk: spec.disk.map_or(0, |disk| disk.0),
        }
    }
}

impl std::fmt::Display for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let memory = MiB(self.memory);
        let vcpus = vcpus(self.vcpus);
        match self.disk {
            0 => write!(f, "{memory} of memory and {vcpus}"),
            disk => write!(f, "{memory} of memory, {vcpus} and {} of disk", MiB(disk)),
        }
    }
}

pub(super) fn vcpus(count: u32) -> String {
    format!("{count} vCPU{}", if count == 1 { "" } else { "s" })
}

/// What a host has for this cluster.
pub(super) fn capacity(host: &topology::Host, observed: &ObservedHost, cluster_id: Uuid) -> Capacity {
    let facts = &observed.facts;
    // A negative or absurd ratio cannot come from a valid topology; as a number it gives no room.
    let all_vcpus = (f64::from(facts.cpus) * host.overcommit)
        .floor()
        .clamp(0.0, f64::from(u32::MAX)) as u32;
    let mut capacity = Capacity {
        nodes: host.max_nodes,
        memory: MiB(facts
            .memory
            .0
            .saturating_sub(host.reserve.0)
            .saturating_sub(observed.foreign_memory.0)),
        vcpus: all_vcpus.saturating_sub(observed.foreign_vcpus),
        disk: facts.disk_free,
    };
    for (nodes, needs) in claims::taken(observed, cluster_id) {
        take(&mut capacity, nodes, needs);
    }
    capacity
}

fn take(capacity: &mut Capacity, nodes: u32, needs: Needs) {
    capacity.nodes = capacity.nodes.saturating_sub(nodes);
    capacity.memory.0 = capacity.memory.0.saturating_sub(needs.memory);
    capacity.vcpus = capacity.vcpus.saturating_sub(needs.vcpus);
    capacity.disk.0 = capacity.disk.0.saturating_sub(needs.disk);
}

/// A host while nodes are placed on it.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// What is left.
    pub(super) left: Capacity,
    /// Nodes of this cluster on it.
    pub(super) count: u32,
    /// How many of them are of which group.
    pub(super) groups: BTreeMap<usize, u32>,
}

impl Room {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            left: capacity,
            count: 0,
            groups: BTreeMap::new(),
        }
    }

    /// What is lacking for a node, the first in the order in which people would ask.
    pub(super) fn lacks(&self, needs: Needs, conflicts: &[usize]) -> Option<Lack> {
        if conflicts.iter().any(|group| self.groups.contains_key(group)) {
            Some(Lack::Separate)
        } else if self.left.nodes == 0 {
            Some(Lack::Places)
        } else if self.left.memory.0 < needs.memory {
            Some(Lack::Memory)
        } else if self.left.vcpus < needs.vcpus {
            Some(Lack::Vcpus)
        } else if self.left.disk.0 < needs.disk {
            Some(Lack::Disk)
        } else {
            None
        }
    }

    /// Takes what a node needs. A node that exists is taken even where nothing is left.
    pub(super) fn place(&mut self, needs: Needs, group: usize) {
        take(&mut self.left, 1, needs);
        self.count += 1;
        *self.groups.entry(group).or_default() += 1;
    }

    /// Gives back what [`place`](Self::place) took. Only for a node that had fitted.
    pub(super) fn unplace(&mut self, needs: Needs, group: usize) {
        self.left.nodes += 1;
        self.left.memory.0 += needs.memory;
        self.left.vcpus += needs.vcpus;
        self.left.disk.0 += needs.disk;
        self.count -= 1;
        if let Some(count) = self.groups.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                self.groups.remove(&group);
            }
        }
    }
}
