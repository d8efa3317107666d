//! Assembles the nodes and hosts of the plan once every choice is made.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use super::address;
use super::allot::Allotment;
use super::choices::{EmulatedCpu, emulated_cpu};
use super::given::Given;
use super::missing::Placed;
use super::model::{Action, HostPlan, NetworkPlan, NodePlan};
use super::needs::Needs;
use super::site::Site;
use crate::base::event::ActionKind;
use crate::base::name::HostName;
use crate::base::units::MiB;
use crate::inventory::{NodeSpec, domain_name, domain_uuid};

/// A node on its site.
pub(super) fn node_plan(
    given: &Given<'_>,
    network: &NetworkPlan,
    addresses: &Allotment<'_>,
    placed: &Placed<'_>,
) -> NodePlan {
    let (input, node) = (given.input, placed.item.node);
    let host = &placed.site.host.name;
    let address = addresses.nodes[&node.name];
    let bridge_address = addresses.bridges.get(host).copied();
    let image = input.topology.images.get(&node.image);
    let facts = input.images.get(&node.image);
    NodePlan {
        name: node.name.clone(),
        group: node.group.clone(),
        index: node.index,
        host: host.clone(),
        domain: domain_name(&input.topology.name, &node.name),
        uuid: domain_uuid(input.cluster_id, &node.name),
        user: image.map(|image| image.login_user().to_owned()),
        emulated_cpu: image.map_or_else(EmulatedCpu::default, |image| {
            emulated_cpu(&image.source, placed.site.observed.facts.qemu_version)
        }),
        disk: MiB(placed.item.needs.disk),
        spec: NodeSpec {
            image: node.image.clone(),
            image_key: facts.map(|facts| facts.key.clone()).unwrap_or_default(),
            firmware: facts.map(|facts| facts.firmware).unwrap_or_default(),
            user_data: input.topology.user_data_digest(node),
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

/// The hosts that hold nodes, now or until the removals are done, in topology order.
pub(super) fn host_plans(
    given: &Given<'_>,
    addresses: &Allotment<'_>,
    nodes: &[NodePlan],
    actions: &[Action],
) -> Vec<HostPlan> {
    let removals: HashSet<&HostName> = actions
        .iter()
        .filter(|action| action.kind == ActionKind::Remove)
        .map(|action| &action.host)
        .collect();
    let mut on: HashMap<&HostName, Vec<&NodePlan>> = HashMap::new();
    for node in nodes {
        on.entry(&node.host).or_default().push(node);
    }
    let mut sites: Vec<&Site<'_>> = given.sites.iter().collect();
    sites.sort_unstable_by_key(|site| site.order);
    sites
        .into_iter()
        .filter_map(|site| {
            let host = &site.host.name;
            let nodes = on.remove(host).unwrap_or_default();
            let takes_part = !nodes.is_empty() || removals.contains(host);
            takes_part.then(|| host_plan(site, addresses.bridges.get(host).copied(), &nodes))
        })
        .collect()
}

fn host_plan(site: &Site<'_>, bridge_address: Option<Ipv4Addr>, nodes: &[&NodePlan]) -> HostPlan {
    let needs = || nodes.iter().map(|node| Needs::of_plan(node));
    HostPlan {
        name: site.host.name.clone(),
        bridge_address,
        underlay: site.underlay(),
        nodes: nodes.iter().map(|node| node.name.clone()).collect(),
        accel: site.host.accel,
        memory: MiB(needs().map(|needs| needs.memory).sum()),
        vcpus: needs().map(|needs| needs.vcpus).sum(),
        disk: MiB(needs().map(|needs| needs.disk).sum()),
        capacity: site.capacity,
    }
}
