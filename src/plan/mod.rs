//! The planner: topology + what was observed -> [`Plan`]. Pure: no I/O, no clock, no randomness.
//!
//! One idea per file: `existing` pairs domains with nodes, `capacity` and `place` give the new
//! ones a host, `address` and `network` number them, `diff` says what is done and why, `refusal`
//! why there is no plan, `missing` which nodes the cluster does without, and `assemble` writes the result down.

mod address;
mod assemble;
mod capacity;
mod claims;
mod diff;
mod error;
mod existing;
mod missing;
mod model;
mod natural;
mod network;
mod place;
mod refusal;
mod search;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use crate::host::ObservedHost;
use crate::name::HostName;
use crate::topology::{self, Topology};
use address::Addresses;
use capacity::Room;
pub use claims::Promise;
pub use error::{Lack, PlanError};
use existing::Existing;
use missing::{Placed, place_all};
pub use model::{
    Action, ActionKind, Capacity, FailedNode, HostPlan, Mac, MissingNode, NetworkPlan, NodePlan, NodeSpec,
    PLAN_VERSION, Plan, PlanInput, Trouble, VxlanPlan,
};
pub(crate) use network::overhead;
use place::Rules;

/// A host of the topology that was reached.
#[derive(Clone, Copy, Debug)]
struct Site<'a> {
    host: &'a topology::Host,
    /// Its place in the topology.
    order: usize,
    observed: &'a ObservedHost,
    capacity: Capacity,
}

impl Site<'_> {
    fn vnis(&self) -> impl Iterator<Item = u32> {
        self.observed.facts.vnis.iter().copied()
    }
}

/// Makes every choice, or says why there is none to make.
///
/// A host that is observed but not named by the topology (any more) gets no nodes and loses those that it has.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, PlanError> {
    let topology = input.topology;
    network::check_name(input)?;
    let sites = sites(input);
    let groups = rules(topology, &sites);
    let group_of = group_of(topology);
    let ranks = natural::ranks(topology.nodes.iter().map(|node| node.name.as_str()));

    let mut rooms: Vec<Room> = sites.iter().map(|site| Room::new(site.capacity)).collect();
    let before = before(input);
    let mut existing = existing::pair(topology, input.cluster_id, &sites, &groups, &group_of, &before);
    existing.settle(input, &sites, &groups, &group_of, &ranks, &mut rooms);
    let (placed, missing) = place_all(input, &sites, groups, &group_of, &ranks, &existing, rooms)?;
    existing.remove_missing(topology, &missing);

    let mut used = vec![false; sites.len()];
    for placed in &placed {
        used[placed.site] = true;
    }
    let mut by_order: Vec<usize> = (0..sites.len()).collect();
    by_order.sort_unstable_by_key(|&site| sites[site].order);
    let used: Vec<usize> = by_order.iter().copied().filter(|&site| used[site]).collect();
    let network = network::network(input, &sites, &used)?;
    let (bridge_addresses, addresses) = addresses(input, &network, &existing, &before)?;

    let nodes: Vec<NodePlan> = placed
        .iter()
        .map(|&Placed { index, site }| {
            let (node, address) = (&topology.nodes[index], addresses[index]);
            let bridge_address = bridge_addresses.get(sites[site].order).copied();
            assemble::node_plan(input, node, &sites[site], address, &network, bridge_address)
        })
        .collect();
    let mut actions = stranded(input);
    let silent = silent(&sites, &before);
    actions.extend(assemble::actions(&sites, &placed, &existing, &silent, &nodes));
    let hosts = assemble::host_plans(&sites, &by_order, &placed, &bridge_addresses, &actions, &nodes);
    Ok(Plan {
        version: PLAN_VERSION,
        cluster: topology.name.clone(),
        cluster_id: input.cluster_id,
        network,
        hosts,
        nodes,
        missing,
        actions,
    })
}

/// The nodes of the plan before, by name.
fn before<'a>(input: &'a PlanInput<'_>) -> HashMap<&'a str, &'a NodePlan> {
    let plan = input.trouble.before.as_ref();
    plan.filter(|plan| plan.cluster_id == input.cluster_id)
        .into_iter()
        .flat_map(|plan| &plan.nodes)
        .map(|node| (node.name.as_str(), node))
        .collect()
}

/// Of the nodes of the plan before, those on hosts that were not reached.
fn silent<'a>(sites: &[Site<'_>], before: &HashMap<&'a str, &'a NodePlan>) -> HashMap<&'a str, &'a HostName> {
    let reached: HashSet<&HostName> = sites.iter().map(|site| &site.host.name).collect();
    before
        .iter()
        .filter(|(_, node)| !reached.contains(&node.host))
        .map(|(name, node)| (*name, &node.host))
        .collect()
}

/// Removals on hosts that left the topology.
fn stranded(input: &PlanInput<'_>) -> Vec<Action> {
    let named: HashSet<&str> = input
        .topology
        .hosts
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    let left = input
        .observed
        .iter()
        .filter(|host| !named.contains(host.name.as_str()));
    left.flat_map(|host| {
        let ours = host
            .nodes
            .iter()
            .filter(|node| node.mark.cluster_id == input.cluster_id);
        ours.map(|node| Action {
            node: node.mark.node.clone(),
            host: host.name.clone(),
            kind: ActionKind::Remove,
            reason: "its host left the topology".to_owned(),
        })
    })
    .collect()
}

/// The hosts that were reached, in the natural order of their names.
fn sites<'a>(input: &'a PlanInput<'_>) -> Vec<Site<'a>> {
    let observed: HashMap<&str, &ObservedHost> = input
        .observed
        .iter()
        .rev()
        .map(|host| (host.name.as_str(), host))
        .collect();
    let mut sites: Vec<Site<'a>> = input
        .topology
        .hosts
        .iter()
        .enumerate()
        .filter_map(|(order, host)| {
            let observed = *observed.get(host.name.as_str())?;
            let capacity = capacity::capacity(host, observed, input.cluster_id);
            Some(Site {
                host,
                order,
                observed,
                capacity,
            })
        })
        .collect();
    sites.sort_by_cached_key(|site| natural::natural(site.host.name.as_str()));
    sites
}

/// The constraints of each group against the sites.
fn rules(topology: &Topology, sites: &[Site<'_>]) -> Vec<Rules> {
    let names: HashMap<&str, usize> = topology
        .groups
        .iter()
        .enumerate()
        .map(|(i, group)| (group.name.as_str(), i))
        .collect();
    let mut conflicts: Vec<HashSet<usize>> = vec![HashSet::new(); topology.groups.len()];
    for (index, group) in topology.groups.iter().enumerate() {
        for other in group.separate.iter().filter_map(|name| names.get(name.as_str())) {
            conflicts[index].insert(*other);
            conflicts[*other].insert(index);
        }
    }
    let ranks = natural::ranks(topology.groups.iter().map(|group| group.name.as_str()));
    topology
        .groups
        .iter()
        .zip(conflicts)
        .zip(ranks)
        .map(|((group, conflicts), rank)| {
            let on: Option<HashSet<&str>> =
                group.on.as_ref().map(|on| on.iter().map(AsRef::as_ref).collect());
            let may = |site: &Site<'_>| on.as_ref().is_none_or(|on| on.contains(site.host.name.as_str()));
            let mut conflicts: Vec<usize> = conflicts.into_iter().collect();
            conflicts.sort_unstable();
            Rules {
                place: group.place,
                allowed: sites.iter().map(may).collect(),
                conflicts,
                rank,
            }
        })
        .collect()
}

/// The group of each node, by index.
fn group_of(topology: &Topology) -> Vec<usize> {
    let names: HashMap<&str, usize> = topology
        .groups
        .iter()
        .enumerate()
        .map(|(i, group)| (group.name.as_str(), i))
        .collect();
    topology
        .nodes
        .iter()
        .map(|node| names.get(node.group.as_str()).copied().unwrap_or_default())
        .collect()
}

/// Bridge addresses of the hosts, in topology order, and addresses of the nodes.
fn addresses(
    input: &PlanInput<'_>,
    network: &NetworkPlan,
    existing: &Existing<'_>,
    before: &HashMap<&str, &NodePlan>,
) -> Result<(Vec<Ipv4Addr>, Vec<Ipv4Addr>), PlanError> {
    let topology = input.topology;
    let hosts = if network.own_bridge {
        topology.hosts.len()
    } else {
        0
    };
    // On a bridge of our own there is nobody else.
    let others = input
        .observed
        .iter()
        .filter(|_| !network.own_bridge)
        .flat_map(|host| &host.nodes)
        .filter(|node| node.mark.cluster_id != input.cluster_id)
        .map(|node| node.mark.spec.address);
    let mut free = Addresses::new(&topology.network, others);
    free.check(topology, hosts)?;
    let mut bridge_addresses = Vec::with_capacity(hosts);
    for _ in 0..hosts {
        bridge_addresses.extend(free.take_last());
    }
    let mut kept: HashMap<usize, Ipv4Addr> = (0..topology.nodes.len())
        .filter_map(|index| Some((index, existing.found.get(&index)?.node.mark.spec.address)))
        .filter(|&(_, address)| free.take(address))
        .collect();
    // A node that is made anew, because its host is silent, is known to the others by its old address.
    for (index, node) in topology.nodes.iter().enumerate() {
        if let Some(old) = before.get(node.name.as_str())
            && !kept.contains_key(&index)
            && free.take(old.spec.address)
        {
            kept.insert(index, old.spec.address);
        }
    }
    let mut nodes = Vec::with_capacity(topology.nodes.len());
    for index in 0..topology.nodes.len() {
        nodes.extend(kept.get(&index).copied().or_else(|| free.take_first()));
    }
    debug_assert_eq!(
        nodes.len(),
        topology.nodes.len(),
        "the size of the subnet was checked"
    );
    Ok((bridge_addresses, nodes))
}

#[cfg(test)]
mod tests;
