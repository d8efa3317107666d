//! The planner: topology + what was observed -> [`Plan`]. Pure: no I/O, no clock, no randomness.
//!
//! One idea per file: `existing` pairs domains with nodes, `capacity` and `place` give the new
//! ones a host, `address` and `network` number them, `diff` says what is done and why, `refusal`
//! why there is no plan.

mod address;
mod capacity;
mod diff;
mod error;
mod existing;
mod model;
mod natural;
mod network;
mod place;
mod refusal;
mod search;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use uuid::Uuid;

use crate::host::ObservedHost;
use crate::name::ImageName;
use crate::topology::{self, Topology};
use address::Addresses;
use capacity::{Needs, Room};
pub use error::{Lack, PlanError};
use existing::Existing;
pub use model::{
    Action, ActionKind, Capacity, HostPlan, Mac, NetworkPlan, NodePlan, NodeSpec, PLAN_VERSION, Plan,
    PlanInput, VxlanPlan,
};
use place::{Item, Rules, Task};

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
/// What is observed on a host that the topology does not name (any more) is left alone.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, PlanError> {
    let topology = input.topology;
    network::check_name(input)?;
    let sites = sites(input);
    let groups = rules(topology, &sites);
    let group_of = group_of(topology);
    let ranks = natural::ranks(topology.nodes.iter().map(|node| node.name.as_str()));

    let mut rooms: Vec<Room> = sites.iter().map(|site| Room::new(site.capacity)).collect();
    let mut existing = existing::pair(topology, input.cluster_id, &sites, &groups, &group_of);
    existing.settle(topology, &sites, &groups, &group_of, &ranks, &mut rooms);
    let site_of = place_all(topology, &sites, groups, &group_of, &ranks, &existing, rooms)?;

    let mut used = vec![false; sites.len()];
    site_of.iter().for_each(|&site| used[site] = true);
    let mut by_order: Vec<usize> = (0..sites.len()).collect();
    by_order.sort_unstable_by_key(|&site| sites[site].order);
    let used: Vec<usize> = by_order.iter().copied().filter(|&site| used[site]).collect();
    let network = network::network(input, &sites, &used)?;
    let (bridge_addresses, addresses) = addresses(input, &network, &existing)?;

    let nodes: Vec<NodePlan> = topology
        .nodes
        .iter()
        .zip(addresses)
        .zip(&site_of)
        .map(|((node, address), &site)| {
            let bridge_address = bridge_addresses.get(sites[site].order).copied();
            node_plan(input, node, &sites[site], address, &network, bridge_address)
        })
        .collect();
    let actions = actions(topology, &sites, &site_of, &existing, &nodes);
    let hosts = host_plans(&sites, &by_order, &site_of, &bridge_addresses, &actions, &nodes);
    Ok(Plan {
        version: PLAN_VERSION,
        cluster: topology.name.clone(),
        cluster_id: input.cluster_id,
        network,
        hosts,
        nodes,
        actions,
    })
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

/// The site of each node.
fn place_all(
    topology: &Topology,
    sites: &[Site<'_>],
    groups: Vec<Rules>,
    group_of: &[usize],
    ranks: &[usize],
    existing: &Existing<'_>,
    rooms: Vec<Room>,
) -> Result<Vec<usize>, PlanError> {
    let stays = |index: usize| {
        existing
            .found
            .get(&index)
            .filter(|_| !existing.moves.contains_key(&index))
            .map(|found| found.site)
    };
    let mut site_of: Vec<usize> = (0..topology.nodes.len())
        .map(|i| stays(i).unwrap_or(usize::MAX))
        .collect();
    let new: Vec<usize> = (0..topology.nodes.len())
        .filter(|&i| site_of[i] == usize::MAX)
        .collect();
    let items = new
        .iter()
        .map(|&i| Item {
            group: group_of[i],
            needs: Needs::of(&topology.nodes[i]),
            rank: ranks[i],
        })
        .collect();
    let task = Task { rooms, groups, items };
    let placed = task.solve().map_err(|failure| {
        let index = new[failure.item];
        let group = group_of[index];
        refusal::refuse(
            topology,
            sites,
            &topology.nodes[index],
            group,
            &task.groups[group],
            &failure,
        )
    })?;
    for (index, site) in new.into_iter().zip(placed) {
        site_of[index] = site;
    }
    Ok(site_of)
}

/// Bridge addresses of the hosts, in topology order, and addresses of the nodes.
fn addresses(
    input: &PlanInput<'_>,
    network: &NetworkPlan,
    existing: &Existing<'_>,
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
    let kept: HashMap<usize, Ipv4Addr> = (0..topology.nodes.len())
        .filter_map(|index| Some((index, existing.found.get(&index)?.node.mark.spec.address)))
        .filter(|&(_, address)| free.take(address))
        .collect();
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

fn node_plan(
    input: &PlanInput<'_>,
    node: &topology::Node,
    site: &Site<'_>,
    address: Ipv4Addr,
    network: &NetworkPlan,
    bridge_address: Option<Ipv4Addr>,
) -> NodePlan {
    let image_key = |image: &ImageName| input.image_keys.get(image).cloned().unwrap_or_default();
    NodePlan {
        name: node.name.clone(),
        group: node.group.clone(),
        index: node.index,
        host: site.host.name.clone(),
        domain: format!("{}.{}", input.topology.name, node.name),
        uuid: Uuid::new_v5(&input.cluster_id, node.name.as_str().as_bytes()),
        spec: NodeSpec {
            image: node.image.clone(),
            image_key: image_key(&node.image),
            vcpus: node.vcpus,
            memory: node.memory,
            disk: node.disk,
            address,
            mac: address::mac(address),
            mtu: network.mtu,
            gateway: network.gateway.or(bridge_address.filter(|_| network.nat)),
            dns: network.dns.clone(),
            client_key: input.client_key.clone(),
        },
    }
}

/// Removals first, then the rest in topology order.
fn actions(
    topology: &Topology,
    sites: &[Site<'_>],
    site_of: &[usize],
    existing: &Existing<'_>,
    nodes: &[NodePlan],
) -> Vec<Action> {
    let mut removals: Vec<(usize, natural::Natural, Action)> = Vec::new();
    let mut remove = |found: existing::Found<'_>, reason: String| {
        let site = &sites[found.site];
        let node = found.node.mark.node.clone();
        let key = natural::natural(node.as_str());
        let action = Action {
            node,
            host: site.host.name.clone(),
            kind: ActionKind::Remove,
            reason,
        };
        removals.push((site.order, key, action));
    };
    for (found, reason) in &existing.unwanted {
        remove(*found, reason.clone());
    }
    let mut rest = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let found = existing.found.get(&index).copied();
        let (kind, reason) = match (found, existing.moves.get(&index)) {
            (None, _) => (ActionKind::Create, "not there yet".to_owned()),
            (Some(found), None) => diff::action(found, node),
            (Some(found), Some(why)) if found.site == site_of[index] => (ActionKind::Recreate, why.clone()),
            (Some(found), Some(why)) => {
                remove(found, format!("moves to {}: {why}", node.host));
                (
                    ActionKind::Create,
                    format!("moves from {}: {why}", sites[found.site].host.name),
                )
            }
        };
        rest.push(Action {
            node: node.name.clone(),
            host: node.host.clone(),
            kind,
            reason,
        });
    }
    debug_assert_eq!(rest.len(), topology.nodes.len());
    removals.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    removals
        .into_iter()
        .map(|(_, _, action)| action)
        .chain(rest)
        .collect()
}

/// The hosts that hold nodes, now or until the removals are done, in topology order.
fn host_plans(
    sites: &[Site<'_>],
    by_order: &[usize],
    site_of: &[usize],
    bridge_addresses: &[Ipv4Addr],
    actions: &[Action],
    nodes: &[NodePlan],
) -> Vec<HostPlan> {
    let removals: HashSet<&str> = actions
        .iter()
        .filter(|action| action.kind == ActionKind::Remove)
        .map(|action| action.host.as_str())
        .collect();
    let mut on: Vec<Vec<&NodePlan>> = vec![Vec::new(); sites.len()];
    for (node, &site) in nodes.iter().zip(site_of) {
        on[site].push(node);
    }
    by_order
        .iter()
        .map(|&index| (&sites[index], &on[index]))
        .filter(|(site, nodes)| !nodes.is_empty() || removals.contains(site.host.name.as_str()))
        .map(|(site, nodes)| {
            let needs = || nodes.iter().map(|node| Needs::of_spec(&node.spec));
            HostPlan {
                name: site.host.name.clone(),
                bridge_address: bridge_addresses.get(site.order).copied(),
                underlay: network::underlay(site),
                nodes: nodes.iter().map(|node| node.name.clone()).collect(),
                memory: crate::units::MiB(needs().map(|needs| needs.memory).sum()),
                vcpus: needs().map(|needs| needs.vcpus).sum(),
                disk: crate::units::MiB(needs().map(|needs| needs.disk).sum()),
                capacity: site.capacity,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
