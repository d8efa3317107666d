//! The networks of one host according to the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use super::{NetworkError, alias, table_name};
use crate::base::name::{HostName, NetworkName};
use crate::inventory::{Mac, ShortId};
use crate::plan::{NetworkPlan, Plan, VxlanPlan};

/// One network of one host according to the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: NetworkName,
    /// The bridge.
    pub bridge: String,
    /// Whether it is ours; the fields below matter only then.
    pub own: bool,
    /// Our mark.
    pub alias: String,
    /// MTU of bridge and VXLAN.
    pub mtu: u32,
    /// The host's own address on the bridge.
    pub address: Option<Ipv4Addr>,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// The VXLAN, and the host's own underlay address.
    pub vxlan: Option<(VxlanPlan, IpAddr)>,
    /// Underlay addresses of the other hosts in it.
    pub peers: Vec<IpAddr>,
    /// Ethernet addresses behind other hosts, with the underlay address of each host.
    pub remote: BTreeMap<Mac, IpAddr>,
    /// Ethernet addresses of the nodes on this host.
    pub local: BTreeSet<Mac>,
    /// Every address in it except the host's own, with its Ethernet address.
    pub neighbours: BTreeMap<Ipv4Addr, Mac>,
    /// Name of the nft table if nodes need outside access.
    pub nat: Option<String>,
}

/// Ethernet address of a host's bridge: derived, so that it can be configured on the other hosts in advance.
pub(super) fn bridge_mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    // 0x52 is locally administered; nodes have 0x54 as the second byte, bridges 0x56.
    Mac([0x52, 0x56, a, b, c, d])
}

/// The networks that a host takes part in, `cluster` first.
pub fn networks_of<'a>(plan: &'a Plan, host: &HostName) -> Vec<&'a NetworkPlan> {
    let Some(here) = plan.hosts.iter().find(|part| part.name == *host) else {
        return Vec::new();
    };
    plan.all_networks()
        .filter(|network| here.joins(&network.name))
        .collect()
}

impl Wanted {
    /// Selects the part of the plan for one host and one network, which the host takes part in.
    pub fn new(plan: &Plan, host: &HostName, network: &NetworkPlan) -> Result<Self, NetworkError> {
        let name = &network.name;
        let here = plan
            .hosts
            .iter()
            .find(|candidate| candidate.name == *host && candidate.joins(name))
            .ok_or(NetworkError::NotInPlan)?;
        let underlay: BTreeMap<&HostName, Option<IpAddr>> = plan
            .hosts
            .iter()
            .map(|host| (&host.name, host.underlay))
            .collect();
        let mut remote = BTreeMap::new();
        let mut local = BTreeSet::new();
        let mut neighbours = BTreeMap::new();
        let mut peers = Vec::new();
        let mut vxlan = None;
        if let Some(plan_vxlan) = &network.vxlan {
            let need = |name: &HostName, address: Option<IpAddr>| {
                address.ok_or_else(|| NetworkError::NoUnderlay(name.to_string()))
            };
            vxlan = Some((plan_vxlan.clone(), need(host, here.underlay)?));
            // The cluster is leaving a host without nodes: nothing is sent there any more.
            let others = plan.hosts.iter();
            let others = others.filter(|other| !other.nodes.is_empty() && other.joins(name));
            for other in others.filter(|other| other.name != *host) {
                let address = need(&other.name, other.underlay)?;
                peers.push(address);
                if let Some(end) = other.address_in(name) {
                    remote.insert(bridge_mac(end), address);
                    neighbours.insert(end, bridge_mac(end));
                }
            }
        }
        for node in &plan.nodes {
            let Some((end, mac)) = node.spec.end_in(name) else {
                continue;
            };
            neighbours.insert(end, mac);
            if node.host == *host {
                local.insert(mac);
            } else if vxlan.is_some() {
                let address = underlay.get(&node.host).copied().flatten();
                let address = address.ok_or_else(|| NetworkError::NoUnderlay(node.host.to_string()))?;
                remote.insert(mac, address);
            }
        }
        Ok(Self {
            name: name.clone(),
            bridge: network.bridge.clone(),
            own: network.own_bridge,
            alias: alias(&plan.cluster, plan.cluster_id),
            mtu: network.mtu,
            address: here.address_in(name),
            subnet: network.subnet,
            vxlan,
            peers,
            remote,
            local,
            neighbours,
            nat: network
                .nat
                .then(|| table_name(&ShortId::of(plan.cluster_id), name)),
        })
    }
}
