//! Applies the plan in rounds. Later rounds move the nodes of lost hosts, and nodes that did not come up, to other
//! hosts. A node that still does not come up counts as missing if `min_ready` allows it, and nothing of it is left on a
//! reachable host.

use std::collections::{BTreeSet, HashMap};

use anyhow::Context as _;

use super::claim_retry::ClaimRetry;
use super::configured;
use super::nodes::{self, nodes_of};
use super::options::UpOptions;
use super::seeds::Seeds;
use super::situation::Situation;
use super::steps;
use super::store::store;
use crate::base::event::Events;
use crate::base::failure::Failure;
use crate::base::name::{ClusterName, ImageName, NodeName};
use crate::base::text::plural;
use crate::configure::DoneCommands;
use crate::engine::{Apply, ClaimError, EngineError, Fleet, SeenBoots};
use crate::image::{self, BuildOptions, BuiltImage};
use crate::plan::PlanError;
use crate::plan::retry::failed_nodes;
use crate::state::{Intent, Journal};

/// Rounds after the first that retry failed nodes.
const FURTHER: usize = 2;
/// Maximum number of rounds; those after the retries only drop what still fails.
const ROUNDS: usize = 8;

type Images = HashMap<ImageName, BuiltImage>;

/// Raises the cluster. Afterwards the plan holds the nodes that are up, and those that are missing.
pub(crate) async fn raise(
    options: &UpOptions,
    situation: &mut Situation,
    events: &Events,
) -> anyhow::Result<()> {
    let mut images = Images::new();
    let mut done = DoneCommands::default();
    let boots = SeenBoots::default();
    let mut claiming = ClaimRetry::default();
    for number in 1..=ROUNDS {
        let lost = loop {
            match round(options, situation, &mut images, &mut done, &boots, events).await? {
                // Another command claimed something between observing and claiming.
                Err(error) if claiming.again(&error, &options.cancel).await => {
                    situation.observe_again(&options.connect, events).await;
                    situation.replan()?;
                }
                lost => break lost?,
            }
        };
        if options.cancel.is_cancelled() {
            return Err(EngineError::Interrupted.into());
        }
        if lost.is_empty() {
            return Ok(());
        }
        let back = tokio::select! {
            back = situation.observe_again(&options.connect, events) => back,
            () = options.cancel.cancelled() => return Err(EngineError::Interrupted.into()),
        };
        let is_over = number > FURTHER;
        situation
            .retry
            .record_round(&situation.plan, &lost, &back, is_over);
        let failed: Vec<NodeName> = failed_nodes(&situation.plan, &lost).into_keys().collect();
        // A restart must not end in a node that is created again: what is on its disk would be lost.
        let retries = situation.may_retry();
        if !retries || situation.retry.given_up() > situation.may_miss() || number == ROUNDS {
            return Err(too_few(situation, lost));
        }
        match situation.plan_again() {
            Ok(()) => {}
            Err(error @ PlanError::DoesNotFit { .. }) => {
                events.note(format!(
                    "no other host has capacity for the failed nodes: {error}"
                ));
                return Err(too_few(situation, lost));
            }
            Err(error) => return Err(error.into()),
        }
        report_next(situation, &failed, events);
    }
    Ok(())
}

/// Applies the plan once, then configures the cluster if every node is up. Returns what failed, or why the hosts could
/// not be claimed.
async fn round(
    options: &UpOptions,
    situation: &mut Situation,
    images: &mut Images,
    done: &mut DoneCommands,
    boots: &SeenBoots,
    events: &Events,
) -> anyhow::Result<Result<Vec<Failure>, ClaimError>> {
    let busy = steps::to_configure(&situation.plan).next().is_some();
    let unfinished = steps::unfinished(situation)?;
    if busy || !unfinished.is_empty() {
        build_images(situation, images, options, events).await?;
    }
    if options.cancel.is_cancelled() {
        return Err(EngineError::Interrupted.into());
    }
    // Also if the configuration is not reached in this round.
    for node in steps::to_configure(&situation.plan) {
        done.forget(node);
    }
    let (journal, fleet) = match claim(options, situation, events).await? {
        Ok(claimed) => claimed,
        Err(error) => return Ok(Err(error)),
    };
    let situation = &*situation;
    let Situation {
        keys, plan, topology, ..
    } = situation;
    let nodes = nodes_of(plan, keys, &fleet)?;
    let seeds = Seeds::new(plan, keys, topology);
    let seed = |node: &crate::plan::NodePlan| seeds.volume(node);
    let applied = Apply {
        plan,
        fleet: &fleet,
        observed: &situation.observed,
        images,
        seeds: &seed,
        nodes: &nodes,
        journal: &journal,
        events,
        cancel: &options.cancel,
        boot_timeout: options.boot_timeout,
        boots: options.boots,
        unfinished: &unfinished,
        seen_boots: boots,
    }
    .run()
    .await;
    let lost = match applied {
        Ok(failures) if failures.is_empty() && options.configure => {
            steps::configure(options, situation, &nodes, &unfinished, done, boots, events).await
        }
        Ok(failures) if failures.is_empty() => {
            let planned = plan.nodes.iter().map(|node| &node.name);
            let chosen = planned.filter(|node| situation.is_in_scope(node));
            configured::skip_configuration(&situation.dir, chosen).map(|()| failures)
        }
        Ok(failures) => Ok(failures),
        Err(error) => Err(error.into()),
    };
    nodes::close(&nodes, events).await;
    if let Err(error) = check_locks(&fleet, &plan.cluster).await {
        return Ok(Err(error));
    }
    lost.map(Ok)
}

/// Writes what later commands need to find the objects that are created from here on, and claims the hosts.
async fn claim(
    options: &UpOptions,
    situation: &mut Situation,
    events: &Events,
) -> anyhow::Result<Result<(Journal, Fleet), ClaimError>> {
    // The record of an existing cluster stays unchanged until its hosts are claimed.
    if situation.record.is_none() {
        store(options, situation)?;
    }
    let journal = Journal::open(&situation.dir)?;
    let fleet = situation.taking_part();
    let intents = fleet.members().iter().map(|member| Intent::Host {
        host: member.endpoint.clone(),
    });
    journal.write(&intents.collect::<Vec<_>>())?;
    situation.begin_round();
    if let Err(error) = situation.claim(events).await {
        return Ok(Err(error));
    }
    store(options, situation)?;
    Ok(Ok((journal, fleet)))
}

/// A lost connection is re-established, but after a suspension another command may have changed the cluster.
async fn check_locks(fleet: &Fleet, cluster: &ClusterName) -> Result<(), ClaimError> {
    for member in fleet.members() {
        if member.host.suspended().await {
            let cluster = cluster.clone();
            return Err(ClaimError::LocksExpired { cluster });
        }
    }
    Ok(())
}

/// Builds the images that the plan uses. Only then is the size of a built-in image's disk known, so the plan may change.
async fn build_images(
    situation: &mut Situation,
    built: &mut Images,
    options: &UpOptions,
    events: &Events,
) -> anyhow::Result<()> {
    let used = situation.plan.nodes.iter().map(|node| node.spec.image.clone());
    for name in used.collect::<BTreeSet<ImageName>>() {
        if built.contains_key(&name) {
            continue;
        }
        let image = situation
            .topology
            .images
            .get(&name)
            .with_context(|| format!("image `{name}` is not in the topology"))?;
        let how = BuildOptions {
            cancel: options.cancel.clone(),
            ..BuildOptions::default()
        };
        let image = image::ensure_built(image, &how, events).await?;
        situation.learn(&image)?;
        built.insert(name, image);
    }
    Ok(())
}

fn report_next(situation: &Situation, failed: &[NodeName], events: &Events) {
    let again: Vec<&NodeName> = failed
        .iter()
        .filter(|name| situation.plan.nodes.iter().any(|node| node.name == **name))
        .collect();
    if !again.is_empty() {
        events.note(format!("trying again: {}", crate::nodeset::fold(again)));
    }
}

/// The error if too few nodes are up.
fn too_few(situation: &Situation, failures: Vec<Failure>) -> anyhow::Error {
    let total = situation.topology.nodes.len();
    let failed = failed_nodes(&situation.plan, &failures).len();
    let mut what = if failures.iter().any(Failure::is_of_configuration) {
        format!(
            "configuration failed on {failed} of {}",
            plural(situation.plan.nodes.len(), "node")
        )
    } else if failed == 0 {
        "failed to remove nodes".to_owned()
    } else {
        format!("{failed} of {} did not come up", plural(total, "node"))
    };
    if situation.may_miss() > 0 {
        let wanted = situation.topology.min_ready.of(total);
        what.push_str(&format!(" (`min_ready` requires {wanted} of {total})"));
    }
    EngineError::Failed { what, failures }.into()
}
