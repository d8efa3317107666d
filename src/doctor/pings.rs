//! The pings between the hosts under examination: over the network between them, and through the VXLANs of a cluster that
//! is up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::evidence::{OverlayPath, Path, Stage};
use super::visit::Visit;
use crate::base::event::Events;
use crate::base::name::HostName;
use crate::engine::{HOSTS_AT_ONCE, Pending};
use crate::host::{HostError, HostLogin};
use crate::network;
use crate::plan::{NetworkPlan, Plan};
use crate::topology::Topology;

/// Peers that one host pings at the same time.
const PINGS: usize = 16;
/// MTU of Ethernet, used if a host's own is unknown.
const ETHERNET: u32 = 1500;

/// Pings between all pairs of hosts, from all hosts at once.
pub(super) async fn paths(
    topology: &Topology,
    plan: Option<&Plan>,
    visits: &mut [Visit],
    events: &Events,
) -> (Option<(u32, usize)>, Vec<Path>) {
    let underlay = |visit: &Visit| {
        let facts = &visit.evidence.seen.as_ref()?.facts;
        Some((
            visit.evidence.config.name.clone(),
            facts.underlay?,
            facts.underlay_mtu,
        ))
    };
    let all: Vec<_> = visits.iter().filter_map(underlay).collect();
    if all.len() < 2 {
        return (None, Vec::new());
    }
    let narrowest = all
        .iter()
        .map(|(_, address, mtu)| {
            mtu.unwrap_or(ETHERNET)
                .saturating_sub(crate::plan::overhead(*address))
        })
        .min()
        .unwrap_or(ETHERNET);
    let needed = |ends: &[&HostName]| match plan {
        Some(plan) => planned_mtu(plan, ends),
        None => wanted_mtu(topology, narrowest),
    };
    let Some(largest) = needed(&[]) else {
        return (None, Vec::new());
    };
    let with_login = visits.iter().filter(|visit| visit.login.is_some());
    let names = with_login.map(|visit| &visit.evidence.config.name);
    let pending = Pending::new("the pings to the other hosts from", names);
    let results = from_each(&pending, visits, events, |login, from| {
        let mut peers: BTreeMap<u32, Vec<(&HostName, IpAddr)>> = BTreeMap::new();
        for (name, address, _) in all.iter().filter(|(name, ..)| name != from) {
            if let Some(mtu) = needed(&[from, name]) {
                peers.entry(mtu).or_default().push((name, *address));
            }
        }
        ping(login, from, peers)
    })
    .await;
    let mut paths = Vec::new();
    let mut ways = 0;
    for (tried, failed) in noted(visits, results, Stage::Paths) {
        ways += tried;
        paths.extend(failed);
    }
    (Some((largest, ways)), paths)
}

/// Pings from all visited hosts that can be logged in to, at once. A result for each visit, in their order.
async fn from_each<'a, T, F>(
    pending: &Pending,
    visits: &'a [Visit],
    events: &Events,
    ping: impl Fn(&'a HostLogin, &'a HostName) -> F,
) -> Vec<Option<T>>
where
    F: Future<Output = T>,
{
    let work = |visit: &'a Visit| {
        let login = visit.login.as_ref();
        let started = login.map(|login| ping(login, &visit.evidence.config.name));
        async move {
            match started {
                Some(ping) => Some(ping.await),
                None => None,
            }
        }
    };
    pending
        .each_of(
            events,
            HOSTS_AT_ONCE,
            visits,
            |visit| &visit.evidence.config.name,
            work,
        )
        .await
}

/// The results of these visits. A host where it failed has that among its evidence instead.
fn noted<T>(visits: &mut [Visit], results: Vec<Option<Result<T, HostError>>>, stage: Stage) -> Vec<T> {
    let mut found = Vec::new();
    for (visit, result) in visits.iter_mut().zip(results) {
        match result {
            Some(Ok(result)) => found.push(result),
            Some(Err(error)) => visit.failed(stage, &error),
            None => {}
        }
    }
    found
}

/// The largest MTU of the planned networks that span these hosts. A host without nodes may get nodes of any network.
fn planned_mtu(plan: &Plan, ends: &[&HostName]) -> Option<u32> {
    let parts = plan.hosts.iter().filter(|part| ends.contains(&&part.name));
    let with_nodes: Vec<_> = parts.filter(|part| !part.nodes.is_empty()).collect();
    let spans = |network: &&NetworkPlan| with_nodes.iter().all(|part| part.joins(&network.name));
    let own = plan.all_networks().filter(|network| network.own_bridge);
    own.filter(spans).map(|network| network.mtu).max()
}

/// The largest MTU of the networks of a topology; without one, a network has the default.
fn wanted_mtu(topology: &Topology, default: u32) -> Option<u32> {
    let own = topology.all_networks().filter(|network| network.bridge.is_none());
    own.map(|network| network.mtu.unwrap_or(default)).max()
}

async fn ping(
    login: &HostLogin,
    from: &HostName,
    peers: BTreeMap<u32, Vec<(&HostName, IpAddr)>>,
) -> Result<(usize, Vec<Path>), HostError> {
    let mut failed = Vec::new();
    for (mtu, peers) in &peers {
        for some in peers.chunks(PINGS) {
            let script = network::mtu_script(*mtu, some);
            let output = login.script("ping the other hosts", &script).await?;
            let failures = network::read_mtu(&output, *mtu, some).into_iter();
            failed.extend(failures.map(|failure| Path {
                from: from.clone(),
                mtu: *mtu,
                failure,
            }));
        }
    }
    Ok((peers.values().map(Vec::len).sum(), failed))
}

/// A network, and the hosts that have its VXLAN already.
type Spanning<'a> = (&'a NetworkPlan, BTreeSet<HostName>);

/// Pings through the VXLANs of the cluster between the hosts that have them already, from all of them at once. Returns
/// how many pairs of hosts were tried, and the failures.
pub(super) async fn overlays(
    plan: &Plan,
    visits: &mut [Visit],
    events: &Events,
) -> (usize, Vec<OverlayPath>) {
    let mut spanning: Vec<Spanning<'_>> = Vec::new();
    for planned in plan.all_networks() {
        let Some(vxlan) = &planned.vxlan else { continue };
        let has_it = |visit: &&Visit| {
            let mut objects = visit.evidence.seen.iter().flat_map(|seen| &seen.objects);
            visit.login.is_some() && objects.any(|object| object.name == vxlan.device)
        };
        let with_it = visits.iter().filter(has_it);
        let with_it: BTreeSet<HostName> = with_it.map(|visit| visit.evidence.config.name.clone()).collect();
        if with_it.len() > 1 {
            spanning.push((planned, with_it));
        }
    }
    if spanning.is_empty() {
        return (0, Vec::new());
    }
    let spanning = &spanning;
    let with_any: BTreeSet<&HostName> = spanning.iter().flat_map(|(_, with_it)| with_it).collect();
    let pending = Pending::new("the pings through the VXLAN from", with_any);
    let results = from_each(&pending, visits, events, |login, from| {
        ping_overlays(plan, login, from, spanning)
    })
    .await;
    let (mut pairs, mut failed) = (BTreeSet::new(), Vec::new());
    for (tried, failures) in noted(visits, results, Stage::Overlay) {
        pairs.extend(tried);
        failed.extend(failures);
    }
    (pairs.len(), failed)
}

/// Pings from one host; returns the pairs of hosts that it tried, and the failures.
async fn ping_overlays(
    plan: &Plan,
    login: &HostLogin,
    from: &HostName,
    spanning: &[Spanning<'_>],
) -> Result<(BTreeSet<(HostName, HostName)>, Vec<OverlayPath>), HostError> {
    let (mut tried, mut failed) = (BTreeSet::new(), Vec::new());
    for (planned, with_it) in spanning {
        let peers = network::overlay_peers(plan, planned, from, |host| with_it.contains(host));
        if peers.is_empty() {
            continue;
        }
        let script = network::overlay_script(planned, &peers);
        let output = login.script("ping through the VXLAN", &script).await?;
        // The same pair, whichever of the two pings the other in a network.
        tried.extend(peers.iter().map(|(peer, _)| {
            let (first, second) = (from.min(peer), from.max(peer));
            (first.clone(), second.clone())
        }));
        let failures = network::read_overlay(&output, &peers).into_iter();
        failed.extend(failures.map(|failure| OverlayPath {
            network: planned.name.clone(),
            from: from.clone(),
            failure,
        }));
    }
    Ok((tried, failed))
}
