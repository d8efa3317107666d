//! Places the nodes, and decides which ones to leave out if not all have a place and the
//! topology's `min_ready` allows it.

use super::capacity::FreeCapacity;
use super::error::PlanError;
use super::existing::Existing;
use super::given::Given;
use super::model::MissingNode;
use super::refusal;
use super::site::Site;
use super::task::{Item, Task};
use crate::base::name::NetworkName;

/// A node with its site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    pub(super) item: &'a Item<'a>,
    pub(super) site: &'a Site<'a>,
}

/// A site for each node, and the nodes without one; both in topology order.
///
/// Of nodes with equal needs and constraints, the last in topology order are left out; existing nodes
/// that may stay always do.
pub(super) fn place_all<'a>(
    given: &'a Given<'_>,
    existing: &Existing<'a>,
    rooms: Vec<FreeCapacity>,
) -> Result<(Vec<Placed<'a>>, Vec<MissingNode>), PlanError> {
    let failed = &given.input.known_failures.failed;
    let all = given.items.len();
    let may_miss = all - given.input.topology.min_ready.of(all);
    let mut missing: Vec<(&Item<'_>, String)> = Vec::new();
    let mut placed: Vec<Placed<'a>> = Vec::with_capacity(all);
    let mut new: Vec<&Item<'_>> = Vec::new();
    for item in &given.items {
        let given_up = failed.get(&item.node.name).filter(|failed| failed.given_up);
        if let Some(failed) = given_up {
            missing.push((item, failed.why.clone()));
        } else if let Some(site) = existing.home(item) {
            placed.push(Placed { item, site });
        } else {
            new.push(item);
        }
    }
    let mut task = Task {
        rooms,
        groups: &given.rules,
        items: new,
    };
    let mut reasons: Vec<(&Item<'_>, String)> = Vec::new();
    let mut first = None;
    let chosen = loop {
        let failure = match task.solve() {
            Ok(chosen) => break chosen,
            Err(failure) => failure,
        };
        let item = task.items[failure.item];
        let refused = refusal::refuse(given, item, &failure);
        if missing.len() >= may_miss {
            return Err(first.unwrap_or(refused));
        }
        // The same text for all equal nodes, so that the report folds them.
        let known = reasons.iter().find(|(known, _)| known.is_like(item));
        let reason = if let Some((_, reason)) = known {
            reason.clone()
        } else {
            reasons.push((item, why(&refused)));
            why(&refused)
        };
        first.get_or_insert(refused);
        let last = task.items.iter().rposition(|other| other.is_like(item));
        let last = task.items.remove(last.unwrap_or(failure.item));
        let reason = match failed.get(&last.node.name) {
            Some(failed) => format!("{}; {reason}", failed.why),
            None => reason,
        };
        missing.push((last, reason));
    };
    let new = task.items.into_iter().zip(chosen);
    placed.extend(new.map(|(item, site)| Placed {
        item,
        site: &given.sites[site],
    }));
    placed.sort_unstable_by_key(|placed| placed.item.order);
    missing.sort_unstable_by_key(|(item, _)| item.order);
    let missing = missing.into_iter().map(|(item, reason)| MissingNode {
        node: item.node.name.clone(),
        group: item.node.group.clone(),
        reason,
    });
    Ok((placed, missing.collect()))
}

/// The sites that hold nodes of a network, in topology order.
pub(super) fn used<'a>(placed: &[Placed<'a>], network: &NetworkName) -> Vec<&'a Site<'a>> {
    let joining = placed.iter().filter(|placed| placed.item.joins(network));
    let mut sites: Vec<&Site<'_>> = joining.map(|placed| placed.site).collect();
    sites.sort_unstable_by_key(|site| site.order);
    sites.dedup_by_key(|site| site.order);
    sites
}

fn why(refused: &PlanError) -> String {
    match refused {
        PlanError::DoesNotFit { needs, best, .. } => format!("no host has room: it needs {needs}; {best}"),
        other => other.to_string(),
    }
}
