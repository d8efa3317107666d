//! What exists already: which node stays on its host, which must move and why, and which
//! domains are no longer wanted.

use std::collections::HashMap;

use super::candidate::Candidate;
use super::capacity::FreeCapacity;
use super::model::{MissingNode, NodePlan, PlanInput};
use super::needs::Needs;
use super::task::Rules;
use crate::inventory::{DomainState, ObservedNode};
use crate::topology::Topology;

/// A domain of this cluster, and the site (by index) that it is on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) site: usize,
    pub(super) node: &'a ObservedNode,
}

/// The cluster's domains, paired with its nodes.
#[derive(Debug, Default)]
pub(super) struct Existing<'a> {
    /// Domain of each node of the topology, by the node's index.
    pub(super) found: HashMap<usize, Found<'a>>,
    /// Why an existing node cannot stay where it is.
    pub(super) moves: HashMap<usize, String>,
    /// Domains to remove, with the reason.
    pub(super) unwanted: Vec<(Found<'a>, String)>,
}

/// Pairs the cluster's domains with the nodes of the topology.
pub(super) fn pair<'a>(
    topology: &Topology,
    cluster_id: uuid::Uuid,
    sites: &[Candidate<'a>],
    groups: &[Rules],
    group_of: &[usize],
    before: &HashMap<&str, &NodePlan>,
) -> Existing<'a> {
    let wanted: HashMap<&str, usize> = topology
        .nodes
        .iter()
        .enumerate()
        .map(|(i, node)| (node.name.as_str(), i))
        .collect();
    let mut existing = Existing::default();
    for (site, node) in sites
        .iter()
        .enumerate()
        .flat_map(|(i, site)| site.observed.nodes.iter().map(move |node| (i, node)))
    {
        if node.mark.cluster_id != cluster_id {
            continue;
        }
        let new = Found { site, node };
        let Some(&index) = wanted.get(node.mark.node.as_str()) else {
            existing
                .unwanted
                .push((new, "no longer in the topology".to_owned()));
            continue;
        };
        let Some(old) = existing.found.insert(index, new) else {
            continue;
        };
        // A leftover of an interrupted move, or on a host that is back after the node was recreated
        // elsewhere with the same addresses. Keep the one that may stay; of those, the one in the
        // last plan; of those, the one that runs.
        let last = before.get(node.mark.node.as_str()).map(|node| &node.host);
        let worth = |found: Found<'_>| {
            let allowed = groups[group_of[index]].allowed[found.site];
            let true_one = last == Some(&sites[found.site].host.name);
            (allowed, true_one, found.node.state == DomainState::Running)
        };
        let (kept, spare) = if worth(new) > worth(old) {
            (new, old)
        } else {
            (old, new)
        };
        existing.found.insert(index, kept);
        let host = &sites[kept.site].host.name;
        existing
            .unwanted
            .push((spare, format!("a leftover domain: the node is on {host}")));
    }
    existing
}

impl Existing<'_> {
    /// Removes the existing domains of nodes that the plan leaves out.
    pub(super) fn remove_missing(&mut self, topology: &Topology, missing: &[MissingNode]) {
        let missing: HashMap<&str, &str> = missing
            .iter()
            .map(|missing| (missing.node.as_str(), missing.reason.as_str()))
            .collect();
        for (index, node) in topology.nodes.iter().enumerate() {
            if let Some(reason) = missing.get(node.name.as_str())
                && let Some(&found) = self.found.get(&index)
            {
                self.unwanted.push((found, (*reason).to_owned()));
            }
        }
    }

    /// Reserves capacity for the nodes that stay, and records why the others must move.
    ///
    /// Nodes whose needs did not change stay even if the host is above its current limits. The
    /// rest stay if the host has capacity for what they need now.
    pub(super) fn settle(
        &mut self,
        input: &PlanInput<'_>,
        sites: &[Candidate<'_>],
        groups: &[Rules],
        group_of: &[usize],
        ranks: &[usize],
        rooms: &mut [FreeCapacity],
    ) {
        let (topology, trouble) = (input.topology, &input.trouble);
        let mut order: Vec<usize> = self.found.keys().copied().collect();
        order.sort_unstable_by_key(|&index| ranks[index]);
        let mut changed = Vec::new();
        for index in order {
            let Found { site, node } = self.found[&index];
            let group = group_of[index];
            let rules = &groups[group];
            let host = &sites[site].host.name;
            let shared = rules
                .conflicts
                .iter()
                .find(|group| rooms[site].groups.contains_key(group));
            if let Some(failed) = trouble.failed.get(&topology.nodes[index].name) {
                self.moves.insert(index, failed.why.clone());
            } else if !rules.allowed[site] {
                let why = format!("`on` of {} does not name {host}", topology.groups[group].name);
                self.moves.insert(index, why);
            } else if let Some(&other) = shared {
                let why = format!(
                    "{host} holds nodes of {}, which it must be separate from",
                    topology.groups[other].name
                );
                self.moves.insert(index, why);
            } else if Needs::of(&topology.nodes[index]) == Needs::of_spec(&node.mark.spec) {
                rooms[site].place(Needs::of_spec(&node.mark.spec), group);
            } else {
                changed.push(index);
            }
        }
        for index in changed {
            let Found { site, node } = self.found[&index];
            let group = group_of[index];
            let (old, new) = (Needs::of_spec(&node.mark.spec), Needs::of(&topology.nodes[index]));
            let shrinks = new.memory <= old.memory && new.vcpus <= old.vcpus && new.disk <= old.disk;
            let lacks = rooms[site].lacks(new, &groups[group].conflicts);
            if lacks.is_none() || (shrinks && lacks != Some(super::error::Shortage::Separate)) {
                rooms[site].place(new, group);
            } else {
                self.moves.insert(
                    index,
                    format!("it needs {new}, which {} does not have", sites[site].host.name),
                );
            }
        }
    }
}
