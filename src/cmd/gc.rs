//! `vcluster gc`: removes clusters whose lease has ended, what crashes left, and what `down` could not reach.

use std::collections::HashMap;
use std::time::Duration;

use super::down::{add_hosts, known_hosts};
use super::gc_plan::{self, Doomed, Known};
use super::leases::HostChoice;
use super::talk::Talk;
use super::{Context, Format, common::HostArgs};
use crate::engine::{self, ClaimError, EngineError, Events, Failure, Fleet, HostStage, Target, explain};
use crate::exit::ExitCode;
use crate::host::{Debris, Hold, ObservedHost};
use crate::name::HostName;
use crate::plan::Plan;
use crate::report;
use crate::report::error::Failure as Misuse;
use crate::state::{ClusterDir, ClusterRecord, HostRecord, Intent, Journal, Lock, StateRoot, read_intents};
use crate::units::Moment;

/// Remove clusters whose lease has ended, what crashes left, and what `down` could not reach
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hosts of a topology, or of a node set [default: all hosts of the clusters that were raised from here]
    #[command(flatten)]
    choice: HostChoice,
    /// Show what would be removed, with the reason, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short = 'y', long, env = "VCLUSTER_YES")]
    pub yes: bool,
    /// Age from which things that no cluster claims are taken for what a crash left
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub older_than: Duration,
    #[command(flatten)]
    connect: HostArgs,
}

/// What is known once all hosts were looked at.
struct Look {
    fleet: Fleet,
    observed: Vec<ObservedHost>,
    debris: HashMap<HostName, Debris>,
    failures: Vec<Failure>,
    doomed: Vec<Doomed>,
    known: Vec<Known>,
    older_than: Duration,
}

/// A cluster that is recorded here, with the hosts of its record.
type Recorded = (Known, Vec<HostRecord>);

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let root = StateRoot::from_env()?;
    if !args.dry_run {
        clear(&root)?;
    }
    let (hosts, known) = hosts(&args, context, &root)?;
    let talk = Talk::with(context, |options| options.summary = false);
    let look = tokio::select! {
        look = look(&args, &hosts, known, &talk.events) => look,
        () = context.cancel.cancelled() => Err(EngineError::Interrupted.into()),
    };
    let look = match look {
        Ok(look) => look,
        Err(error) => return talk.finish(Err(error)).await,
    };
    let waste = gc_plan::waste(&look.debris, look.older_than);
    let nothing = look.doomed.is_empty() && waste.is_empty();
    if args.dry_run || nothing {
        if args.dry_run {
            show(&look, context);
        }
        let count = look.fleet.members().len();
        let unreached = engine::nothing_left(engine::unknown(&look.failures));
        look.fleet.close().await;
        let words = nothing.then(|| format!("nothing to remove on {count} hosts"));
        return talk
            .finish(unreached.map(|()| words).map_err(anyhow::Error::from))
            .await;
    }
    // The bars must be off the screen before the question is asked.
    talk.finish(Ok(None)).await?;
    if !args.yes {
        show(&look, context);
        if !report::confirm::confirm("Remove this?", &context.cancel).await? {
            look.fleet.close().await;
            report::talk("nothing was changed");
            return Ok(ExitCode::Interrupted);
        }
    }
    let talk = Talk::with(context, |options| options.summary = false);
    let result = carry_out(&look, &root, context, &talk.events).await;
    look.fleet.close().await;
    talk.finish(result.map(Some)).await
}

/// Removes what a kill left here of clusters that are gone.
fn clear(root: &StateRoot) -> anyhow::Result<()> {
    for name in root.remnants()? {
        let dir = root.cluster(&name);
        // Somebody who is at work there cleans up himself.
        let Ok(_lock) = Lock::take(&dir, &name, "gc") else {
            continue;
        };
        dir.clear()?;
    }
    Ok(())
}

/// The hosts to look at, and what is recorded here of clusters on them.
fn hosts(
    args: &Args,
    context: &Context,
    root: &StateRoot,
) -> anyhow::Result<(Vec<HostRecord>, Vec<Recorded>)> {
    let mut hosts = args.choice.records(context)?;
    let chosen = !hosts.is_empty();
    let mut known = Vec::new();
    for name in root.clusters()? {
        let dir = root.cluster(&name);
        let record = ClusterRecord::load(&dir).ok().flatten();
        let of_cluster = known_hosts(record.as_ref(), &dir)?;
        if !chosen {
            add_hosts(&mut hosts, of_cluster.clone())?;
        }
        let known_here = Known {
            cluster: name,
            short_id: record.as_ref().map(|record| Plan::short_id(record.id)),
            down: read_intents(&dir)?.last() == Some(&Intent::Down),
            stranded: stranded(&dir, record.as_ref()),
            hosts: Vec::new(),
        };
        known.push((known_here, of_cluster));
    }
    if hosts.is_empty() {
        return Err(Misuse::new(
            ExitCode::Usage,
            "no cluster was raised from here, so no host is known",
        )
        .with_hint("name them: `vcluster gc --hosts 'bm[01-15]'`, or a topology file")
        .into());
    }
    Ok((hosts, known))
}

/// Hosts that were away when the cluster was last raised, and that it has no nodes on any more.
fn stranded(dir: &ClusterDir, record: Option<&ClusterRecord>) -> Vec<HostName> {
    let Ok(Some(plan)) = ClusterRecord::load_plan(dir) else {
        return Vec::new();
    };
    record
        .iter()
        .flat_map(|record| &record.stranded)
        .filter(|host| !plan.nodes.iter().any(|node| node.host == **host))
        .cloned()
        .collect()
}

async fn look(
    args: &Args,
    hosts: &[HostRecord],
    known: Vec<Recorded>,
    events: &Events,
) -> anyhow::Result<Look> {
    let members: Vec<_> = hosts.iter().map(HostRecord::to_host).collect();
    let (fleet, mut failures) = Fleet::connect(&members, &args.connect.options(), events).await;
    let seen = fleet
        .stage(HostStage::Probe, events, |member| async move {
            let observed = member.host.observe().await?;
            Ok((false, (observed, member.host.debris().await?)))
        })
        .await;
    let (mut observed, mut debris) = (Vec::new(), HashMap::new());
    for (host, result) in seen {
        match result {
            Ok((seen, waste)) => {
                observed.push(seen);
                debris.insert(host, waste);
            }
            Err(error) => failures.push(Failure::of_host(host, error)),
        }
    }
    // A record may have another name for a host than this command: a host is its URI.
    let looked_at = |host: &HostRecord| {
        let here = hosts.iter().find(|here| here.uri == host.uri)?;
        observed
            .iter()
            .any(|seen: &ObservedHost| seen.name == here.name)
            .then(|| here.name.clone())
    };
    let known: Vec<Known> = known
        .into_iter()
        .map(|(mut known, hosts)| {
            known.hosts = hosts.iter().map(looked_at).collect();
            let away = hosts.iter().filter(|host| known.stranded.contains(&host.name));
            known.stranded = away.filter_map(looked_at).collect();
            known
        })
        .collect();
    let doomed = gc_plan::doomed(&observed, &debris, &known, Moment::now(), args.older_than);
    Ok(Look {
        fleet,
        observed,
        debris,
        failures,
        doomed,
        known,
        older_than: args.older_than,
    })
}

fn show(look: &Look, context: &Context) {
    let waste = gc_plan::waste(&look.debris, look.older_than);
    if context.format == Format::Json {
        let clusters: Vec<_> = look
            .doomed
            .iter()
            .map(|doomed| {
                serde_json::json!({ "cluster": doomed.cluster, "id": doomed.short_id, "hosts": doomed.hosts,
                    "reason": doomed.why, "holder": doomed.holder })
            })
            .collect();
        let waste: Vec<_> = waste
            .iter()
            .flat_map(|(host, waste)| waste.iter().map(move |(what, age)| (host, what, age)))
            .map(|(host, what, age)| {
                serde_json::json!({ "host": host, "what": what.to_string(), "age_seconds": age.as_secs() })
            })
            .collect();
        let value = serde_json::json!({ "version": 1, "clusters": clusters, "waste": waste });
        report::data(&format!("{value:#}\n"));
        return;
    }
    for doomed in &look.doomed {
        match &doomed.holder {
            Some(holder) => report::data(&format!("leave {}: held by {holder}\n", words(doomed))),
            None => report::data(&format!("remove {}: {}\n", words(doomed), doomed.why)),
        }
    }
    for (host, waste) in waste {
        for (what, age) in waste {
            let age = humantime::format_duration(age);
            report::data(&format!("remove {what} on {host}: nobody's, {age} old\n"));
        }
    }
}

fn words(doomed: &Doomed) -> String {
    let (cluster, id) = (&doomed.cluster, &doomed.short_id);
    if doomed.hosts.is_empty() {
        return format!("the record of cluster `{cluster}`");
    }
    format!(
        "cluster `{cluster}` ({id}) on {}",
        crate::nodeset::fold(&doomed.hosts)
    )
}

async fn carry_out(
    look: &Look,
    root: &StateRoot,
    context: &Context,
    events: &Events,
) -> anyhow::Result<String> {
    let (mut left, mut removed, mut skipped) = (engine::unknown(&look.failures), 0, 0);
    for doomed in &look.doomed {
        if context.cancel.is_cancelled() {
            return Err(EngineError::Interrupted.into());
        }
        match remove(look, doomed, root, events).await {
            Ok(Removal::Done) => {
                removed += 1;
                events.note(format!("removed {}: {}", words(doomed), doomed.why));
            }
            Ok(Removal::Saved(why)) => {
                skipped += 1;
                events.note(format!("left {}: {why}", words(doomed)));
            }
            Err(EngineError::LeftBehind { left: more }) => left.extend(more),
            Err(error) => left.push(format!("{} ({})", words(doomed), explain(&error))),
        }
    }
    let waste = gc_plan::waste(&look.debris, look.older_than);
    let mut things = 0;
    for (host, waste) in &waste {
        let Some(member) = look.fleet.get(host) else {
            continue;
        };
        for (what, _) in waste {
            match member.host.remove_waste(what).await {
                Ok(_) => things += 1,
                Err(error) => {
                    events.warn(explain(&error));
                    left.push(format!("{what} on {host}"));
                }
            }
        }
    }
    engine::nothing_left(left)?;
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut line = format!(
        "removed {} and {}",
        plural(removed, "cluster"),
        plural(things, "other thing")
    );
    if skipped > 0 {
        line.push_str(&format!("; left {} alone", plural(skipped, "cluster")));
    }
    Ok(line)
}

enum Removal {
    Done,
    /// It is in use after all.
    Saved(String),
}

async fn remove(
    look: &Look,
    doomed: &Doomed,
    root: &StateRoot,
    events: &Events,
) -> Result<Removal, EngineError> {
    let known = look.known.iter().find(|known| {
        known.cluster == doomed.cluster && known.short_id.as_ref().is_none_or(|id| *id == doomed.short_id)
    });
    let dir = root.cluster(&doomed.cluster);
    let _held_here = match known.map(|_| Lock::take(&dir, &doomed.cluster, "gc")).transpose() {
        Ok(held) => held,
        Err(error) => return Ok(Removal::Saved(error.to_string())),
    };
    let target = Target {
        cluster: doomed.cluster.clone(),
        short_id: Some(doomed.short_id.clone()),
    };
    if !doomed.hosts.is_empty() {
        let fleet = look.fleet.only(|name| doomed.hosts.contains(name));
        let held = match engine::hold(&fleet, &look.observed, &target, "gc", Hold::Alone).await {
            Ok(held) => held,
            Err(ClaimError::Failed(error)) => return Err(error),
            Err(error) => return Ok(Removal::Saved(error.to_string())),
        };
        let now = Moment::now();
        let alive = held
            .iter()
            .filter_map(|held| held.claim.as_ref())
            .find(|claim| !claim.expired(now));
        if let Some(claim) = alive.filter(|_| doomed.expired) {
            let end = claim
                .expires
                .map_or_else(|| "never".to_owned(), |end| end.to_string());
            return Ok(Removal::Saved(format!("its lease was extended meanwhile: {end}")));
        }
        // From here on the cluster is taken down, and a `gc` that comes after a kill knows it.
        if known.is_some()
            && doomed.expired
            && let Err(error) = Journal::open(&dir).and_then(|journal| journal.write(&[Intent::Down]))
        {
            return Ok(Removal::Saved(error.to_string()));
        }
        engine::remove(&fleet, &look.observed, &target, events).await?;
    }
    let everywhere = known.is_some_and(|known| {
        known.hosts.iter().all(|host| {
            host.as_ref()
                .is_some_and(|host| doomed.hosts.contains(host) || !shows(look, host, &target))
        })
    });
    if everywhere {
        // What is left of it here is only in the way; a failure is told by the next command that meets it.
        let _ = dir.remove();
        dir.remove_if_empty();
    }
    Ok(Removal::Done)
}

/// Whether a host shows anything of a cluster.
fn shows(look: &Look, host: &HostName, target: &Target) -> bool {
    let seen: Vec<ObservedHost> = look
        .observed
        .iter()
        .filter(|seen| seen.name == *host)
        .cloned()
        .collect();
    engine::found(target, &seen) != (0, 0)
}
