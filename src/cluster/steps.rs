//! The configuration of the nodes that are up: files everywhere, commands only on nodes that are new or have booted.

use std::collections::BTreeSet;
use std::time::Duration;

use super::configured::{self, Configured};
use super::files::hosts_file;
use super::options::UpOptions;
use super::situation::Situation;
use crate::base::event::{ActionKind, Events};
use crate::base::failure::Failure;
use crate::base::name::NodeName;
use crate::configure::{Configuration, DoneCommands};
use crate::engine::{SeenBoots, report_slow_nodes};
use crate::plan::Plan;
use crate::ssh::Nodes;
use crate::topology::{ConfigureAction, ConfigureStep};

/// Runs the configuration and returns the nodes where it failed; the others continue without them as long as enough
/// are left. Commands that are `done` on a node are not run there again.
pub(crate) async fn configure(
    options: &UpOptions,
    situation: &Situation,
    nodes: &Nodes,
    unfinished: &BTreeSet<NodeName>,
    done: &mut DoneCommands,
    boots: &SeenBoots,
    events: &Events,
) -> anyhow::Result<Vec<Failure>> {
    let Situation {
        topology, dir, plan, ..
    } = situation;
    let new: BTreeSet<NodeName> = to_configure(plan).chain(unfinished).cloned().collect();
    let members_changed = plan.actions.iter().any(|action| changes_members(action.kind));
    if new.is_empty() && !members_changed {
        return Ok(Vec::new());
    }
    let all: BTreeSet<NodeName> = plan
        .nodes
        .iter()
        .map(|node| node.name.clone())
        .filter(|node| situation.is_in_scope(node))
        .collect();
    let mut steps = topology.configure.clone();
    let outdated: Vec<NodeName> = plan
        .actions
        .iter()
        .filter(|action| all.contains(&action.node) && has_old_hosts(action.kind, members_changed))
        .map(|action| action.node.clone())
        .collect();
    if !outdated.is_empty() {
        steps.insert(0, hosts_step(plan, outdated));
    }
    let renderer = crate::configure::context(plan, topology);
    let _slow = report_slow_nodes(nodes, events);
    let owner = uuid::Uuid::new_v4().simple().to_string();
    let may_lose = situation.may_miss().saturating_sub(plan.missing.len());
    let faults = Configuration {
        renderer: &renderer,
        nodes,
        events,
        cancel: &options.cancel,
        fanout: None,
        owner: &owner,
        may_lose,
    }
    .run(&steps, &all, &new, done)
    .await;
    if faults.len() <= may_lose {
        let failed: BTreeSet<&NodeName> = faults.iter().map(|fault| &fault.node).collect();
        configured::mark_configured(dir, plan, &new, &failed, boots)?;
    }
    Ok(configured::failures(plan, faults))
}

/// Whether nodes come or go, so that the others' `/etc/hosts` are outdated.
fn changes_members(kind: ActionKind) -> bool {
    matches!(
        kind,
        ActionKind::Create | ActionKind::Recreate | ActionKind::Remove
    )
}

/// Whether `/etc/hosts` of a node may be outdated: a node that booted without being created has that of its seed.
fn has_old_hosts(kind: ActionKind, members_changed: bool) -> bool {
    match kind {
        ActionKind::Start | ActionKind::Restart | ActionKind::Configure => true,
        ActionKind::Keep => members_changed,
        ActionKind::Create | ActionKind::Recreate | ActionKind::Remove => false,
    }
}

/// Adds the new nodes to `/etc/hosts` of the existing ones.
fn hosts_step(plan: &Plan, on: Vec<NodeName>) -> ConfigureStep {
    ConfigureStep {
        name: "hosts file".into(),
        on,
        action: ConfigureAction::Template {
            text: hosts_file(plan),
            source: None,
            to: "/etc/hosts".into(),
            mode: 0o644,
            owner: None,
        },
        timeout: Duration::from_mins(1),
        fanout: None,
        at: None,
    }
}

/// The nodes that the plan boots, or that have booted since they were configured.
pub(crate) fn to_configure(plan: &Plan) -> impl Iterator<Item = &NodeName> {
    let changed = plan
        .actions
        .iter()
        .filter(|action| action.kind.boots() || action.kind == ActionKind::Configure);
    changed.map(|action| &action.node)
}

/// Running nodes of the plan whose configuration was never completed.
pub(crate) fn unfinished(situation: &Situation) -> anyhow::Result<BTreeSet<NodeName>> {
    let done = Configured::load(&situation.dir)?.nodes;
    let kept = situation.plan.actions.iter().filter(|action| {
        action.kind == ActionKind::Keep
            && situation.is_in_scope(&action.node)
            && !done.contains_key(&action.node)
    });
    Ok(kept.map(|action| action.node.clone()).collect())
}
