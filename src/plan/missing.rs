//! Places the nodes, and decides which ones to leave out if not all have a place and the
//! topology's `min_ready` allows it.

use std::collections::BTreeMap;

use super::candidate::Candidate;
use super::capacity::FreeCapacity;
use super::error::PlanError;
use super::existing::Existing;
use super::model::{MissingNode, PlanInput};
use super::needs::Needs;
use super::refusal;
use super::task::{Item, Rules, Task};

/// A node (by its index in the topology) with its site (by index).
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) index: usize,
    pub(super) site: usize,
}

/// A site for each node, in topology order, and the nodes without one.
///
/// Of nodes with equal needs and constraints, the last in topology order are left out; existing nodes
/// that may stay always do.
pub(super) fn place_all(
    input: &PlanInput<'_>,
    sites: &[Candidate<'_>],
    groups: Vec<Rules>,
    group_of: &[usize],
    ranks: &[usize],
    existing: &Existing<'_>,
    rooms: Vec<FreeCapacity>,
) -> Result<(Vec<Placed>, Vec<MissingNode>), PlanError> {
    let nodes = &input.topology.nodes;
    let may_miss = nodes.len() - input.topology.min_ready.of(nodes.len());
    let mut missing: BTreeMap<usize, String> = BTreeMap::new();
    let mut placed: Vec<Placed> = Vec::with_capacity(nodes.len());
    let mut new: Vec<usize> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let stays = existing
            .found
            .get(&index)
            .filter(|_| !existing.moves.contains_key(&index));
        match (input.trouble.failed.get(&node.name), stays) {
            (Some(failed), _) if failed.given_up => {
                missing.insert(index, failed.why.clone());
            }
            (_, Some(found)) => placed.push(Placed {
                index,
                site: found.site,
            }),
            (_, None) => new.push(index),
        }
    }
    let items = new.iter().map(|&index| Item {
        group: group_of[index],
        needs: Needs::of(&nodes[index]),
        avoid: avoided(input, sites, index),
        rank: ranks[index],
    });
    let items = items.collect();
    let mut task = Task { rooms, groups, items };
    let mut reasons: Vec<(Item, String)> = Vec::new();
    let mut first = None;
    let chosen = loop {
        let failure = match task.solve() {
            Ok(chosen) => break chosen,
            Err(failure) => failure,
        };
        let item = task.items[failure.item].clone();
        let index = new[failure.item];
        let rules = &task.groups[item.group];
        let (node, group) = (&nodes[index], item.group);
        let refused = refusal::refuse(input.topology, sites, node, group, rules, &item.avoid, &failure);
        if missing.len() >= may_miss {
            return Err(first.unwrap_or(refused));
        }
        // The same text for all equal nodes, so that the report folds them.
        let known = reasons.iter().find(|(known, _)| known.is_like(&item));
        let reason = if let Some((_, reason)) = known {
            reason.clone()
        } else {
            reasons.push((item.clone(), why(&refused)));
            why(&refused)
        };
        first.get_or_insert(refused);
        let last = task.items.iter().rposition(|other| other.is_like(&item));
        let last = last.unwrap_or(failure.item);
        let failed = input.trouble.failed.get(&nodes[new[last]].name);
        let reason = failed.map_or(reason.clone(), |failed| format!("{}; {reason}", failed.why));
        missing.insert(new[last], reason);
        task.items.remove(last);
        new.remove(last);
    };
    placed.extend(
        new.into_iter()
            .zip(chosen)
            .map(|(index, site)| Placed { index, site }),
    );
    placed.sort_unstable_by_key(|placed| placed.index);
    let missing = missing.into_iter().map(|(index, reason)| MissingNode {
        node: nodes[index].name.clone(),
        group: nodes[index].group.clone(),
        reason,
    });
    Ok((placed, missing.collect()))
}

/// The sites where a node is not tried, ascending.
fn avoided(input: &PlanInput<'_>, sites: &[Candidate<'_>], index: usize) -> Vec<usize> {
    let trouble = &input.trouble;
    let failed = trouble.failed.get(&input.topology.nodes[index].name);
    let bad = |site: &Candidate<'_>| {
        let host = &site.host.name;
        trouble.closed.contains(host) || failed.is_some_and(|failed| failed.on.contains(host))
    };
    (0..sites.len()).filter(|&site| bad(&sites[site])).collect()
}

fn why(refused: &PlanError) -> String {
    match refused {
        PlanError::DoesNotFit { needs, best, .. } => format!("no host has room: it needs {needs}; {best}"),
        other => other.to_string(),
    }
}
