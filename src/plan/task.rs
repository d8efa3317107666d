//! The placement problem: nodes, the rules of their groups, and what the hosts have left.

use super::capacity::FreeCapacity;
use super::needs::Needs;
use crate::base::name::NetworkName;
use crate::topology::{Node, Place};

/// A node of the topology, as something that needs a host.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    pub(super) node: &'a Node,
    /// Its position in the topology.
    pub(super) order: usize,
    /// Its group, by index.
    pub(super) group: usize,
    pub(super) needs: Needs,
    /// Hosts that it must avoid although its group may use them, ascending.
    pub(super) avoid: Vec<usize>,
    /// Position of its name in the natural order of all names.
    pub(super) rank: usize,
}

impl Item<'_> {
    /// Whether the two are interchangeable.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.group == other.group && self.needs == other.needs && self.avoid == other.avoid
    }

    /// Whether the node joins a network.
    pub(super) fn joins(&self, network: &NetworkName) -> bool {
        network.is_cluster() || self.node.networks.contains(network)
    }

    pub(super) fn may_be_on(&self, host: usize, rules: &Rules) -> bool {
        rules.allowed[host] && self.avoid.binary_search(&host).is_err()
    }
}

/// The constraints of a group.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) place: Place,
    /// Whether its nodes may be on a host, by host.
    pub(super) allowed: Vec<bool>,
    /// Groups that may not share a host with it, both directions.
    pub(super) conflicts: Vec<usize>,
    /// Position of its name in the natural order of the groups.
    pub(super) rank: usize,
}

/// The whole task. Hosts are in the natural order of their names.
#[derive(Clone, Debug)]
pub(super) struct Task<'a> {
    pub(super) rooms: Vec<FreeCapacity>,
    pub(super) groups: &'a [Rules],
    pub(super) items: Vec<&'a Item<'a>>,
}

/// A placement that did not work out.
#[derive(Clone, Debug)]
pub(super) struct PlacementFailure {
    /// The first item without a host.
    pub(super) item: usize,
    /// How many more have none.
    pub(super) more: usize,
    /// What the hosts had left at that point.
    pub(super) rooms: Vec<FreeCapacity>,
}
