//! Which address each host and each node gets in a network.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use super::address::Addresses;
use super::error::PlanError;
use super::existing::Existing;
use super::given::Given;
use super::model::NetworkPlan;
use crate::base::name::{HostName, NetworkName, NodeName};
use crate::topology::{Host, Network};

/// A planned network with the addresses in it.
#[derive(Debug)]
pub(super) struct Allotment<'a> {
    pub(super) network: NetworkPlan,
    /// Of the hosts, on the bridge; empty if the bridge is not ours.
    pub(super) bridges: HashMap<&'a HostName, Ipv4Addr>,
    /// Of all nodes that join the network, whether they are placed or not.
    pub(super) nodes: HashMap<&'a NodeName, Ipv4Addr>,
}

/// All networks of a cluster with their addresses.
#[derive(Debug)]
pub(super) struct Allotments<'a> {
    pub(super) cluster: Allotment<'a>,
    /// The further networks, in topology order.
    pub(super) further: Vec<Allotment<'a>>,
}

impl<'a> Allotments<'a> {
    /// A further network by its name.
    pub(super) fn further(&self, name: &NetworkName) -> Option<&Allotment<'a>> {
        self.further.iter().find(|joined| joined.network.name == *name)
    }
}

impl Allotment<'_> {
    /// The default gateway of the nodes on a host, if this network has one.
    pub(super) fn gateway(&self, host: &HostName) -> Option<Ipv4Addr> {
        let of_host = || self.bridges.get(host).copied().filter(|_| self.network.nat);
        self.network.gateway.or_else(of_host)
    }
}

/// An address in a network for each host of the topology, and for each node that joins it.
pub(super) fn allot<'a>(
    given: &'a Given<'_>,
    wanted: &Network,
    network: NetworkPlan,
    existing: &Existing<'_>,
) -> Result<Allotment<'a>, PlanError> {
    let (input, topology) = (given.input, given.input.topology);
    let old = existing.nodes.values();
    let old = old.filter_map(|old| old.found.node.mark.spec.address_in(&network.name));
    let old: HashSet<Ipv4Addr> = old.collect();
    let hosts: &[Host] = if network.own_bridge { &topology.hosts } else { &[] };
    // Our own bridge carries no other cluster, and only the hosts' addresses that are given here.
    let of_hosts = input
        .observed
        .iter()
        .filter(|_| !network.own_bridge)
        .flat_map(|host| {
            let routers = host.facts.routers.iter();
            let others = routers.filter(|router| !old.contains(*router));
            host.facts.addresses.iter().chain(others)
        })
        .copied();
    let others = input
        .observed
        .iter()
        .filter(|_| !network.own_bridge)
        .flat_map(|host| &host.nodes)
        .filter(|node| node.mark.cluster_id != input.cluster_id)
        .flat_map(|node| node.mark.spec.addresses())
        .map(|(_, address)| address);
    // Name servers on the same bridge. On our own one, nothing else has an address.
    let servers = wanted.dns.iter().filter_map(|server| match server {
        IpAddr::V4(address) if !network.own_bridge => Some(*address),
        _ => None,
    });
    let joining: Vec<&NodeName> = given
        .items
        .iter()
        .filter(|item| item.joins(&network.name))
        .map(|item| &item.node.name)
        .collect();
    let mut free = Addresses::new(wanted, others.chain(of_hosts).chain(servers));
    free.check(wanted, joining.len(), hosts.len())?;
    let bridges = hosts
        .iter()
        .filter_map(|host| Some((&host.name, free.take_last()?)))
        .collect();

    let names = || joining.iter().copied();
    let kept = names().filter_map(|name| {
        let old = existing.nodes.get(name)?;
        Some((name, old.found.node.mark.spec.address_in(&network.name)?))
    });
    // A node that is recreated because its host is unreachable is known to the others by its old address.
    let known =
        names().filter_map(|name| Some((name, given.before.get(name)?.spec.address_in(&network.name)?)));
    let mut nodes: HashMap<&NodeName, Ipv4Addr> = HashMap::with_capacity(joining.len());
    for (name, address) in kept.chain(known) {
        if !nodes.contains_key(name) && free.take(address) {
            nodes.insert(name, address);
        }
    }
    for name in names() {
        if let Entry::Vacant(entry) = nodes.entry(name)
            && let Some(address) = free.take_first()
        {
            entry.insert(address);
        }
    }
    debug_assert_eq!(nodes.len(), joining.len(), "the size of the subnet was checked");
    Ok(Allotment {
        network,
        bridges,
        nodes,
    })
}
