//! What `gc` removes and why. Pure: the input is what was observed on the hosts, what is recorded here, and the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::name::{ClusterName, HostName};
use crate::base::units::Moment;
use crate::inventory::{Claim, ClusterRef, ObservedHost, Orphan, Orphans, ShortId};

/// A cluster to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its short id; `None` if only a damaged record is left.
    pub short_id: Option<ShortId>,
    /// The hosts to remove it from; empty if only our own record of it is left.
    pub hosts: BTreeSet<HostName>,
    /// Why it is removed.
    pub why: String,
    /// Whether it is removed because its lease has ended: extending the lease keeps it.
    pub expired: bool,
    /// The holder of its lock, if any: a locked cluster is kept.
    pub holder: Option<String>,
}

/// A cluster that is skipped on hosts where its claim cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The cluster.
    pub cluster: ClusterRef,
    /// The hosts.
    pub hosts: BTreeSet<HostName>,
}

impl Unreadable {
    /// Why it is skipped.
    pub const WHY: &'static str =
        "its claim there cannot be read; another release of vcluster may have written it";
}

/// A cluster that is recorded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCluster {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its short id, unless the record is lost.
    pub short_id: Option<ShortId>,
    /// Whether it was taken down but not removed completely.
    pub down: bool,
    /// Hosts that were unreachable when the cluster was updated without them, by their names in the record.
    pub stranded: Vec<HostName>,
    /// Its hosts, by the names under which they were observed; `None` for one that was not.
    pub hosts: Vec<Option<HostName>>,
}

#[derive(Default)]
struct Seen<'a> {
    /// Hosts that hold anything of it: whether they hold nodes, and the age of the youngest object.
    hosts: BTreeMap<&'a HostName, (bool, Option<Duration>)>,
    claims: BTreeMap<&'a HostName, &'a Claim>,
    holder: Option<&'a String>,
    /// Hosts with a claim that cannot be read.
    unreadable: BTreeSet<&'a HostName>,
}

/// The clusters to remove, in the order of their names.
pub fn garbage(
    observed: &[ObservedHost],
    orphans: &BTreeMap<HostName, Orphans>,
    known: &[KnownCluster],
    now: Moment,
    older_than: Duration,
) -> Vec<Garbage> {
    let mut clusters: BTreeMap<(&ClusterName, ShortId), Seen<'_>> = BTreeMap::new();
    for host in observed {
        let age = |name: &str| orphans.get(&host.name)?.ages.get(name).copied();
        let mut see = |cluster, short_id, name: &str, is_node| {
            let seen = clusters.entry((cluster, short_id)).or_default();
            let (nodes, youngest) = seen.hosts.entry(&host.name).or_default();
            *nodes |= is_node;
            *youngest = match (*youngest, age(name)) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            };
        };
        for node in &host.nodes {
            let short_id = ShortId::of(node.mark.cluster_id);
            see(&node.mark.cluster, short_id, &node.domain, true);
        }
        for object in &host.objects {
            see(&object.cluster, object.short_id.clone(), &object.name, false);
        }
        for seen in &host.claims {
            let entry = clusters.entry((&seen.claim.cluster, seen.claim.short_id()));
            let cluster = entry.or_default();
            cluster.hosts.entry(&host.name).or_default();
            cluster.claims.insert(&host.name, &seen.claim);
            cluster.holder = cluster.holder.or(seen.holder.as_ref());
        }
        for cluster in &host.unreadable {
            let entry = clusters.entry((&cluster.name, cluster.short_id.clone()));
            entry.or_default().unreadable.insert(&host.name);
        }
    }
    let mut found: Vec<Garbage> = clusters
        .iter()
        .filter_map(|((cluster, short_id), seen)| {
            let was_down = known.iter().any(|known| {
                known.down
                    && known.cluster == **cluster
                    && known.short_id.as_ref().is_none_or(|id| id == short_id)
            });
            let stranded: Vec<&HostName> = known
                .iter()
                .filter(|known| known.cluster == **cluster && known.short_id.as_ref() == Some(short_id))
                .flat_map(|known| &known.stranded)
                .collect();
            let (hosts, why, expired) = check_cluster(seen, was_down, &stranded, now, older_than)?;
            Some(Garbage {
                cluster: (*cluster).clone(),
                short_id: Some(short_id.clone()),
                hosts: hosts.into_iter().cloned().collect(),
                why,
                expired,
                holder: seen.holder.cloned(),
            })
        })
        .collect();
    for known in known.iter().filter(|known| known.down) {
        let shown = found.iter().any(|garbage| garbage.cluster == known.cluster);
        if !shown && known.hosts.iter().all(Option::is_some) {
            found.push(Garbage {
                cluster: known.cluster.clone(),
                short_id: known.short_id.clone(),
                hosts: BTreeSet::new(),
                why: "it was taken down, and no host holds anything of it".into(),
                expired: false,
                holder: None,
            });
        }
    }
    found.sort_by(|a, b| (&a.cluster, &a.short_id).cmp(&(&b.cluster, &b.short_id)));
    found
}

/// The clusters that are skipped on hosts where their claim cannot be read, in the order of their names. Hosts that they
/// are removed from for another reason are left out.
pub fn unreadable(observed: &[ObservedHost], garbage: &[Garbage]) -> Vec<Unreadable> {
    let mut clusters: BTreeMap<&ClusterRef, BTreeSet<HostName>> = BTreeMap::new();
    for host in observed {
        for cluster in &host.unreadable {
            let removed = garbage.iter().any(|garbage| {
                garbage.cluster == cluster.name
                    && garbage.short_id.as_ref() == Some(&cluster.short_id)
                    && garbage.hosts.contains(&host.name)
            });
            if !removed {
                clusters.entry(cluster).or_default().insert(host.name.clone());
            }
        }
    }
    clusters
        .into_iter()
        .map(|(cluster, hosts)| Unreadable {
            cluster: cluster.clone(),
            hosts,
        })
        .collect()
}

/// Where a cluster is removed, and why; `None` if it stays.
fn check_cluster<'a>(
    seen: &Seen<'a>,
    was_down: bool,
    stranded: &[&HostName],
    now: Moment,
    older_than: Duration,
) -> Option<(Vec<&'a HostName>, String, bool)> {
    let everywhere = || seen.hosts.keys().copied().collect();
    if was_down {
        return Some((
            everywhere(),
            "its removal did not reach all its hosts".into(),
            false,
        ));
    }
    // The latest end counts: an extension may not have reached all hosts. A claim that cannot be read may have a later one.
    let mut ends = seen.claims.values().map(|claim| claim.expires);
    if seen.unreadable.is_empty()
        && let Some(first) = ends.next()
    {
        let end = ends.fold(first, |one, two| Some(one?.max(two?)));
        if let Some(end) = end.filter(|end| *end <= now) {
            return Some((everywhere(), format!("its lease ended at {end}"), true));
        }
    }
    let back: Vec<&HostName> = seen
        .hosts
        .keys()
        .copied()
        .filter(|host| stranded.contains(host))
        .collect();
    if !back.is_empty() {
        return Some((back, "was unreachable when the cluster was updated".into(), false));
    }
    let orphaned: Vec<&HostName> = seen
        .hosts
        .iter()
        // Nodes of a live cluster stay even if their claim was lost.
        .filter(|(host, (nodes, _))| !seen.claims.contains_key(*host) && (seen.claims.is_empty() || !nodes))
        .filter(|(host, _)| !seen.unreadable.contains(*host))
        .filter(|(_, (_, youngest))| youngest.is_none_or(|age| age >= older_than))
        .map(|(host, _)| *host)
        .collect();
    let why = "no claim exists (leftover of a crash)".to_owned();
    (!orphaned.is_empty()).then_some((orphaned, why, false))
}

/// Leftovers that no cluster owns and that are old enough, by host.
pub fn orphans(
    orphans: &BTreeMap<HostName, Orphans>,
    older_than: Duration,
) -> BTreeMap<&HostName, Vec<(&Orphan, Duration)>> {
    let mut all = BTreeMap::new();
    for (host, orphans) in orphans {
        let old: Vec<_> = orphans
            .files
            .iter()
            .filter(|(_, age)| *age >= older_than)
            .map(|(file, age)| (file, *age))
            .collect();
        if !old.is_empty() {
            all.insert(host, old);
        }
    }
    all
}

#[cfg(test)]
mod tests;
