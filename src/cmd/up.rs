//! `vcluster up`: raises a cluster, or brings it to what its topology says now.
//!
//! `look` sees the hosts and plans, `rounds` obeys the plan and gets round what fails meanwhile, `past`
//! judges what failed, `store` keeps what later verbs need, `steps` configures the nodes.

mod look;
mod past;
mod rounds;
mod steps;
mod store;

use std::time::Duration;

use super::common::{self, HostArgs};
use super::leases::lease_words;
use super::talk::Talk;
use super::undo::undo;
use super::{Context, Format};
use crate::engine::{ClaimError, EngineError, Event, Events};
use crate::exit::ExitCode;
use crate::plan::{ActionKind, Plan};
use crate::report;
use crate::state::{ClusterDir, Lock, StateRoot};
use crate::topology::Topology;

/// Raise a cluster, or bring it to what its topology says now
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Topology file, `-` for standard input
    #[arg(value_name = "TOPOLOGY", default_value = "topology.yaml")]
    pub topology: String,
    /// Show the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// When interrupted, keep what was made so far
    #[arg(long, env = "VCLUSTER_KEEP")]
    pub keep: bool,
    /// Take over a cluster of this name that was made elsewhere; its nodes are made anew
    #[arg(long)]
    pub adopt: bool,
    /// Leave out the configuration steps
    #[arg(long)]
    pub no_configure: bool,
    /// Time for one guest to boot and let vcluster in
    #[arg(long, env = "VCLUSTER_BOOT_TIMEOUT", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub boot_timeout: Duration,
    /// Guests that boot at once on one machine [default: from its CPUs]
    #[arg(long, env = "VCLUSTER_BOOTS", value_name = "N")]
    pub boots: Option<usize>,
    /// Write the closing summary (counts, p50 / p95 / max per stage) to a file as JSON
    #[arg(long, value_name = "FILE")]
    pub summary: Option<std::path::PathBuf>,
    #[command(flatten)]
    hosts: HostArgs,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let topology = common::load_topology(&args.topology, context)?;
    let dir = StateRoot::from_env()?.cluster(&topology.name);
    // A dry run changes nothing, so it needs no lock and leaves no directory.
    let lock = if args.dry_run {
        None
    } else {
        Some(Lock::take(&dir, &topology.name, "up")?)
    };
    let talk = Talk::with(context, |options| {
        options.results.clone_from(&args.summary);
        options.summary = !args.dry_run;
    });
    talk.events.emit(Event::Started {
        verb: if args.dry_run { "plan" } else { "up" },
        cluster: topology.name.clone(),
        hosts: topology.hosts.len(),
        nodes: Some(topology.nodes.len()),
    });
    let fresh = !dir.exists();
    let result = prepare_and_apply(&args, context, topology, &dir, &talk.events).await;
    if fresh && lock.is_some() && !dir.exists() {
        // Nothing was begun, or all of it was undone: no trace stays.
        let _ = dir.remove();
        dir.remove_if_empty();
    }
    drop(lock);
    talk.finish(result).await
}

async fn prepare_and_apply(
    args: &Args,
    context: &Context,
    topology: Topology,
    dir: &ClusterDir,
    events: &Events,
) -> anyhow::Result<Option<String>> {
    let mut known = tokio::select! {
        known = look::look(args, topology, dir, events) => known?,
        () = context.cancel.cancelled() => return Err(EngineError::Interrupted.into()),
    };
    if args.dry_run {
        match context.format {
            Format::Human => report::data(&report::plan::plan(&known.plan)),
            Format::Json => report::plan::plan_json(&known.plan),
        }
        known.fleet.close().await;
        return Ok(None);
    }
    events.emit(Event::Planned {
        actions: counts(&known.plan),
        hosts: known.taking_part().members().len(),
    });
    let raised = rounds::raise(args, context, &mut known, events).await;
    if !known.is_claimed()
        && let Err(error) = raised
    {
        let stuck = error.downcast_ref::<ClaimError>();
        let left_nothing = stuck.is_none_or(ClaimError::left_nothing) && known.stranded().is_empty();
        known.fleet.close().await;
        if known.record.is_none() && left_nothing {
            // No host has anything of it, so neither do we.
            dir.remove()?;
        }
        return Err(error);
    }
    let interrupted = raised.is_err() && context.cancel.is_cancelled();
    let undone = if interrupted && !args.keep {
        let touched = known.taking_part();
        undo(
            dir,
            &touched,
            &known.plan,
            &known.first,
            &known.stranded(),
            events,
        )
        .await
    } else {
        Ok(())
    };
    let Err(error) = raised else {
        for (reason, nodes) in report::plan::missing(&known.plan) {
            events.emit(Event::Missing {
                nodes: nodes.into_iter().cloned().collect(),
                reason: reason.to_owned(),
            });
        }
        known.fleet.close().await;
        return Ok(Some(format!(
            "{}; {}",
            ready_line(&known.plan),
            lease_words(known.expires)
        )));
    };
    known.fleet.close().await;
    if !interrupted || args.keep {
        let cluster = &known.plan.cluster;
        events.note(format!(
            "what was made is still there: `vcluster up` goes on from here, `vcluster down {cluster}` removes it"
        ));
    }
    undone?;
    Err(if interrupted {
        EngineError::Interrupted.into()
    } else {
        error
    })
}

fn counts(plan: &Plan) -> Vec<(ActionKind, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for action in &plan.actions {
        *counts.entry(action.kind).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

fn ready_line(plan: &Plan) -> String {
    let hosts = plan.hosts.iter().filter(|host| !host.nodes.is_empty()).count();
    let hosts = report::plural(hosts, "host");
    let (up, cluster) = (plan.nodes.len(), &plan.cluster);
    if plan.missing.is_empty() {
        return format!(
            "cluster `{cluster}` is up: {} on {hosts}",
            report::plural(up, "node")
        );
    }
    format!(
        "cluster `{cluster}` is up: {up} of {} on {hosts}, without {}",
        report::plural(up + plan.missing.len(), "node"),
        crate::nodeset::fold(plan.missing.iter().map(|missing| &missing.node))
    )
}
