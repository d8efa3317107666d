//! `gc`: finds and removes clusters whose lease has ended, and leftovers of crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Reached;
use super::hosts::{add_hosts, known_hosts};
use crate::base::event::{Events, HostStage};
use crate::base::exit::ExitCode;
use crate::base::failure::{Failure, UserError, explain};
use crate::base::name::{ClusterName, HostName};
use crate::base::text::plural;
use crate::base::units::Moment;
use crate::engine::{self, ClaimError, EngineError, Fleet, Pending, Target};
use crate::host::{Access, LockMode};
use crate::inventory::{ClusterRef, HostEndpoint, ObservedHost, Orphan, Orphans, ShortId};
use crate::plan::garbage::{self, Garbage, KnownCluster, Unreadable};
use crate::state::{ClusterDir, ClusterRecord, Intent, Journal, Lock, StateRoot, read_intents};

/// Options of `gc`.
#[derive(Clone, Debug)]
pub struct GcOptions {
    /// The hosts to search; empty: all hosts of the clusters recorded on this machine.
    pub hosts: Vec<HostEndpoint>,
    /// Minimum age of unclaimed objects to remove as leftovers.
    pub older_than: Duration,
    /// How to connect to hosts.
    pub connect: Access,
}

/// The result of observing all hosts.
pub struct Inspection {
    /// The hosts.
    pub reached: Reached,
    observed: Vec<ObservedHost>,
    orphans: BTreeMap<HostName, Orphans>,
    /// The clusters to remove.
    pub garbage: Vec<Garbage>,
    /// The clusters to skip because their claim cannot be read.
    pub unreadable: Vec<Unreadable>,
    known: Vec<KnownCluster>,
    older_than: Duration,
}

/// A cluster recorded on this machine, with its known hosts.
type Recorded = (KnownCluster, Vec<HostEndpoint>);

impl Inspection {
    /// Unclaimed objects that are old enough, by host.
    pub fn orphans(&self) -> BTreeMap<&HostName, Vec<(&Orphan, Duration)>> {
        garbage::orphans(&self.orphans, self.older_than)
    }

    /// Reports the clusters whose claim cannot be read.
    pub fn note_unreadable(&self, events: &Events) {
        for skipped in &self.unreadable {
            events.note(format!(
                "skipped {}: {}",
                describe_unreadable(skipped),
                Unreadable::WHY
            ));
        }
    }

    /// Whether there is nothing to remove.
    pub fn is_clean(&self) -> bool {
        self.garbage.is_empty() && self.orphans().is_empty()
    }
}

/// Removes local files that a killed command left of clusters that no longer exist.
pub fn clear(root: &StateRoot) -> anyhow::Result<()> {
    for name in root.remnants()? {
        let dir = root.cluster(&name);
        // If another command holds the lock, it will clean up.
        let Ok(_lock) = Lock::take(&dir, &name, "gc") else {
            continue;
        };
        dir.clear()?;
    }
    Ok(())
}

/// The hosts to search, and the clusters recorded on this machine.
fn hosts(options: &GcOptions, root: &StateRoot) -> anyhow::Result<(Vec<HostEndpoint>, Vec<Recorded>)> {
    let mut hosts = options.hosts.clone();
    let chosen = !hosts.is_empty();
    let mut known = Vec::new();
    for name in root.clusters()? {
        let dir = root.cluster(&name);
        let record = ClusterRecord::load(&dir).ok().flatten();
        let of_cluster = known_hosts(record.as_ref(), &dir)?;
        if !chosen {
            add_hosts(&mut hosts, of_cluster.clone())?;
        }
        let known_here = KnownCluster {
            cluster: name,
            short_id: record.as_ref().map(|record| ShortId::of(record.id)),
            down: read_intents(&dir)?.last() == Some(&Intent::Down),
            stranded: stranded(&dir, record.as_ref()),
            hosts: Vec::new(),
        };
        known.push((known_here, of_cluster));
    }
    if hosts.is_empty() {
        return Err(UserError::new(
            ExitCode::Usage,
            "no hosts given, and no cluster is recorded on this machine",
        )
        .with_hint("pass hosts as in `vcluster gc --hosts 'bm[01-15]'`, or a topology file")
        .into());
    }
    Ok((hosts, known))
}

/// Hosts that were unreachable in the last `up` and have no nodes of the cluster any more.
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

/// Connects to the hosts, observes them, and determines what to remove. Changes nothing.
pub async fn inspect(options: &GcOptions, root: &StateRoot, events: &Events) -> anyhow::Result<Inspection> {
    let (hosts, known) = hosts(options, root)?;
    let (fleet, mut failures) = Fleet::connect(&hosts, &options.connect, events).await;
    let seen = fleet
        .stage(HostStage::Probe, events, |member| async move {
            let observed = member.host.observe().await?;
            Ok((false, (observed, member.host.orphans().await?)))
        })
        .await;
    let (mut observed, mut orphans) = (Vec::new(), BTreeMap::new());
    for (host, result) in seen {
        match result {
            Ok((seen, found)) => {
                observed.push(seen);
                orphans.insert(host, found);
            }
            Err(error) => failures.push(Failure::of_host(host, error).at(HostStage::Probe)),
        }
    }
    // A host is identified by its URI: a record may use a different name for it than this command.
    let looked_at = |host: &HostEndpoint| {
        let here = hosts.iter().find(|here| here.uri == host.uri)?;
        observed
            .iter()
            .any(|seen: &ObservedHost| seen.name == here.name)
            .then(|| here.name.clone())
    };
    let known: Vec<KnownCluster> = known
        .into_iter()
        .map(|(mut known, hosts)| {
            known.hosts = hosts.iter().map(looked_at).collect();
            let away = hosts.iter().filter(|host| known.stranded.contains(&host.name));
            known.stranded = away.filter_map(looked_at).collect();
            known
        })
        .collect();
    let garbage = garbage::garbage(&observed, &orphans, &known, Moment::now(), options.older_than);
    Ok(Inspection {
        reached: Reached { fleet, failures },
        unreadable: garbage::unreadable(&observed, &garbage),
        observed,
        orphans,
        garbage,
        known,
        older_than: options.older_than,
    })
}

/// A cluster to remove, for people.
pub fn describe(garbage: &Garbage) -> String {
    let cluster = &garbage.cluster;
    if garbage.hosts.is_empty() {
        return format!("the record of cluster `{cluster}`");
    }
    let id = garbage.short_id.as_ref().map_or("", |id| id.as_str());
    located(cluster, id, &garbage.hosts)
}

/// A cluster whose claim cannot be read, for people.
pub fn describe_unreadable(skipped: &Unreadable) -> String {
    let ClusterRef { name, short_id } = &skipped.cluster;
    located(name, short_id.as_str(), &skipped.hosts)
}

fn located(cluster: &ClusterName, id: &str, hosts: &BTreeSet<HostName>) -> String {
    format!("cluster `{cluster}` ({id}) on {}", crate::nodeset::fold(hosts))
}

/// Removes the garbage and returns the closing line. Objects that could not be removed are an error after the rest.
pub async fn carry_out(
    inspection: &Inspection,
    root: &StateRoot,
    cancel: &CancellationToken,
    events: &Events,
) -> anyhow::Result<String> {
    let mut left = engine::unknown(&inspection.reached.failures);
    let (mut kept, mut removed) = (Vec::new(), 0);
    inspection.note_unreadable(events);
    let mut skipped = inspection.unreadable.len();
    for garbage in &inspection.garbage {
        if cancel.is_cancelled() {
            return Err(EngineError::Interrupted.into());
        }
        match remove(inspection, garbage, root, events).await {
            Ok(Removal::Done) => {
                removed += 1;
                events.note(format!("removed {}: {}", describe(garbage), garbage.why));
            }
            Ok(Removal::Saved(why)) => {
                skipped += 1;
                events.note(format!("skipped {}: {why}", describe(garbage)));
            }
            Err(EngineError::LeftBehind { left: more }) => left.extend(more),
            Err(EngineError::Kept { kept: more }) => kept.extend(more),
            Err(error) => left.push(format!("{} ({})", describe(garbage), explain(&error))),
        }
    }
    let (things, failed) = remove_orphans(inspection, events).await;
    left.extend(failed);
    engine::check_removal(left, kept)?;
    let mut line = format!(
        "removed {} and {}",
        plural(removed, "cluster"),
        plural(things, "other object")
    );
    if skipped > 0 {
        line.push_str(&format!("; skipped {}", plural(skipped, "cluster")));
    }
    Ok(line)
}

/// Removes the objects that no cluster owns; returns how many were removed, and those that could not be.
async fn remove_orphans(inspection: &Inspection, events: &Events) -> (usize, Vec<String>) {
    let orphans = inspection.orphans();
    let pending = &Pending::new("removing leftovers on", orphans.keys());
    let removing = async {
        let (mut things, mut left) = (0, Vec::new());
        for (host, orphans) in &orphans {
            let Some(member) = inspection.reached.fleet.get(host) else {
                continue;
            };
            for (orphan, _) in orphans {
                match member.host.remove_orphan(orphan).await {
                    Ok(_) => things += 1,
                    Err(error) => {
                        events.warn(explain(&error));
                        left.push(format!("{orphan} on {host}"));
                    }
                }
            }
            pending.answered(host);
        }
        (things, left)
    };
    pending.shown(events, removing).await
}

enum Removal {
    Done,
    /// It is in use after all.
    Saved(String),
}

async fn remove(
    inspection: &Inspection,
    garbage: &Garbage,
    root: &StateRoot,
    events: &Events,
) -> Result<Removal, EngineError> {
    let known = inspection.known.iter().find(|known| {
        known.cluster == garbage.cluster
            && known
                .short_id
                .as_ref()
                .is_none_or(|id| garbage.short_id.as_ref() == Some(id))
    });
    let dir = root.cluster(&garbage.cluster);
    let _held_here = match known
        .map(|_| Lock::take(&dir, &garbage.cluster, "gc"))
        .transpose()
    {
        Ok(held) => held,
        Err(error) => return Ok(Removal::Saved(error.to_string())),
    };
    let target = Target {
        cluster: garbage.cluster.clone(),
        short_id: garbage.short_id.clone(),
    };
    if !garbage.hosts.is_empty() {
        let fleet = inspection.reached.fleet.only(|name| garbage.hosts.contains(name));
        let observed = &inspection.observed;
        let held = match engine::hold(&fleet, observed, &target, "gc", LockMode::Exclusive, events).await {
            Ok(held) => held,
            Err(ClaimError::Failed(error)) => return Err(error),
            Err(error) => return Ok(Removal::Saved(error.to_string())),
        };
        let now = Moment::now();
        let alive = held
            .iter()
            .filter_map(|held| held.claim.as_ref())
            .find(|claim| !claim.expired(now));
        if let Some(claim) = alive.filter(|_| garbage.expired) {
            let end = claim
                .expires
                .map_or_else(|| "never".to_owned(), |end| end.to_string());
            return Ok(Removal::Saved(format!("its lease was extended meanwhile: {end}")));
        }
        // Recorded, so that if this `gc` is killed, a later one completes the removal.
        if known.is_some()
            && garbage.expired
            && let Err(error) = Journal::open(&dir).and_then(|journal| journal.write(&[Intent::Down]))
        {
            return Ok(Removal::Saved(error.to_string()));
        }
        engine::remove(&fleet, &inspection.observed, &target, events).await?;
    }
    let everywhere = known.is_some_and(|known| {
        known.hosts.iter().all(|host| {
            host.as_ref()
                .is_some_and(|host| garbage.hosts.contains(host) || !target.is_on(host, &inspection.observed))
        })
    });
    if everywhere {
        // Best effort: the next command that uses the directory reports a failure.
        let _ = dir.remove();
        dir.remove_if_empty();
    }
    Ok(Removal::Done)
}
