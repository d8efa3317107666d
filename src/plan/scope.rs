//! A plan that is limited to some nodes: the others stay as they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::error::PlanError;
use super::model::{Due, NodePlan, Plan, PlanInput};
use super::{idle, plan};
use crate::base::event::ActionKind;
use crate::base::name::{HostName, NetworkName, NodeName};

/// The nodes that a plan is limited to, and what the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The nodes.
    pub nodes: BTreeSet<NodeName>,
    /// `Start`, `Restart` or `Recreate`.
    pub kind: ActionKind,
}

impl Scope {
    /// What is due to its nodes.
    pub fn due(&self) -> BTreeMap<NodeName, Due> {
        let due = Due {
            kind: self.kind,
            why: "asked for".to_owned(),
        };
        let nodes = self.nodes.iter();
        nodes.map(|node| (node.clone(), due.clone())).collect()
    }

    /// Whether its nodes may be created: else what is on their disks would be lost.
    pub fn creates(&self) -> bool {
        self.kind == ActionKind::Recreate
    }

    /// Makes the plan for its nodes. `idle` are unreachable hosts without any of them: they and their nodes stay in the
    /// plan as they were.
    pub fn plan(&self, mut input: PlanInput<'_>, idle: &BTreeSet<HostName>) -> Result<Plan, PlanError> {
        input.known_failures.closed.extend(idle.iter().cloned());
        if let Some(before) = &input.known_failures.before {
            let remembered = idle.iter().filter_map(|host| idle::remembered(before, host));
            input.observed.extend(remembered);
        }
        let mut plan = plan(&input)?;
        let before = input.known_failures.before.as_ref();
        if let Some(before) = before {
            idle::leave(&mut plan, before, idle);
        }
        self.limit(&mut plan, before)?;
        Ok(plan)
    }

    /// Leaves the other nodes as they are. An error if that is not possible, or if a node would have to be created that
    /// may not be. `before` is the plan that the nodes were made from.
    pub(super) fn limit(&self, plan: &mut Plan, before: Option<&Plan>) -> Result<(), PlanError> {
        let mut refused: Vec<(&NodeName, &str)> = Vec::new();
        for action in &plan.actions {
            let is_selected = self.nodes.contains(&action.node);
            let is_refused = match action.kind {
                ActionKind::Create | ActionKind::Remove => !(is_selected && self.creates()),
                // Of the others, it stays undone.
                ActionKind::Recreate => is_selected && !self.creates(),
                _ => false,
            };
            if is_refused {
                refused.push((&action.node, action.reason.as_str()));
            }
        }
        if let Some((_, why)) = refused.first() {
            return Err(PlanError::OutOfScope {
                why: (*why).to_owned(),
                nodes: crate::nodeset::fold(refused.iter().map(|(node, _)| node)),
            });
        }
        let nodes: HashMap<&NodeName, &NodePlan> = before
            .iter()
            .flat_map(|plan| &plan.nodes)
            .map(|node| (&node.name, node))
            .collect();
        let others = |node: &NodeName| !self.nodes.contains(node);
        for action in plan.actions.iter_mut().filter(|action| others(&action.node)) {
            if action.kind != ActionKind::Keep {
                action.kind = ActionKind::Keep;
                action.reason = format!("not selected ({})", action.reason);
            }
        }
        let is_made = |kind| matches!(kind, ActionKind::Create | ActionKind::Recreate);
        let made = plan.actions.iter().filter(|action| is_made(action.kind));
        let made: BTreeSet<&NodeName> = made.map(|action| &action.node).collect();
        for node in plan.nodes.iter_mut().filter(|node| !made.contains(&node.name)) {
            if let Some(before) = nodes.get(&node.name).filter(|before| before.host == node.host) {
                *node = (*before).clone();
            }
        }
        if let Some(before) = before {
            keep_networks(plan, before);
        }
        Ok(())
    }
}

/// Keeps the further networks that nodes still have because they stay as they are.
fn keep_networks(plan: &mut Plan, before: &Plan) {
    let interfaces = plan.nodes.iter().flat_map(|node| &node.spec.interfaces);
    let joined: BTreeSet<NetworkName> = interfaces.map(|interface| interface.network.clone()).collect();
    for network in &before.networks {
        if joined.contains(&network.name) && plan.network(&network.name).is_none() {
            plan.networks.push(network.clone());
        }
    }
    for node in plan.nodes.iter().filter(|node| !node.spec.interfaces.is_empty()) {
        let Some(host) = plan.hosts.iter_mut().find(|host| host.name == node.host) else {
            continue;
        };
        let mut hosts = before.hosts.iter();
        let of_host = hosts.find(|before| before.name == node.host);
        for interface in &node.spec.interfaces {
            let address = of_host.and_then(|before| before.address_in(&interface.network));
            host.networks.entry(interface.network.clone()).or_insert(address);
        }
    }
}
