//! Which address each host and each node gets.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::Ipv4Addr;

use super::address::Addresses;
use super::error::PlanError;
use super::existing::Existing;
use super::given::Given;
use super::model::NetworkPlan;
use crate::base::name::{HostName, NodeName};
use crate::topology::Host;

/// The addresses in a cluster's network.
#[derive(Debug)]
pub(super) struct Allotment<'a> {
    /// Of the hosts, on the bridge; empty if the bridge is not ours.
    pub(super) bridges: HashMap<&'a HostName, Ipv4Addr>,
    /// Of all nodes, whether they are placed or not.
    pub(super) nodes: HashMap<&'a NodeName, Ipv4Addr>,
}

/// An address for each host and node of the topology.
pub(super) fn allot<'a>(
    given: &'a Given<'_>,
    network: &NetworkPlan,
    existing: &Existing<'_>,
) -> Result<Allotment<'a>, PlanError> {
    let (input, topology) = (given.input, given.input.topology);
    let hosts: &[Host] = if network.own_bridge { &topology.hosts } else { &[] };
    // Our own bridge carries no other cluster, and only the hosts' addresses that are given here.
    let of_hosts = input
        .observed
        .iter()
        .filter(|_| !network.own_bridge)
        .flat_map(|host| &host.facts.addresses)
        .copied();
    let others = input
        .observed
        .iter()
        .filter(|_| !network.own_bridge)
        .flat_map(|host| &host.nodes)
        .filter(|node| node.mark.cluster_id != input.cluster_id)
        .map(|node| node.mark.spec.address);
    let mut free = Addresses::new(&topology.network, others.chain(of_hosts));
    free.check(topology, hosts.len())?;
    let bridges = hosts
        .iter()
        .filter_map(|host| Some((&host.name, free.take_last()?)))
        .collect();

    let names = || topology.nodes.iter().map(|node| &node.name);
    let kept = names().filter_map(|name| {
        let old = existing.nodes.get(name)?;
        Some((name, old.found.node.mark.spec.address))
    });
    // A node that is recreated because its host is unreachable is known to the others by its old address.
    let known = names().filter_map(|name| Some((name, given.before.get(name)?.spec.address)));
    let mut nodes: HashMap<&NodeName, Ipv4Addr> = HashMap::with_capacity(topology.nodes.len());
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
    debug_assert_eq!(
        nodes.len(),
        topology.nodes.len(),
        "the size of the subnet was checked"
    );
    Ok(Allotment { bridges, nodes })
}
