//! `vcluster up`: raises a cluster, or brings it to what its topology says now.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use indexmap::IndexMap;
use uuid::Uuid;

use super::cluster::nodes_of;
use super::common::{self, HostArgs};
use super::configured;
use super::seeds::Seeds;
use super::talk::Talk;
use super::undo::undo;
use super::{Context, Format};
use crate::configure::Configuration;
use crate::engine::{self, Apply, EngineError, Events, Fleet};
use crate::exit::ExitCode;
use crate::host::ObservedHost;
use crate::image::{self, BuildOptions, BuiltImage};
use crate::name::{ImageName, NodeName};
use crate::plan::{ActionKind, Plan, PlanError, PlanInput, plan};
use crate::report;
use crate::state::{
    ClusterDir, ClusterKeys, ClusterRecord, HostRecord, Journal, Lock, RECORD_VERSION, StateRoot,
};
use crate::topology::{ConfigureAction, ConfigureStep, Topology};

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

/// What is known before anything is changed.
struct Prepared {
    topology: Topology,
    dir: ClusterDir,
    record: Option<ClusterRecord>,
    keys: ClusterKeys,
    fleet: Fleet,
    observed: Vec<ObservedHost>,
    plan: Plan,
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
    talk.events.emit(engine::Event::Started {
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
    let prepared = tokio::select! {
        prepared = prepare(args, topology, dir, events) => prepared?,
        () = context.cancel.cancelled() => return Err(EngineError::Interrupted.into()),
    };
    if args.dry_run {
        match context.format {
            Format::Human => report::data(&report::plan::plan(&prepared.plan)),
            Format::Json => report::plan::plan_json(&prepared.plan),
        }
        prepared.fleet.close().await;
        return Ok(None);
    }
    events.emit(engine::Event::Planned {
        actions: counts(&prepared.plan),
        hosts: prepared.fleet.members().len(),
    });
    let cluster = prepared.plan.cluster.clone();
    match apply(args, context, &prepared, events).await {
        Ok(()) => {
            prepared.fleet.close().await;
            Ok(Some(ready_line(&prepared.plan)))
        }
        Err(error) => {
            let interrupted = context.cancel.is_cancelled();
            let undone = if interrupted && !args.keep {
                undo(dir, &prepared.fleet, &prepared.plan, &prepared.observed, events).await
            } else {
                events.note(format!(
                    "what was made is still there: `vcluster up` goes on from here, `vcluster down {cluster}` removes it"
                ));
                Ok(())
            };
            prepared.fleet.close().await;
            undone?;
            if interrupted {
                Err(EngineError::Interrupted.into())
            } else {
                Err(error)
            }
        }
    }
}

/// Connects, looks, and plans. Changes nothing.
async fn prepare(
    args: &Args,
    topology: Topology,
    dir: &ClusterDir,
    events: &Events,
) -> anyhow::Result<Prepared> {
    let record = ClusterRecord::load(dir)?;
    let keys = ClusterKeys::load(dir)?.map_or_else(ClusterKeys::generate, Ok)?;
    let mut hosts = topology.hosts.clone();
    // Hosts that left the topology may still hold nodes of ours, which the plan then removes.
    for old in record.iter().flat_map(|record| &record.hosts) {
        if !hosts.iter().any(|host| host.name == old.name) {
            hosts.push(old.to_host());
        }
    }
    let (mut fleet, failures) = Fleet::connect(&hosts, &args.hosts.options(), events).await;
    EngineError::from_failures("failed to reach the hosts", failures)?;
    let (observed, failures) = fleet.observe(events).await;
    EngineError::from_failures("failed to look at the hosts", failures)?;
    let adopted = if args.adopt && record.is_none() {
        seen_id(&topology, &observed)
    } else {
        None
    };
    let cluster_id = record
        .as_ref()
        .map(|record| record.id)
        .or(adopted)
        .unwrap_or_else(Uuid::new_v4);
    let mut image_keys = IndexMap::new();
    for (name, image) in &topology.images {
        let key = image::key(image).with_context(|| format!("image `{name}`"))?;
        image_keys.insert(name.clone(), key);
    }
    let input = PlanInput {
        topology: &topology,
        cluster_id,
        image_keys,
        client_key: keys.fingerprint(),
        observed: observed.clone(),
    };
    let plan = plan(&input).map_err(|error: PlanError| anyhow::Error::new(error))?;
    let takes_part: BTreeSet<_> = plan
        .hosts
        .iter()
        .map(|host| host.name.clone())
        .chain(plan.actions.iter().map(|action| action.host.clone()))
        .chain(still_held(&plan, &observed))
        .collect();
    fleet.retain(|name| takes_part.contains(name)).await;
    Ok(Prepared {
        topology,
        dir: dir.clone(),
        record,
        keys,
        fleet,
        observed,
        plan,
    })
}

/// Hosts that hold something of the cluster, whatever the plan wants of them.
fn still_held(plan: &Plan, observed: &[ObservedHost]) -> impl Iterator<Item = crate::name::HostName> {
    let target = engine::Target {
        cluster: plan.cluster.clone(),
        short_id: Some(Plan::short_id(plan.cluster_id)),
    };
    let held = move |host: &&ObservedHost| engine::found(&target, std::slice::from_ref(*host)) != (0, 0);
    observed.iter().filter(held).map(|host| host.name.clone())
}

/// The id of a cluster of this name that the hosts show, if they agree on one.
fn seen_id(topology: &Topology, observed: &[ObservedHost]) -> Option<Uuid> {
    let ids: BTreeSet<Uuid> = observed
        .iter()
        .flat_map(|host| &host.nodes)
        .filter(|node| node.mark.cluster == topology.name)
        .map(|node| node.mark.cluster_id)
        .collect();
    (ids.len() == 1).then(|| ids.into_iter().next()).flatten()
}

async fn apply(args: &Args, context: &Context, prepared: &Prepared, events: &Events) -> anyhow::Result<()> {
    let Prepared {
        topology,
        dir,
        keys,
        plan,
        ..
    } = prepared;
    let busy = plan
        .actions
        .iter()
        .any(|action| !matches!(action.kind, ActionKind::Keep | ActionKind::Remove));
    let unfinished = unfinished(dir, plan)?;
    let images = if busy || !unfinished.is_empty() {
        build_images(topology, plan, context, events).await?
    } else {
        HashMap::new()
    };
    if context.cancel.is_cancelled() {
        return Err(EngineError::Interrupted.into());
    }
    // From here on things are made: what later commands need to find them is written first.
    store(args, prepared)?;
    let journal = Journal::open(dir)?;
    let nodes = nodes_of(plan, &topology_users(topology), keys, &prepared.fleet)?;
    let seeds = Seeds::new(plan, topology, keys);
    let seed = |node: &crate::plan::NodePlan| seeds.volume(node);
    let applied = Apply {
        plan,
        fleet: &prepared.fleet,
        observed: &prepared.observed,
        images: &images,
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
    let result = match applied {
        Ok(()) if args.no_configure => Ok(()),
        Ok(()) => configure(context, prepared, &nodes, &unfinished, events).await,
        Err(error) => Err(error.into()),
    };
    nodes.close().await;
    result
}

/// Runs the configuration: files everywhere, commands only on nodes that are new.
async fn configure(
    context: &Context,
    prepared: &Prepared,
    nodes: &crate::ssh::Nodes,
    unfinished: &BTreeSet<NodeName>,
    events: &Events,
) -> anyhow::Result<()> {
    let Prepared {
        topology, dir, plan, ..
    } = prepared;
    let new: BTreeSet<NodeName> = plan
        .actions
        .iter()
        .filter(|action| {
            matches!(
                action.kind,
                ActionKind::Create | ActionKind::Recreate | ActionKind::Start
            )
        })
        .map(|action| action.node.clone())
        .chain(unfinished.iter().cloned())
        .collect();
    let members_changed = plan
        .actions
        .iter()
        .any(|action| !matches!(action.kind, ActionKind::Keep));
    if new.is_empty() && !members_changed {
        return Ok(());
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
    let renderer = crate::template::context(plan, topology);
    let all = plan.nodes.iter().map(|node| node.name.clone()).collect();
    let faults = Configuration {
        renderer: &renderer,
        nodes,
        events,
        cancel: &context.cancel,
        fanout: common::FANOUT,
    }
    .run(&steps, &all, &new)
    .await;
    configured::failed(plan, plan.nodes.len(), faults)?;
    configured::mark_configured(dir, plan)
}

/// Nodes that were there before know the new ones by `/etc/hosts` too.
fn hosts_step(plan: &Plan, on: Vec<NodeName>) -> ConfigureStep {
    ConfigureStep {
        name: "hosts file".into(),
        on,
        action: ConfigureAction::Template {
            text: common::hosts_file(plan),
            source: None,
            to: "/etc/hosts".into(),
            mode: 0o644,
            owner: None,
        },
        timeout: Duration::from_mins(1),
        at: None,
    }
}

/// Running nodes of the plan whose configuration was never finished.
fn unfinished(dir: &ClusterDir, plan: &Plan) -> anyhow::Result<BTreeSet<NodeName>> {
    let done = configured::configured(dir)?;
    Ok(plan
        .actions
        .iter()
        .filter(|action| action.kind == ActionKind::Keep && !done.contains(&action.node))
        .map(|action| action.node.clone())
        .collect())
}

async fn build_images(
    topology: &Topology,
    plan: &Plan,
    context: &Context,
    events: &Events,
) -> anyhow::Result<HashMap<ImageName, BuiltImage>> {
    let used: BTreeSet<&ImageName> = plan.nodes.iter().map(|node| &node.spec.image).collect();
    let mut built = HashMap::new();
    for name in used {
        let image = topology
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
    Ok(built)
}

fn topology_users(topology: &Topology) -> IndexMap<ImageName, String> {
    topology
        .images
        .iter()
        .map(|(name, image)| (name.clone(), image.login_user().to_owned()))
        .collect()
}

fn store(args: &Args, prepared: &Prepared) -> anyhow::Result<()> {
    let Prepared {
        topology,
        dir,
        record,
        keys,
        plan,
        ..
    } = prepared;
    dir.create()?;
    keys.store(dir)?;
    let mut hosts: Vec<HostRecord> = topology.hosts.iter().map(HostRecord::from).collect();
    for old in record.iter().flat_map(|record| &record.hosts) {
        if !hosts.iter().any(|host| host.name == old.name) {
            hosts.push(old.clone());
        }
    }
    let file = (args.topology != "-")
        .then(|| std::path::absolute(&args.topology))
        .transpose()?;
    ClusterRecord {
        version: RECORD_VERSION,
        name: plan.cluster.clone(),
        id: plan.cluster_id,
        created: record.as_ref().map_or_else(
            || humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            |record| record.created.clone(),
        ),
        topology: file,
        base_dir: topology.base_dir.clone(),
        hosts,
        users: topology_users(topology),
    }
    .store(dir)?;
    dir.write("topology.yaml", topology.text.as_bytes())?;
    configured::forget_configured(dir, plan)?;
    ClusterRecord::store_plan(dir, plan)?;
    dir.write("known_hosts", common::known_hosts(plan, keys).as_bytes())?;
    Ok(())
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
    format!(
        "cluster `{}` is up: {} {} on {hosts} {}",
        plan.cluster,
        plan.nodes.len(),
        if plan.nodes.len() == 1 { "node" } else { "nodes" },
        if hosts == 1 { "host" } else { "hosts" }
    )
}
