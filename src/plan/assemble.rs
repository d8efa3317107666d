//! Assembles the plan once every choice is made.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use uuid::Uuid;

use super::candidate::Candidate;
use super::existing::{Existing, Found};
use super::missing::Placed;
use super::model::{Action, HostPlan, NetworkPlan, NodePlan, PlanInput};
use super::natural::{Natural, natural};
use super::needs::Needs;
use super::{address, diff, network};
use crate::base::event::ActionKind;
use crate::base::name::{HostName, ImageName};
use crate::base::units::MiB;
use crate::inventory::NodeSpec;
use crate::topology;

/// A node, with its address and the bridge address of its host.
pub(super) fn node_plan(
    input: &PlanInput<'_>,
    node: &topology::Node,
    site: &Candidate<'_>,
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
pub(super) fn actions(
    sites: &[Candidate<'_>],
    placed: &[Placed],
    existing: &Existing<'_>,
    silent: &HashMap<&str, &HostName>,
    nodes: &[NodePlan],
) -> Vec<Action> {
    let mut removals: Vec<(usize, Natural, Action)> = Vec::new();
    let mut remove = |found: Found<'_>, reason: String| {
        let site = &sites[found.site];
        let node = found.node.mark.node.clone();
        let key = natural(node.as_str());
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
    for (&Placed { index, site }, node) in placed.iter().zip(nodes) {
        let found = existing.found.get(&index).copied();
        let (kind, reason) = match (found, existing.moves.get(&index)) {
            (None, _) => {
                let why = silent.get(node.name.as_str()).map_or_else(
                    || "does not exist yet".to_owned(),
                    |host| format!("its host {host} is unreachable"),
                );
                (ActionKind::Create, why)
            }
            (Some(found), None) => diff::action(found, node),
            (Some(found), Some(why)) if found.site == site => (ActionKind::Recreate, why.clone()),
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
    removals.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    removals
        .into_iter()
        .map(|(_, _, action)| action)
        .chain(rest)
        .collect()
}

/// The hosts that hold nodes, now or until the removals are done, in topology order.
pub(super) fn host_plans(
    sites: &[Candidate<'_>],
    by_order: &[usize],
    placed: &[Placed],
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
    for (node, placed) in nodes.iter().zip(placed) {
        on[placed.site].push(node);
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
                accel: site.host.accel,
                memory: MiB(needs().map(|needs| needs.memory).sum()),
                vcpus: needs().map(|needs| needs.vcpus).sum(),
                disk: MiB(needs().map(|needs| needs.disk).sum()),
                capacity: site.capacity,
            }
        })
        .collect()
}
