//! The hosts that nodes can be placed on, and the constraints of the groups.

use std::collections::{HashMap, HashSet};

use super::model::{Capacity, PlanInput};
use super::task::Rules;
use super::{capacity, natural};
use crate::inventory::ObservedHost;
use crate::topology::{self, Topology};

/// A host of the topology that was reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) host: &'a topology::Host,
    /// Its position in the topology.
    pub(super) order: usize,
    pub(super) observed: &'a ObservedHost,
    pub(super) capacity: Capacity,
}

impl Candidate<'_> {
    pub(super) fn vnis(&self) -> impl Iterator<Item = u32> {
        self.observed.facts.vnis.iter().copied()
    }
}

/// The hosts that were reached, in the natural order of their names.
pub(super) fn candidates<'a>(input: &'a PlanInput<'_>) -> Vec<Candidate<'a>> {
    let observed: HashMap<&str, &ObservedHost> = input
        .observed
        .iter()
        .rev()
        .map(|host| (host.name.as_str(), host))
        .collect();
    let mut sites: Vec<Candidate<'a>> = input
        .topology
        .hosts
        .iter()
        .enumerate()
        .filter_map(|(order, host)| {
            let observed = *observed.get(host.name.as_str())?;
            let capacity = capacity::capacity(host, observed, input.cluster_id);
            Some(Candidate {
                host,
                order,
                observed,
                capacity,
            })
        })
        .collect();
    sites.sort_by_cached_key(|site| natural::natural(site.host.name.as_str()));
    sites
}

/// The index of each group in the topology, by name.
pub(super) fn group_indexes(topology: &Topology) -> HashMap<&str, usize> {
    let groups = topology.groups.iter().enumerate();
    groups.map(|(i, group)| (group.name.as_str(), i)).collect()
}

/// The constraints of each group, resolved to the sites.
pub(super) fn rules(topology: &Topology, sites: &[Candidate<'_>]) -> Vec<Rules> {
    let names = group_indexes(topology);
    let mut conflicts: Vec<HashSet<usize>> = vec![HashSet::new(); topology.groups.len()];
    for (index, group) in topology.groups.iter().enumerate() {
        for other in group.separate.iter().filter_map(|name| names.get(name.as_str())) {
            conflicts[index].insert(*other);
            conflicts[*other].insert(index);
        }
    }
    let ranks = natural::ranks(topology.groups.iter().map(|group| group.name.as_str()));
    topology
        .groups
        .iter()
        .zip(conflicts)
        .zip(ranks)
        .map(|((group, conflicts), rank)| {
            let on: Option<HashSet<&str>> =
                group.on.as_ref().map(|on| on.iter().map(AsRef::as_ref).collect());
            let may =
                |site: &Candidate<'_>| on.as_ref().is_none_or(|on| on.contains(site.host.name.as_str()));
            let mut conflicts: Vec<usize> = conflicts.into_iter().collect();
            conflicts.sort_unstable();
            Rules {
                place: group.place,
                allowed: sites.iter().map(may).collect(),
                conflicts,
                rank,
            }
        })
        .collect()
}
