//! What an interrupted `up` takes back: what this very command made, and nothing that was there before.

use std::collections::BTreeMap;

use crate::engine::{self, EngineError, Events, Fleet, Target};
use crate::host::ObservedHost;
use crate::name::HostName;
use crate::plan::Plan;
use crate::state::{ClusterDir, Intent, Journal};

/// Undoes what was made since `before` was seen: hosts that held nothing of the cluster are left
/// altogether, on the others only the new nodes go. Without anything from before, the state goes too.
pub(super) async fn undo(
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
    events.note("interrupted: removing what this command made");
    let target = Target {
        cluster: plan.cluster.clone(),
        short_id: Some(Plan::short_id(plan.cluster_id)),
    };
    let (now, failures) = fleet.observe(events).await;
    let mut left = engine::unknown(&failures);
    left.extend(
        lost.iter()
            .map(|(host, why)| format!("whatever is on {host} ({why})")),
    );
    // The hosts that do not answer are left for `down`; the others are not made to wait for it.
    let fleet = &fleet.only(|name| now.iter().any(|host| host.name == *name));
    let held = |name: &HostName| {
        let seen = before.iter().find(|host| host.name == *name);
        seen.is_some_and(|host| engine::found(&target, std::slice::from_ref(host)) != (0, 0))
    };
    let journal = Journal::open(dir)?;
    if !before.iter().any(|host| held(&host.name)) {
        journal.write(&[Intent::Down])?;
        left.extend(left_behind(engine::remove(fleet, &now, &target, events).await)?);
        engine::nothing_left(left)?;
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
    engine::restore(&fleet.only(held), plan, before).await?;
    Ok(engine::nothing_left(left)?)
}

/// What a removal left behind; another error stays one.
fn left_behind(removed: Result<(), EngineError>) -> Result<Vec<String>, EngineError> {
    match removed {
        Ok(()) => Ok(Vec::new()),
        Err(EngineError::LeftBehind { left }) => Ok(left),
        Err(error) => Err(error),
    }
}

/// The nodes that were not there before as they are now. A node that was recreated keeps its UUID but not
/// its mark, unless it only moved to another host.
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
