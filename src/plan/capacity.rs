//! What a host has for the nodes of this cluster, and what is left of it while nodes are
//! placed. Nothing is promised twice: the host's reserve, foreign domains and the nodes of
//! our other clusters are subtracted first, whether they run, are off or are only claimed.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::claims;
use super::error::Shortage;
use super::model::Capacity;
use super::needs::Needs;
use crate::base::units::MiB;
use crate::inventory::ObservedHost;
use crate::topology;

/// What a host has for this cluster.
pub(super) fn capacity(host: &topology::Host, observed: &ObservedHost, cluster_id: Uuid) -> Capacity {
    let facts = &observed.facts;
    // A valid topology has no negative or absurd ratio; if one gets here, it yields no capacity.
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

/// What a host has left while nodes are placed on it.
#[derive(Clone, Debug)]
pub(super) struct FreeCapacity {
    /// What is left.
    pub(super) left: Capacity,
    /// Nodes of this cluster on it.
    pub(super) count: u32,
    /// The same by group.
    pub(super) groups: BTreeMap<usize, u32>,
}

impl FreeCapacity {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            left: capacity,
            count: 0,
            groups: BTreeMap::new(),
        }
    }

    /// What the host lacks for a node: the first shortage in the order in which a user would check.
    pub(super) fn lacks(&self, needs: Needs, conflicts: &[usize]) -> Option<Shortage> {
        if conflicts.iter().any(|group| self.groups.contains_key(group)) {
            Some(Shortage::Separate)
        } else if self.left.nodes == 0 {
            Some(Shortage::MaxNodes)
        } else if self.left.memory.0 < needs.memory {
            Some(Shortage::Memory)
        } else if self.left.vcpus < needs.vcpus {
            Some(Shortage::Vcpus)
        } else if self.left.disk.0 < needs.disk {
            Some(Shortage::Disk)
        } else {
            None
        }
    }

    /// Subtracts what a node needs. A node that exists is subtracted even if nothing is left.
    pub(super) fn place(&mut self, needs: Needs, group: usize) {
        take(&mut self.left, 1, needs);
        self.count += 1;
        *self.groups.entry(group).or_default() += 1;
    }

    /// Reverts [`place`](Self::place). Only for a node that fitted.
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
