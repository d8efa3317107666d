//! What `gc` removes and why. Pure: reads what was seen on the hosts, what is recorded here, and the time it is given.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::host::{Claim, Debris, ObservedHost, Waste};
use crate::name::{ClusterName, HostName};
use crate::plan::Plan;
use crate::units::Moment;

/// A cluster that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doomed {
    pub(super) cluster: ClusterName,
    pub(super) short_id: String,
    /// Where it goes; none if only our own record of it is left.
    pub(super) hosts: BTreeSet<HostName>,
    pub(super) why: String,
    /// Whether it goes because its lease has ended: an extension saves it.
    pub(super) expired: bool,
    /// Whoever works on it, which saves it too.
    pub(super) holder: Option<String>,
}

/// A cluster that is recorded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) cluster: ClusterName,
    /// Its short id, unless the record is lost.
    pub(super) short_id: Option<String>,
    /// Whether it was taken down and not all of it went.
    pub(super) down: bool,
    /// Hosts that were away when it went on without them, by their names in the record.
    pub(super) stranded: Vec<HostName>,
    /// Its hosts, by the names under which they were looked at; `None` for one that was not.
    pub(super) hosts: Vec<Option<HostName>>,
}

#[derive(Default)]
struct Seen<'a> {
    /// Hosts that show anything, with whether they hold nodes and how old the youngest thing is.
    hosts: BTreeMap<&'a HostName, (bool, Option<Duration>)>,
    claims: BTreeMap<&'a HostName, &'a Claim>,
    holder: Option<&'a String>,
}

/// The clusters that go, in the order of their names.
pub(super) fn doomed(
    observed: &[ObservedHost],
    debris: &HashMap<HostName, Debris>,
    known: &[Known],
    now: Moment,
    older_than: Duration,
) -> Vec<Doomed> {
    let mut clusters: BTreeMap<(&ClusterName, String), Seen<'_>> = BTreeMap::new();
    for host in observed {
        let age = |name: &str| debris.get(&host.name)?.ages.get(name).copied();
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
            let short_id = Plan::short_id(node.mark.cluster_id);
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
    }
    let mut doomed: Vec<Doomed> = clusters
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
            let (hosts, why, expired) = judge(seen, was_down, &stranded, now, older_than)?;
            Some(Doomed {
                cluster: (*cluster).clone(),
                short_id: short_id.clone(),
                hosts: hosts.into_iter().cloned().collect(),
                why,
                expired,
                holder: seen.holder.cloned(),
            })
        })
        .collect();
    for known in known.iter().filter(|known| known.down) {
        let shown = doomed.iter().any(|doomed| doomed.cluster == known.cluster);
        if !shown && known.hosts.iter().all(Option::is_some) {
            doomed.push(Doomed {
                cluster: known.cluster.clone(),
                short_id: known.short_id.clone().unwrap_or_default(),
                hosts: BTreeSet::new(),
                why: "it was taken down, and no host has anything of it any more".into(),
                expired: false,
                holder: None,
            });
        }
    }
    doomed.sort_by(|a, b| (&a.cluster, &a.short_id).cmp(&(&b.cluster, &b.short_id)));
    doomed
}

/// Where a cluster goes, and why; `None` if it stays.
fn judge<'a>(
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
    // The latest end counts: an extension may not have reached all hosts.
    let mut ends = seen.claims.values().map(|claim| claim.expires);
    if let Some(first) = ends.next() {
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
        return Some((
            back,
            "it was away when the cluster went on without it".into(),
            false,
        ));
    }
    let orphaned: Vec<&HostName> = seen
        .hosts
        .iter()
        // A live cluster's node is not taken from it for a claim that was lost.
        .filter(|(host, (nodes, _))| !seen.claims.contains_key(*host) && (seen.claims.is_empty() || !nodes))
        .filter(|(_, (_, youngest))| youngest.is_none_or(|age| age >= older_than))
        .map(|(host, _)| *host)
        .collect();
    let why = "no claim stands for it there: what a crash left".to_owned();
    (!orphaned.is_empty()).then_some((orphaned, why, false))
}

/// What nobody owns and is old enough, by host.
pub(super) fn waste(
    debris: &HashMap<HostName, Debris>,
    older_than: Duration,
) -> BTreeMap<&HostName, Vec<(&Waste, Duration)>> {
    let mut all = BTreeMap::new();
    for (host, debris) in debris {
        let old: Vec<_> = debris
            .waste
            .iter()
            .filter(|(_, age)| *age >= older_than)
            .map(|(waste, age)| (waste, *age))
            .collect();
        if !old.is_empty() {
            all.insert(host, old);
        }
    }
    all
}

#[cfg(test)]
mod tests;
