//! The configuration of the nodes that are up: files everywhere, commands only on new nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::configured;
use super::files::hosts_file;
use super::options::UpOptions;
use super::situation::Situation;
use crate::base::event::{ActionKind, Events};
use crate::base::failure::Failure;
use crate::base::name::NodeName;
use crate::configure::{Configuration, DoneCommands};
use crate::engine::report_slow_nodes;
use crate::plan::Plan;
use crate::ssh::Nodes;
use crate::state::ClusterDir;
use crate::topology::{ConfigureAction, ConfigureStep};

/// Runs the configuration and returns the nodes where it failed; the others continue without them as long as enough
/// are left. Commands that are `done` on a node are not run there again.
pub(crate) async fn configure(
    options: &UpOptions,
    situation: &Situation,
    nodes: &Nodes,
    unfinished: &BTreeSet<NodeName>,
    done: &mut DoneCommands,
    events: &Events,
) -> anyhow::Result<Vec<Failure>> {
    let Situation {
        topology, dir, plan, ..
    } = situation;
    let new: BTreeSet<NodeName> = started(plan).chain(unfinished).cloned().collect();
    let members_changed = plan
        .actions
        .iter()
        .any(|action| !matches!(action.kind, ActionKind::Keep));
    if new.is_empty() && !members_changed {
        return Ok(Vec::new());
    }
    let mut steps = topology.configure.clone();
    let kept: Vec<NodeName> = plan
        .nodes
        .iter()
        .map(|node| node.name.clone())
        .filter(|node| !new.contains(node))
        .collect();
    if members_changed && !kept.is_empty() {
        steps.insert(0, hosts_step(plan, kept));
    }
    let renderer = crate::configure::context(plan, topology);
    let _slow = report_slow_nodes(nodes, events);
    let owner = uuid::Uuid::new_v4().simple().to_string();
    let all = plan.nodes.iter().map(|node| node.name.clone()).collect();
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
        configured::mark_configured(dir, plan, &failed)?;
    }
    Ok(configured::failures(plan, faults))
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

/// The nodes that the plan creates or starts.
pub(crate) fn started(plan: &Plan) -> impl Iterator<Item = &NodeName> {
    let starts = plan.actions.iter().filter(|action| {
        matches!(
            action.kind,
            ActionKind::Create | ActionKind::Recreate | ActionKind::Start
        )
    });
    starts.map(|action| &action.node)
}

/// Running nodes of the plan whose configuration was never completed.
pub(crate) fn unfinished(dir: &ClusterDir, plan: &Plan) -> anyhow::Result<BTreeSet<NodeName>> {
    let done = configured::configured(dir)?;
    Ok(plan
        .actions
        .iter()
        .filter(|action| action.kind == ActionKind::Keep && !done.contains(&action.node))
        .map(|action| action.node.clone())
        .collect())
}
