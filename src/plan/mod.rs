//! The planner: topology + observed state -> [`Plan`]. Pure: no I/O, no clock, no randomness.
//!
//! One idea per file: `existing` pairs domains with nodes, `capacity` and `place` find hosts for new
//! nodes, `address` and `network` assign addresses and devices, `diff` chooses the action and its
//! reason, `refusal` explains why there is no plan, `missing` chooses the nodes to leave out, and
//! `assemble` builds the result.

mod address;
mod assemble;
mod candidate;
mod capacity;
mod choices;
mod claims;
mod diff;
mod error;
mod existing;
pub mod garbage;
mod missing;
mod model;
mod natural;
mod needs;
mod network;
mod place;
mod refusal;
pub mod retry;
mod search;
mod task;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use crate::base::event::ActionKind;
use crate::base::name::HostName;
use crate::topology::Topology;
use address::Addresses;
use candidate::{Candidate, candidates, rules};
use capacity::FreeCapacity;
pub use choices::{Acceleration, BootLimits, acceleration, boot_limits, drop_out};
pub use claims::ClaimedCapacity;
pub use error::{PlanError, Shortage};
use existing::Existing;
use missing::{Placed, place_all};
pub use model::{
    Action, Capacity, FailedNode, HostPlan, KnownFailures, MissingNode, NetworkPlan, NodePlan, PLAN_VERSION,
    Plan, PlanInput, VxlanPlan,
};
pub(crate) use network::overhead;

/// Makes every choice, or returns why there is no plan.
///
/// A host that is observed but not (or no longer) in the topology gets no nodes and loses those that it has.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, PlanError> {
    let topology = input.topology;
    network::check_name(input)?;
    let sites = candidates(input);
    let groups = rules(topology, &sites);
    let group_of = group_of(topology);
    let ranks = natural::ranks(topology.nodes.iter().map(|node| node.name.as_str()));

    let mut rooms: Vec<FreeCapacity> = sites
        .iter()
        .map(|site| FreeCapacity::new(site.capacity))
        .collect();
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

/// The nodes of the previous plan, by name.
fn before<'a>(input: &'a PlanInput<'_>) -> HashMap<&'a str, &'a NodePlan> {
    let plan = input.trouble.before.as_ref();
    plan.filter(|plan| plan.cluster_id == input.cluster_id)
        .into_iter()
        .flat_map(|plan| &plan.nodes)
        .map(|node| (node.name.as_str(), node))
        .collect()
}

/// The nodes of the previous plan on hosts that were not reached.
fn silent<'a>(
    sites: &[Candidate<'_>],
    before: &HashMap<&'a str, &'a NodePlan>,
) -> HashMap<&'a str, &'a HostName> {
    let reached: HashSet<&HostName> = sites.iter().map(|site| &site.host.name).collect();
    before
        .iter()
        .filter(|(_, node)| !reached.contains(&node.host))
        .map(|(name, node)| (*name, &node.host))
        .collect()
}

/// Removals on hosts that are no longer in the topology.
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
            reason: "its host is no longer in the topology".to_owned(),
        })
    })
    .collect()
}

/// The group of each node, by index.
fn group_of(topology: &Topology) -> Vec<usize> {
    let names = candidate::group_indexes(topology);
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
    // Our own bridge carries no other cluster.
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
    // A node that is recreated because its host is unreachable is known to the others by its old address.
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
