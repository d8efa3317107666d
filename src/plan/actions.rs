//! What is done to each node, and why.

use std::collections::HashSet;

use super::diff;
use super::existing::{Existing, Old};
use super::given::Given;
use super::model::{Action, NodePlan, PlanInput};
use super::natural::natural;
use crate::base::event::ActionKind;
use crate::base::name::HostName;

/// Removals first, then the rest in topology order.
pub(super) fn actions(given: &Given<'_>, existing: Existing<'_>, nodes: &[NodePlan]) -> Vec<Action> {
    let mut removals = existing.unwanted;
    let reached: HashSet<&HostName> = given.sites.iter().map(|site| &site.host.name).collect();
    let mut rest = Vec::with_capacity(nodes.len());
    for node in nodes {
        let (kind, reason) = match existing.nodes.get(&node.name) {
            None => {
                let before = given.before.get(&node.name);
                let silent = before.filter(|before| !reached.contains(&before.host));
                let why = silent.map_or_else(
                    || "does not exist yet".to_owned(),
                    |before| format!("its host {} is unreachable", before.host),
                );
                (ActionKind::Create, why)
            }
            Some(Old { found, moves, .. }) => match moves {
                None => {
                    let action = diff::action(*found, node);
                    let due = given.input.known_failures.due.get(&node.name);
                    diff::with_due(*found, action, due)
                }
                Some(why) if found.site.host.name == node.host => (ActionKind::Recreate, why.clone()),
                Some(why) => {
                    removals.push((*found, format!("moves to {}: {why}", node.host)));
                    let from = &found.site.host.name;
                    (ActionKind::Create, format!("moves from {from}: {why}"))
                }
            },
        };
        rest.push(Action {
            node: node.name.clone(),
            host: node.host.clone(),
            kind,
            reason,
        });
    }
    removals.sort_by_cached_key(|(found, _)| (found.site.order, natural(found.node.mark.node.as_str())));
    let removals = removals.into_iter().map(|(found, reason)| Action {
        node: found.node.mark.node.clone(),
        host: found.site.host.name.clone(),
        kind: ActionKind::Remove,
        reason,
    });
    stranded(given.input)
        .into_iter()
        .chain(removals)
        .chain(rest)
        .collect()
}

/// Removals on hosts that are no longer in the topology.
fn stranded(input: &PlanInput<'_>) -> Vec<Action> {
    let named: HashSet<&str> = input
        .topology
        .hosts
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    let left = input
        .observed
        .iter()
        .filter(|host| !named.contains(host.name.as_str()));
    left.flat_map(|host| {
        let ours = host
            .nodes
            .iter()
            .filter(|node| node.mark.cluster_id == input.cluster_id);
        ours.map(|node| Action {
            node: node.mark.node.clone(),
            host: host.name.clone(),
            kind: ActionKind::Remove,
            reason: "its host is no longer in the topology".to_owned(),
        })
    })
    .collect()
}
