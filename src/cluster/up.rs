//! Raises a cluster, or updates it to match its topology. After an interrupt, what this command created is removed
//! unless it is to be kept.

use std::collections::BTreeMap;

use super::options::{PlanOptions, UpOptions};
use super::rounds;
use super::situation::{self, Situation};
use super::stages::Stages;
use super::undo::undo;
use crate::base::event::{ActionKind, Event, Events};
use crate::base::units::Moment;
use crate::engine::EngineError;
use crate::plan::Plan;
use crate::state::ClusterDir;
use crate::topology::Topology;

/// Connects to the hosts, observes them, and plans. Changes nothing.
pub async fn prepare(
    options: &PlanOptions,
    topology: Topology,
    dir: &ClusterDir,
    events: &Events,
) -> anyhow::Result<Situation> {
    tokio::select! {
        situation = situation::observe(options, topology, dir, events) => situation,
        () = options.cancel.cancelled() => Err(EngineError::Interrupted.into()),
    }
}

/// A cluster that is up.
#[derive(Debug)]
pub struct Raised {
    /// The applied plan.
    pub plan: Plan,
    /// End of its lease; `None`: never.
    pub expires: Option<Moment>,
}

/// Raises a cluster, or updates it to match its topology. Keeps the times of its stages for the runs on it.
pub async fn up(
    options: &UpOptions,
    topology: Topology,
    dir: &ClusterDir,
    events: &Events,
) -> anyhow::Result<Raised> {
    let (events, copies) = events.copied();
    let stages = Stages::begin(copies);
    let situation = prepare(&options.plan(), topology, dir, &events).await?;
    let raised = raise(situation, options, &events).await?;
    // If nothing was booted, those of the `up` before say more.
    if raised.plan.actions.iter().any(|action| action.kind.boots())
        && let Err(error) = stages.store(dir).await
    {
        events.warn(format!("failed to keep the times of the stages: {error}"));
    }
    Ok(raised)
}

/// Applies the plan in as many rounds as needed, and configures the nodes.
pub async fn raise(mut situation: Situation, options: &UpOptions, events: &Events) -> anyhow::Result<Raised> {
    events.emit(Event::Planned {
        actions: counts(&situation.plan),
        hosts: situation.taking_part().members().len(),
    });
    let raised = rounds::raise(options, &mut situation, events).await;
    match raised {
        Ok(()) => {
            for (reason, nodes) in situation.plan.missing_by_reason() {
                events.emit(Event::Missing {
                    nodes: nodes.into_iter().cloned().collect(),
                    reason: reason.to_owned(),
                });
            }
            situation.fleet.close().await;
            Ok(Raised {
                expires: situation.expires,
                plan: situation.plan,
            })
        }
        Err(error) if situation.is_claimed() => Err(give_up(error, &situation, options, events).await),
        Err(error) => Err(leave(error, &situation).await),
    }
}

/// Ends an `up` that has claimed no host, and so created nothing.
async fn leave(error: anyhow::Error, situation: &Situation) -> anyhow::Error {
    let left_nothing = !situation.has_stuck_claims() && situation.stranded().is_empty();
    situation.fleet.close().await;
    if situation.record.is_none() && left_nothing {
        // No host has objects of it, so the controller keeps nothing either.
        if let Err(error) = situation.dir.remove() {
            return error.into();
        }
    }
    error
}

/// Ends an `up` that failed or was interrupted after objects were created.
async fn give_up(
    error: anyhow::Error,
    situation: &Situation,
    options: &UpOptions,
    events: &Events,
) -> anyhow::Error {
    let interrupted = options.cancel.is_cancelled();
    let undone = if interrupted && !options.keep {
        let touched = situation.taking_part();
        undo(
            &situation.dir,
            &touched,
            &situation.plan,
            &situation.first,
            &situation.stranded(),
            events,
        )
        .await
    } else {
        Ok(())
    };
    situation.fleet.close().await;
    if !interrupted || options.keep {
        let cluster = &situation.plan.cluster;
        events.note(format!(
            "what was created is still there: `vcluster up` continues from here, `vcluster down {cluster}` removes it"
        ));
    }
    match undone {
        Err(error) => error,
        Ok(()) if interrupted => EngineError::Interrupted.into(),
        Ok(()) => error,
    }
}

fn counts(plan: &Plan) -> Vec<(ActionKind, usize)> {
    let mut counts = BTreeMap::new();
    for action in &plan.actions {
        *counts.entry(action.kind).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}
