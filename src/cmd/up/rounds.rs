//! Obeys the plan, and gets round what fails meanwhile: in further rounds the nodes of a host that was
//! lost, and nodes that did not come up, are made on other hosts. What does not come up even so is
//! missing if `min_ready` allows for it, and then nothing of it is left on a host that answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context as _;

use super::Args;
use super::look::Known;
use super::past::{Lost, failed_nodes};
use super::steps;
use super::store::{store, users};
use crate::cmd::Context;
use crate::cmd::cluster::nodes_of;
use crate::cmd::leases::Turns;
use crate::cmd::seeds::Seeds;
use crate::engine::{Apply, ClaimError, EngineError, Events};
use crate::image::{self, BuildOptions, BuiltImage};
use crate::name::{ImageName, NodeName};
use crate::plan::{ActionKind, PlanError};
use crate::state::{HostRecord, Intent, Journal};

/// Rounds after the first in which what failed is tried again.
const FURTHER: usize = 2;
/// Rounds in all; those behind the further ones only do without what still fails.
const ROUNDS: usize = 8;

type Images = HashMap<ImageName, BuiltImage>;

/// Raises the cluster. Afterwards the plan holds the nodes that are up, and those that are missing.
pub(super) async fn raise(
    args: &Args,
    context: &Context,
    known: &mut Known,
    events: &Events,
) -> anyhow::Result<()> {
    let mut images = Images::new();
    let mut turns = Turns::default();
    for number in 1..=ROUNDS {
        let lost = loop {
            match round(args, context, known, &mut images, events).await {
                // Another cluster claimed something between our look and our claim.
                Err(error) if turns.again(&error, &context.cancel).await => {
                    known.look_again(&args.hosts.options(), events).await;
                    known.replan()?;
                }
                lost => break lost?,
            }
        };
        if context.cancel.is_cancelled() {
            return Err(EngineError::Interrupted.into());
        }
        if lost.failures.is_empty() {
            return Ok(());
        }
        let options = args.hosts.options();
        let back = tokio::select! {
            back = known.look_again(&options, events) => back,
            () = context.cancel.cancelled() => return Err(EngineError::Interrupted.into()),
        };
        let is_over = number > FURTHER;
        known.past.judge(&known.plan, &lost, &back, is_over);
        let failed = failed_nodes(&known.plan, &lost.failures);
        if known.past.given_up() > known.may_miss() || number == ROUNDS {
            return Err(too_few(known, lost));
        }
        match known.plan_again() {
            Ok(()) => {}
            Err(error @ PlanError::DoesNotFit { .. }) => {
                events.note(format!("no other host has room for what failed: {error}"));
                return Err(too_few(known, lost));
            }
            Err(error) => return Err(error.into()),
        }
        say_what_next(known, &failed, events);
    }
    Ok(())
}

/// One obedience to the plan, and the configuration once all of its nodes are up.
async fn round(
    args: &Args,
    context: &Context,
    known: &mut Known,
    images: &mut Images,
    events: &Events,
) -> anyhow::Result<Lost> {
    let busy = known
        .plan
        .actions
        .iter()
        .any(|action| !matches!(action.kind, ActionKind::Keep | ActionKind::Remove));
    let unfinished = steps::unfinished(&known.dir, &known.plan)?;
    if busy || !unfinished.is_empty() {
        build_images(known, images, context, events).await?;
    }
    if context.cancel.is_cancelled() {
        return Err(EngineError::Interrupted.into());
    }
    // From here on things are made: what later commands need to find them is written first. What is known of a
    // cluster that is there already stays as it is until its hosts are claimed.
    if known.record.is_none() {
        store(args, known)?;
    }
    let journal = Journal::open(&known.dir)?;
    let fleet = known.taking_part();
    let intents = fleet.members().iter().map(|member| Intent::Host {
        host: HostRecord::from(&member.config),
    });
    journal.write(&intents.collect::<Vec<_>>())?;
    known.begin_round();
    known.claim().await?;
    store(args, known)?;
    let known = &*known;
    let Known {
        topology, keys, plan, ..
    } = known;
    let nodes = nodes_of(plan, &users(topology), keys, &fleet)?;
    let seeds = Seeds::new(plan, topology, keys);
    let seed = |node: &crate::plan::NodePlan| seeds.volume(node);
    let applied = Apply {
        plan,
        fleet: &fleet,
        observed: &known.observed,
        images,
        seeds: &seed,
        nodes: &nodes,
        journal: &journal,
        events,
        cancel: &context.cancel,
        boot_timeout: args.boot_timeout,
        boots: args.boots,
        unfinished: &unfinished,
    }
    .run()
    .await;
    let lost = match applied {
        Ok(failures) if failures.is_empty() && !args.no_configure => {
            let failures = steps::configure(context, known, &nodes, &unfinished, events).await;
            failures.map(|failures| Lost {
                failures,
                configuring: true,
            })
        }
        Ok(failures) => Ok(Lost {
            failures,
            configuring: false,
        }),
        Err(error) => Err(error.into()),
    };
    nodes.close().await;
    // A connection that was lost is made anew; after standing still nothing is known of who else was at work.
    for member in fleet.members() {
        if member.host.overslept().await {
            let cluster = plan.cluster.clone();
            return Err(ClaimError::Overslept { cluster }.into());
        }
    }
    lost
}

async fn build_images(
    known: &Known,
    built: &mut Images,
    context: &Context,
    events: &Events,
) -> anyhow::Result<()> {
    let used: BTreeSet<&ImageName> = known.plan.nodes.iter().map(|node| &node.spec.image).collect();
    for name in used {
        if built.contains_key(name) {
            continue;
        }
        let image = known
            .topology
            .images
            .get(name)
            .with_context(|| format!("image `{name}` is not in the topology"))?;
        let options = BuildOptions {
            cancel: context.cancel.clone(),
            ..BuildOptions::default()
        };
        let image = image::ensure_built(image, &options, events).await?;
        built.insert(name.clone(), image);
    }
    Ok(())
}

fn say_what_next(known: &Known, failed: &BTreeMap<NodeName, String>, events: &Events) {
    let again: Vec<&NodeName> = failed
        .keys()
        .filter(|name| known.plan.nodes.iter().any(|node| node.name == **name))
        .collect();
    if !again.is_empty() {
        events.note(format!("tried again: {}", crate::nodeset::fold(again)));
    }
}

/// The error of a cluster that has too few nodes.
fn too_few(known: &Known, lost: Lost) -> anyhow::Error {
    let total = known.topology.nodes.len();
    let failed = failed_nodes(&known.plan, &lost.failures).len();
    let mut what = if lost.configuring {
        format!(
            "configuration failed on {failed} of {} nodes",
            known.plan.nodes.len()
        )
    } else if failed == 0 {
        "failed to remove nodes".to_owned()
    } else {
        format!("{failed} of {total} nodes did not come up")
    };
    if known.may_miss() > 0 {
        let wanted = known.topology.min_ready.of(total);
        what.push_str(&format!(" (`min_ready` wants {wanted} of {total})"));
    }
    EngineError::Failed {
        what,
        failures: lost.failures,
    }
    .into()
}
