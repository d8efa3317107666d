//! What exists already: which node stays on its host, which must move and why, and which
//! domains are no longer wanted.

use std::collections::HashMap;

use super::capacity::FreeCapacity;
use super::error::Shortage;
use super::given::Given;
use super::model::MissingNode;
use super::needs::Needs;
use super::site::Site;
use super::task::Item;
use crate::base::name::NodeName;
use crate::inventory::{DomainState, ObservedNode, domain_name};

/// A domain of this cluster, and the site that it is on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) node: &'a ObservedNode,
}

/// A node of the topology that has a domain.
#[derive(Debug)]
pub(super) struct Old<'a> {
    item: &'a Item<'a>,
    pub(super) found: Found<'a>,
    /// Why it cannot stay where it is.
    pub(super) moves: Option<String>,
}

/// The cluster's domains, paired with its nodes.
#[derive(Debug, Default)]
pub(super) struct Existing<'a> {
    /// The nodes of the topology that have a domain.
    pub(super) nodes: HashMap<&'a NodeName, Old<'a>>,
    /// Domains to remove, with the reason.
    pub(super) unwanted: Vec<(Found<'a>, String)>,
}

/// Pairs the cluster's domains with the nodes of the topology.
pub(super) fn pair<'a>(given: &'a Given<'_>) -> Existing<'a> {
    let wanted: HashMap<&NodeName, &Item<'_>> =
        given.items.iter().map(|item| (&item.node.name, item)).collect();
    let mut existing = Existing::default();
    for new in domains(given) {
        let Some(&item) = wanted.get(&new.node.mark.node) else {
            existing
                .unwanted
                .push((new, "no longer in the topology".to_owned()));
            continue;
        };
        let found = match existing.nodes.get(&item.node.name) {
            None => new,
            // A leftover of an interrupted move, or on a host that is back after the node was recreated
            // elsewhere with the same addresses.
            Some(old) => {
                let (kept, spare) = if worth(given, item, new) > worth(given, item, old.found) {
                    (new, old.found)
                } else {
                    (old.found, new)
                };
                let host = &kept.site.host.name;
                existing
                    .unwanted
                    .push((spare, format!("a leftover domain: the node is on {host}")));
                kept
            }
        };
        let old = Old {
            item,
            found,
            moves: None,
        };
        existing.nodes.insert(&item.node.name, old);
    }
    existing
}

/// The domains of this cluster.
fn domains<'a>(given: &'a Given<'_>) -> impl Iterator<Item = Found<'a>> {
    let id = given.input.cluster_id;
    given.sites.iter().flat_map(move |site| {
        let nodes = site.observed.nodes.iter();
        nodes
            .filter(move |node| node.mark.cluster_id == id)
            .map(move |node| Found { site, node })
    })
}

/// Of several domains of a node, the one worth most is kept: the one that may stay; of those, the one in
/// the last plan; of those, the one that runs.
fn worth(given: &Given<'_>, item: &Item<'_>, found: Found<'_>) -> (bool, bool, bool) {
    let allowed = given.rules[item.group].allowed[found.site.index];
    let last = given.before.get(&item.node.name).map(|node| &node.host);
    let true_one = last == Some(&found.site.host.name);
    (allowed, true_one, found.node.state == DomainState::Running)
}

impl<'a> Existing<'a> {
    /// Where a node stays, if it does.
    pub(super) fn home(&self, item: &Item<'_>) -> Option<&'a Site<'a>> {
        let old = self.nodes.get(&item.node.name)?;
        old.moves.is_none().then_some(old.found.site)
    }

    /// Removes the existing domains of nodes that the plan leaves out.
    pub(super) fn remove_missing(&mut self, missing: &[MissingNode]) {
        for missing in missing {
            if let Some(old) = self.nodes.get(&missing.node) {
                self.unwanted.push((old.found, missing.reason.clone()));
            }
        }
    }

    /// Reserves capacity for the nodes that stay, and records why the others must move. Returns what the
    /// sites have left.
    ///
    /// Nodes whose needs did not change stay even if the host is above its current limits. The
    /// rest stay if the host has capacity for what they need now.
    pub(super) fn settle(&mut self, given: &Given<'_>) -> Vec<FreeCapacity> {
        let sites = given.sites.iter();
        let mut rooms: Vec<FreeCapacity> = sites.map(|site| FreeCapacity::new(site.capacity)).collect();
        let mut nodes: Vec<&mut Old<'a>> = self.nodes.values_mut().collect();
        nodes.sort_unstable_by_key(|old| old.item.rank);
        let mut changed = Vec::new();
        for old in nodes {
            let (item, room) = (old.item, &mut rooms[old.found.site.index]);
            old.moves = renamed(given, old.found.node).or_else(|| refused(given, item, old.found.site, room));
            if old.moves.is_some() {
                continue;
            }
            if item.needs == Needs::of_existing(&old.found.node.mark.spec, &given.input.images) {
                room.place(item.needs, item.group);
            } else {
                changed.push(old);
            }
        }
        for old in changed {
            let Found { site, node } = old.found;
            let room = &mut rooms[site.index];
            let had = Needs::of_existing(&node.mark.spec, &given.input.images);
            let needs = old.item.needs;
            let shrinks = needs.memory <= had.memory && needs.vcpus <= had.vcpus && needs.disk <= had.disk;
            let lacks = room.lacks(needs, &given.rules[old.item.group].conflicts);
            if lacks.is_none() || (shrinks && lacks != Some(Shortage::Separate)) {
                room.place(needs, old.item.group);
            } else {
                let why = format!("it needs {needs}, which {} does not have", site.host.name);
                old.moves = Some(why);
            }
        }
        rooms
    }
}

/// Why a domain cannot be used as it is: it was renamed, and everything finds a node by the name of its domain.
fn renamed(given: &Given<'_>, node: &ObservedNode) -> Option<String> {
    let name = domain_name(&given.input.topology.name, &node.mark.node);
    (node.domain != name).then(|| format!("its domain was renamed to `{}`", node.domain))
}

/// Why a node may not stay on its site, whatever it needs.
fn refused(given: &Given<'_>, item: &Item<'_>, site: &Site<'_>, room: &FreeCapacity) -> Option<String> {
    let rules = &given.rules[item.group];
    let host = &site.host.name;
    if let Some(failed) = given.input.known_failures.failed.get(&item.node.name) {
        return Some(failed.why.clone());
    }
    if !rules.allowed[site.index] {
        let group = &given.group(item.group).name;
        return Some(format!("`on` of {group} does not name {host}"));
    }
    let mut conflicts = rules.conflicts.iter();
    let other = conflicts.find(|group| room.groups.contains_key(group))?;
    Some(format!(
        "{host} holds nodes of {}, which it must be separate from",
        given.group(*other).name
    ))
}
