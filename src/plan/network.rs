//! A network of the cluster: names of its devices, VXLAN identifier and MTU.

use std::collections::HashSet;
use std::net::IpAddr;

use super::conflict::{check_subnet, check_underlay};
use super::error::PlanError;
use super::given::Given;
use super::model::{NetworkPlan, VxlanPlan};
use super::site::Site;
use super::vni::vni;
use crate::inventory::ShortId;
use crate::topology::Network;

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

/// Decides a network. `used` are the sites that will hold nodes of it, in topology order; `vnis` are the identifiers of
/// the networks that were decided before, and get that of this one.
pub(super) fn network(
    given: &Given<'_>,
    wanted: &Network,
    used: &[&Site<'_>],
    vnis: &mut HashSet<u32>,
) -> Result<NetworkPlan, PlanError> {
    let (input, name) = (given.input, &wanted.name);
    let short_id = ShortId::of(input.cluster_id);
    let mut plan = NetworkPlan {
        name: name.clone(),
        subnet: wanted.subnet.trunc(),
        bridge: wanted
            .bridge
            .clone()
            .unwrap_or_else(|| short_id.bridge_name(name)),
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
    check_subnet(input, used, wanted, &plan)?;
    // The VXLAN overhead is subtracted as soon as the topology has a second host: a node placed there
    // later must not change the MTU of running nodes.
    if input.topology.hosts.len() > 1 {
        plan.mtu = mtu(given, wanted)?;
        // Without the narrowest host a larger MTU would fit, but an unreachable host must not recreate all nodes.
        let before = input
            .known_failures
            .before
            .as_ref()
            .filter(|_| given.sites.len() < input.topology.hosts.len())
            .filter(|before| before.cluster_id == input.cluster_id);
        if let Some(before) = before.and_then(|before| before.network(name)) {
            plan.mtu = plan.mtu.min(before.mtu);
        }
    }
    if used.len() > 1 {
        check_underlay(used)?;
        let device = short_id.vxlan_name(name);
        let vni = vni(given, name, &device, vnis);
        vnis.insert(vni);
        plan.vxlan = Some(VxlanPlan {
            device,
            vni,
            port: VXLAN_PORT,
        });
    }
    Ok(plan)
}

/// The wanted MTU, or the largest that fits into VXLAN on every host of the topology.
fn mtu(given: &Given<'_>, network: &Network) -> Result<u32, PlanError> {
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
        Some(wanted) if wanted > possible => Err(PlanError::MtuTooLarge {
            network: network.name.clone(),
            wanted,
            host: host.clone(),
            possible,
            at: network.at.clone(),
        }),
        Some(wanted) => Ok(wanted),
        None => Ok(possible),
    }
}
