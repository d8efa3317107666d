//! Assembles the nodes and hosts of the plan once every choice is made.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::Ipv4Net;

use super::address;
use super::allot::Allotments;
use super::choices::{EmulatedCpu, emulated_cpu};
use super::given::Given;
use super::missing::Placed;
use super::model::{Action, HostPlan, NodePlan};
use super::needs::Needs;
use super::site::Site;
use crate::base::event::ActionKind;
use crate::base::name::{HostName, NetworkName};
use crate::base::units::MiB;
use crate::inventory::{InterfaceSpec, NodeSpec, domain_name, domain_uuid};
use crate::topology::Node;

/// A node on its site.
pub(super) fn node_plan(given: &Given<'_>, networks: &Allotments<'_>, placed: &Placed<'_>) -> NodePlan {
    let (input, node) = (given.input, placed.item.node);
    let host = &placed.site.host.name;
    let cluster = &networks.cluster;
    let address = cluster.nodes[&node.name];
    let gateway = cluster.gateway(host);
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
            disks: node.disks.clone(),
            interfaces: interfaces(networks, placed, gateway.is_some()),
            bridge: Some(cluster.network.bridge.clone()),
            address,
            mac: address::mac(address),
            mtu: cluster.network.mtu,
            gateway,
            dns: dns(networks, node),
            client_key: input.client_key.clone(),
        },
    }
}

/// The interfaces of a node in further networks. The first of them whose network has a default gateway gets it, unless
/// `has_gateway`.
fn interfaces(networks: &Allotments<'_>, placed: &Placed<'_>, mut has_gateway: bool) -> Vec<InterfaceSpec> {
    let node = placed.item.node;
    let mut interfaces = Vec::with_capacity(node.networks.len());
    for joined in node.networks.iter().filter_map(|name| networks.further(name)) {
        let (network, address) = (&joined.network, joined.nodes[&node.name]);
        // The prefix length of a network is always valid.
        let Ok(with_prefix) = Ipv4Net::new(address, network.subnet.prefix_len()) else {
            continue;
        };
        let gateway = joined.gateway(&placed.site.host.name).filter(|_| !has_gateway);
        has_gateway |= gateway.is_some();
        interfaces.push(InterfaceSpec {
            network: network.name.clone(),
            bridge: network.bridge.clone(),
            address: with_prefix,
            mac: address::mac(address),
            mtu: network.mtu,
            gateway,
        });
    }
    interfaces
}

/// The name servers of all networks of a node, in order.
fn dns(networks: &Allotments<'_>, node: &Node) -> Vec<IpAddr> {
    let mut dns = networks.cluster.network.dns.clone();
    for joined in node.networks.iter().filter_map(|name| networks.further(name)) {
        for server in &joined.network.dns {
            if !dns.contains(server) {
                dns.push(*server);
            }
        }
    }
    dns
}

/// The hosts that hold nodes, now or until the removals are done, in topology order.
pub(super) fn host_plans(
    given: &Given<'_>,
    networks: &Allotments<'_>,
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
            takes_part.then(|| host_plan(site, networks, &nodes))
        })
        .collect()
}

fn host_plan(site: &Site<'_>, networks: &Allotments<'_>, nodes: &[&NodePlan]) -> HostPlan {
    let needs = || nodes.iter().map(|node| Needs::of_plan(node));
    let name = &site.host.name;
    let joined: HashSet<&NetworkName> = nodes
        .iter()
        .flat_map(|node| &node.spec.interfaces)
        .map(|interface| &interface.network)
        .collect();
    let further = networks.further.iter();
    let further = further.filter(|further| joined.contains(&further.network.name));
    HostPlan {
        name: name.clone(),
        bridge_address: networks.cluster.bridges.get(name).copied(),
        networks: further
            .map(|further| (further.network.name.clone(), further.bridges.get(name).copied()))
            .collect(),
        underlay: site.underlay(),
        nodes: nodes.iter().map(|node| node.name.clone()).collect(),
        accel: site.host.accel,
        memory: MiB(needs().map(|needs| needs.memory).sum()),
        vcpus: needs().map(|needs| needs.vcpus).sum(),
        disk: MiB(needs().map(|needs| needs.disk).sum()),
        capacity: site.capacity,
    }
}
