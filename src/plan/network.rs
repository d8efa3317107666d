//! The cluster's network: names of its devices, VXLAN identifier, MTU, and the checks for
//! conflicts with other networks.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::claims;
use super::error::PlanError;
use super::given::Given;
use super::model::{NetworkPlan, PlanInput, VxlanPlan};
use super::site::Site;
use crate::inventory::{ObservedHost, ShortId};

/// UDP port of VXLAN (RFC 7348).
const VXLAN_PORT: u16 = 4789;
/// Default MTU of an Ethernet.
const ETHERNET_MTU: u32 = 1500;

/// What VXLAN takes from every packet (RFC 7348): the outer IP header, 8 for UDP, 8 for
/// VXLAN and 14 for the inner Ethernet header.
pub(crate) fn overhead(underlay: IpAddr) -> u32 {
    match underlay {
        IpAddr::V4(_) => 20 + 8 + 8 + 14,
        IpAddr::V6(_) => 40 + 8 + 8 + 14,
    }
}

/// Rejects a name that a cluster with another id has on one of the hosts.
pub(super) fn check_name(input: &PlanInput<'_>) -> Result<(), PlanError> {
    let cluster = &input.topology.name;
    let short_id = ShortId::of(input.cluster_id);
    for host in &input.observed {
        let by_node = host
            .nodes
            .iter()
            .find(|node| node.mark.cluster == *cluster && node.mark.cluster_id != input.cluster_id)
            .map(|node| node.mark.cluster_id.to_string());
        let by_object = || {
            host.objects
                .iter()
                .find(|object| object.cluster == *cluster && object.short_id != short_id)
                .map(|object| object.short_id.to_string())
        };
        if let Some(other) = by_node.or_else(by_object) {
            let claims = host.claims.iter().filter(|seen| seen.claim.cluster == *cluster);
            let by = claims
                .map(|seen| match &seen.holder {
                    Some(holder) => format!(", held by {holder}"),
                    None => format!(", created from {} at {}", seen.claim.controller, seen.claim.made),
                })
                .next()
                .unwrap_or_default();
            return Err(PlanError::NameTaken {
                by,
                cluster: cluster.clone(),
                host: host.name.clone(),
                other,
            });
        }
    }
    Ok(())
}

/// Decides the network. `used` are the sites that will hold nodes, in topology order.
pub(super) fn network(given: &Given<'_>, used: &[&Site<'_>]) -> Result<NetworkPlan, PlanError> {
    let input = given.input;
    let wanted = &input.topology.network;
    let short_id = ShortId::of(input.cluster_id);
    let mut plan = NetworkPlan {
        subnet: wanted.subnet.trunc(),
        bridge: wanted.bridge.clone().unwrap_or_else(|| short_id.bridge_name()),
        own_bridge: wanted.bridge.is_none(),
        vxlan: None,
        mtu: wanted.mtu.unwrap_or(ETHERNET_MTU),
        nat: wanted.nat,
        gateway: wanted.gateway,
        dns: wanted.dns.clone(),
    };
    if !plan.own_bridge {
        return Ok(plan);
    }
    check_subnet(input, used, &plan)?;
    // The VXLAN overhead is subtracted as soon as the topology has a second host: a node placed there
    // later must not change the MTU of running nodes.
    if input.topology.hosts.len() > 1 {
        plan.mtu = mtu(given)?;
        // Without the narrowest host a larger MTU would fit, but an unreachable host must not recreate all nodes.
        let before = input
            .known_failures
            .before
            .as_ref()
            .filter(|_| given.sites.len() < input.topology.hosts.len());
        if let Some(before) = before.filter(|before| before.cluster_id == input.cluster_id) {
            plan.mtu = plan.mtu.min(before.network.mtu);
        }
    }
    let device = short_id.vxlan_name();
    let has_device = |site: &Site<'_>| site.observed.objects.iter().any(|object| object.name == device);
    if used.len() > 1 {
        check_underlay(used)?;
        let vni = vni(given, has_device);
        plan.vxlan = Some(VxlanPlan {
            device,
            vni,
            port: VXLAN_PORT,
        });
    }
    Ok(plan)
}

/// The wanted MTU, or the largest that fits into VXLAN on every host of the topology.
fn mtu(given: &Given<'_>) -> Result<u32, PlanError> {
    let network = &given.input.topology.network;
    let narrowest = given
        .sites
        .iter()
        .filter_map(|site| {
            let underlay_mtu = site.observed.facts.underlay_mtu.unwrap_or(ETHERNET_MTU);
            Some((
                underlay_mtu.saturating_sub(overhead(site.underlay()?)),
                &site.host.name,
            ))
        })
        .min_by_key(|&(possible, _)| possible);
    let Some((possible, host)) = narrowest else {
        return Ok(network.mtu.unwrap_or(ETHERNET_MTU - 50));
    };
    match network.mtu {
        Some(wanted) if wanted > possible => {
            let (host, at) = (host.clone(), network.at.clone());
            Err(PlanError::MtuTooLarge {
                wanted,
                host,
                possible,
                at,
            })
        }
        Some(wanted) => Ok(wanted),
        None => Ok(possible),
    }
}

/// Every host of a VXLAN needs its own underlay address, all of one family.
fn check_underlay(used: &[&Site<'_>]) -> Result<(), PlanError> {
    let mut seen: HashMap<IpAddr, &Site<'_>> = HashMap::new();
    let mut first: Option<(&Site<'_>, IpAddr)> = None;
    for &site in used {
        let name = || site.host.name.clone();
        let address = site
            .underlay()
            .ok_or_else(|| PlanError::NoUnderlay { host: name() })?;
        let (one, its) = *first.get_or_insert((site, address));
        if its.is_ipv4() != address.is_ipv4() {
            return Err(PlanError::MixedUnderlay {
                first: one.host.name.clone(),
                first_address: its,
                second: name(),
                second_address: address,
            });
        }
        if let Some(other) = seen.insert(address, site) {
            return Err(PlanError::SameUnderlay {
                first: other.host.name.clone(),
                second: name(),
                address,
            });
        }
    }
    Ok(())
}

/// The VXLAN identifier: derived from the cluster's id, or the next one that no other VXLAN on
/// the hosts uses. A cluster whose device exists keeps its identifier.
fn vni(given: &Given<'_>, has_device: impl Fn(&Site<'_>) -> bool) -> u32 {
    const ALL: u32 = 0x00ff_ffff;
    let (sites, cluster_id) = (&given.sites, given.input.cluster_id);
    let wanted = (cluster_id.as_u128() as u32 & ALL).max(1);
    let candidates = || (0..ALL).map(|step| (wanted - 1 + step) % ALL + 1);
    let (ours, others): (Vec<&Site<'_>>, Vec<&Site<'_>>) = sites.iter().partition(|site| has_device(site));
    let of_others: HashSet<u32> = others.iter().flat_map(|site| site.vnis()).collect();
    let of_ours: HashSet<u32> = ours.iter().flat_map(|site| site.vnis()).collect();
    let claimed: HashSet<u32> = sites
        .iter()
        .flat_map(|site| claims::of_others(site.observed, cluster_id))
        .filter_map(|claim| claim.vni)
        .collect();
    let of_others: HashSet<u32> = of_others.union(&claimed).copied().collect();
    let promised = sites
        .iter()
        .find_map(|site| claims::own(site.observed, cluster_id)?.vni);
    if let Some(promised) = promised.filter(|vni| !of_others.contains(vni) && (1..=ALL).contains(vni)) {
        return promised;
    }
    if let Some((one, rest)) = ours.split_first() {
        // Which of a host's identifiers belongs to our device is not observed: take, of those that
        // all hosts with the device share, the first that we would have chosen.
        let shared = |vni: &u32| rest.iter().all(|site| site.observed.facts.vnis.contains(vni));
        let kept = one
            .vnis()
            .filter(|vni| !of_others.contains(vni) && shared(vni))
            .min_by_key(|vni| (vni + ALL - wanted) % ALL);
        if let Some(kept) = kept {
            return kept;
        }
    }
    candidates()
        .find(|vni| !of_others.contains(vni) && !of_ours.contains(vni))
        .unwrap_or(wanted)
}

/// Rejects a subnet that overlaps a route of a host or another cluster's nodes or claim there.
fn check_subnet(input: &PlanInput<'_>, used: &[&Site<'_>], plan: &NetworkPlan) -> Result<(), PlanError> {
    let subnet = plan.subnet;
    for site in used {
        let by_route = site
            .observed
            .facts
            .routes
            .iter()
            .filter(|(_, device)| *device != plan.bridge)
            .find(|(route, _)| subnet.contains(route) || route.contains(&subnet))
            .map(|(route, device)| format!("it has a route to {route} via {device}"));
        let by_claim = || {
            let mut others = claims::of_others(site.observed, input.cluster_id);
            let (claim, taken) = others.find_map(|claim| {
                let taken = claim.subnet?;
                (subnet.contains(&taken) || taken.contains(&subnet)).then_some((claim, taken))
            })?;
            Some(format!("cluster `{}` claims {taken} there", claim.cluster))
        };
        let by_cluster = || other_cluster(input, site.observed, |address| subnet.contains(&address));
        if let Some(route) = by_route.or_else(by_cluster).or_else(by_claim) {
            let (host, at) = (site.host.name.clone(), input.topology.network.at.clone());
            return Err(PlanError::SubnetInUse {
                subnet,
                host,
                route,
                at,
            });
        }
    }
    Ok(())
}

fn other_cluster(
    input: &PlanInput<'_>,
    observed: &ObservedHost,
    within: impl Fn(std::net::Ipv4Addr) -> bool,
) -> Option<String> {
    let nodes = observed
        .nodes
        .iter()
        .filter(|node| node.mark.cluster_id != input.cluster_id);
    let node = nodes
        .map(|node| &node.mark)
        .find(|mark| within(mark.spec.address))?;
    Some(format!(
        "cluster `{}` has `{}` at {} there",
        node.cluster, node.node, node.spec.address
    ))
}
