//! Rollback of an interrupted `up`: removes what this command created, and nothing that existed before.

use std::collections::BTreeMap;

use crate::base::event::Events;
use crate::base::name::HostName;
use crate::engine::{self, EngineError, Fleet, Target};
use crate::inventory::ObservedHost;
use crate::plan::Plan;
use crate::state::{ClusterDir, Intent, Journal};

/// Undoes what was created since `before` was observed: on hosts that had no objects of the cluster everything is
/// removed, on the others only the new nodes. If nothing existed before, the local state is removed too.
pub(crate) async fn undo(
    dir: &ClusterDir,
    fleet: &Fleet,
    plan: &Plan,
    before: &[ObservedHost],
    lost: &BTreeMap<HostName, String>,
    events: &Events,
) -> anyhow::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    events.note("interrupted: removing what this command created");
    let target = Target::of(plan.cluster_ref());
    let (now, failures) = fleet.observe(events).await;
    let mut left = engine::unknown(&failures);
    left.extend(
        lost.iter()
            .map(|(host, why)| format!("unknown objects on {host} ({why})")),
    );
    // Unreachable hosts are left for `down`; the others are cleaned up now.
    let fleet = &fleet.only(|name| now.iter().any(|host| host.name == *name));
    let held = |name: &HostName| target.is_on(name, before);
    let journal = Journal::open(dir)?;
    if !before.iter().any(|host| held(&host.name)) {
        journal.write(&[Intent::Down])?;
        left.extend(left_behind(engine::remove(fleet, &now, &target, events).await)?);
        engine::check_leftovers(left)?;
        return Ok(dir.remove()?);
    }
    let made = made(&target, plan, before, &now);
    let intents: Vec<Intent> = made
        .iter()
        .flat_map(|host| host.nodes.iter().map(move |node| (host, node)))
        .map(|(host, node)| Intent::RemoveNode {
            node: node.mark.node.clone(),
            host: host.name.clone(),
        })
        .collect();
    journal.write(&intents)?;
    let fresh = engine::remove(&fleet.only(|name| !held(name)), &now, &target, events).await;
    left.extend(left_behind(fresh)?);
    left.extend(left_behind(
        engine::remove_nodes_only(&fleet.only(held), &made, &target, events).await,
    )?);
    engine::restore(&fleet.only(held), plan, before, events).await?;
    Ok(engine::check_leftovers(left)?)
}

/// What a removal left behind; other errors are passed through.
fn left_behind(removed: Result<(), EngineError>) -> Result<Vec<String>, EngineError> {
    match removed {
        Ok(()) => Ok(Vec::new()),
        Err(error) => error.into_left(),
    }
}

/// The nodes that did not exist in this form before. A recreated node keeps its UUID but not its mark, unless it only
/// moved to another host.
fn made(target: &Target, plan: &Plan, before: &[ObservedHost], now: &[ObservedHost]) -> Vec<ObservedHost> {
    now.iter()
        .cloned()
        .map(|mut host| {
            let old = before.iter().find(|old| old.name == host.name);
            host.nodes.retain(|node| {
                let was_there = old.is_some_and(|old| {
                    old.nodes
                        .iter()
                        .any(|old| old.uuid == node.uuid && old.mark == node.mark)
                });
                node.mark.cluster == target.cluster && node.mark.cluster_id == plan.cluster_id && !was_there
            });
            host
        })
        .collect()
}
