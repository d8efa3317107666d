//! What the planner starts from: its input, with every name in it resolved once.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::model::{NodePlan, PlanInput};
use super::natural;
use super::needs::Needs;
use super::site::{Site, sites};
use super::task::{Item, Rules};
use crate::base::name::{HostName, NodeName};
use crate::topology::{Group, Topology};

/// What every choice is made from.
#[derive(Debug)]
pub(super) struct Given<'a> {
    pub(super) input: &'a PlanInput<'a>,
    /// The hosts that were reached, in the natural order of their names.
    pub(super) sites: Vec<Site<'a>>,
    /// The constraints of the groups, in the order of the topology.
    pub(super) rules: Vec<Rules>,
    /// The nodes, in the order of the topology.
    pub(super) items: Vec<Item<'a>>,
    /// The nodes of the previous plan.
    pub(super) before: HashMap<&'a NodeName, &'a NodePlan>,
}

impl<'a> Given<'a> {
    pub(super) fn new(input: &'a PlanInput<'_>) -> Self {
        let sites = sites(input);
        Self {
            input,
            rules: rules(input.topology, &sites),
            items: items(input, &sites),
            sites,
            before: before(input),
        }
    }

    /// A group of the topology.
    pub(super) fn group(&self, index: usize) -> &'a Group {
        &self.input.topology.groups[index]
    }
}

/// The index of each group, by name.
fn group_indexes(topology: &Topology) -> HashMap<&str, usize> {
    let groups = topology.groups.iter().enumerate();
    groups.map(|(i, group)| (group.name.as_str(), i)).collect()
}

/// The constraints of each group, resolved to the sites.
fn rules(topology: &Topology, sites: &[Site<'_>]) -> Vec<Rules> {
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
            let may = |site: &Site<'_>| on.as_ref().is_none_or(|on| on.contains(site.host.name.as_str()));
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

/// The nodes of the topology. Each avoids the hosts that are closed and those where it failed.
fn items<'a>(input: &'a PlanInput<'_>, sites: &[Site<'_>]) -> Vec<Item<'a>> {
    let (topology, known_failures) = (input.topology, &input.known_failures);
    let groups = group_indexes(topology);
    let ranks = natural::ranks(topology.nodes.iter().map(|node| node.name.as_str()));
    let closed: Vec<usize> = among(sites, &known_failures.closed).collect();
    topology
        .nodes
        .iter()
        .zip(ranks)
        .enumerate()
        .map(|(order, (node, rank))| {
            let mut avoid = closed.clone();
            if let Some(failed) = known_failures.failed.get(&node.name) {
                avoid.extend(among(sites, &failed.on));
                avoid.sort_unstable();
                avoid.dedup();
            }
            Item {
                node,
                order,
                group: groups.get(node.group.as_str()).copied().unwrap_or_default(),
                needs: Needs::of(node, input.images.get(&node.image)),
                avoid,
                rank,
            }
        })
        .collect()
}

/// The sites that are among some hosts, by index.
fn among(sites: &[Site<'_>], hosts: &BTreeSet<HostName>) -> impl Iterator<Item = usize> {
    let those = sites.iter().filter(move |site| hosts.contains(&site.host.name));
    those.map(|site| site.index)
}

/// The nodes of the previous plan, by name.
fn before<'a>(input: &'a PlanInput<'_>) -> HashMap<&'a NodeName, &'a NodePlan> {
    let plan = input.known_failures.before.as_ref();
    plan.filter(|plan| plan.cluster_id == input.cluster_id)
        .into_iter()
        .flat_map(|plan| &plan.nodes)
        .map(|node| (&node.name, node))
        .collect()
}
