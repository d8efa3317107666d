//! Conflicts with other clusters and networks: a name, a subnet or an underlay address that is taken.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use super::claims;
use super::error::PlanError;
use super::model::{NetworkPlan, PlanInput};
use super::site::Site;
use crate::inventory::{ObservedHost, ShortId};
use crate::topology::Network;

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

/// Every host of a VXLAN needs its own underlay address, all of one family.
pub(super) fn check_underlay(used: &[&Site<'_>]) -> Result<(), PlanError> {
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

/// Rejects a subnet that overlaps a route of a host or another cluster's nodes or claim there.
pub(super) fn check_subnet(
    input: &PlanInput<'_>,
    used: &[&Site<'_>],
    wanted: &Network,
    plan: &NetworkPlan,
) -> Result<(), PlanError> {
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
                let overlaps = |taken: &Ipv4Net| subnet.contains(taken) || taken.contains(&subnet);
                let taken = claim.subnets().find(overlaps)?;
                Some((claim, taken))
            })?;
            Some(format!("cluster `{}` claims {taken} there", claim.cluster))
        };
        let by_cluster = || other_cluster(input, site.observed, |address| subnet.contains(&address));
        if let Some(route) = by_route.or_else(by_cluster).or_else(by_claim) {
            return Err(PlanError::SubnetInUse {
                network: plan.name.clone(),
                subnet,
                host: site.host.name.clone(),
                route,
                at: wanted.at.clone(),
            });
        }
    }
    Ok(())
}

/// A node of another cluster with an address that is `within` a subnet.
fn other_cluster(
    input: &PlanInput<'_>,
    observed: &ObservedHost,
    within: impl Fn(Ipv4Addr) -> bool,
) -> Option<String> {
    let mut nodes = observed
        .nodes
        .iter()
        .map(|node| &node.mark)
        .filter(|mark| mark.cluster_id != input.cluster_id);
    let (mark, address) = nodes.find_map(|mark| {
        let mut addresses = mark.spec.addresses().map(|(_, address)| address);
        Some((mark, addresses.find(|&address| within(address))?))
    })?;
    Some(format!(
        "cluster `{}` has `{}` at {address} there",
        mark.cluster, mark.node
    ))
}
