//! The data of a cluster for templates.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::model::{Network, Node, Topology};
use super::range::usable;
use crate::base::name::{GroupName, HostName, NetworkName};
use crate::template::{Data, Place, Shared};

/// A node with its addresses and host.
pub(crate) struct Placed<'a> {
    pub(crate) node: &'a Node,
    /// Its address in each of its networks, `cluster` first.
    pub(crate) addresses: Vec<(NetworkName, Ipv4Addr)>,
    pub(crate) host: Option<&'a HostName>,
}

/// The data of a cluster that is not planned yet: addresses as a new cluster would get them, hosts in turn.
pub(crate) fn sample(topology: &Topology) -> Shared {
    let networks = topology.all_networks();
    let mut free: HashMap<&NetworkName, _> = networks
        .map(|network| (&network.name, sample_addresses(network)))
        .collect();
    let placed = topology.nodes.iter().enumerate().map(|(i, node)| Placed {
        node,
        addresses: std::iter::once(&topology.network.name)
            .chain(&node.networks)
            .filter_map(|name| Some((name.clone(), free.get_mut(name)?.next()?)))
            .collect(),
        host: topology
            .hosts
            .get(i % topology.hosts.len().max(1))
            .map(|host| &host.name),
    });
    build(topology, placed.collect())
}

/// The addresses of a network, lowest first; more than there are if it is too small, which is reported elsewhere.
fn sample_addresses(network: &Network) -> impl Iterator<Item = Ipv4Addr> {
    let subnet = network.subnet;
    let (first, last) = Some(usable(subnet, network.range))
        .filter(|(first, last)| first <= last)
        .unwrap_or((subnet.network().into(), subnet.broadcast().into()));
    (first..=last).cycle().map(Ipv4Addr::from)
}

/// The data of these members of a cluster.
pub(crate) fn build(topology: &Topology, members: Vec<Placed<'_>>) -> Shared {
    let nodes: Vec<Value> = members.iter().map(describe).collect();
    let mut of_group: HashMap<&GroupName, Vec<Value>> = HashMap::new();
    let mut on_host: HashMap<&HostName, Vec<&str>> = HashMap::new();
    for (placed, value) in members.iter().zip(&nodes) {
        of_group
            .entry(&placed.node.group)
            .or_default()
            .push(value.clone());
        if let Some(host) = placed.host {
            on_host.entry(host).or_default().push(placed.node.name.as_str());
        }
    }
    let mut group_at = HashMap::new();
    let mut groups = Vec::new();
    let mut by_group = Map::new();
    for (index, group) in topology.groups.iter().enumerate() {
        let nodes = of_group.remove(&group.name).unwrap_or_default();
        by_group.insert(group.name.to_string(), nodes.clone().into());
        groups.push(json!({ "name": group.name, "index": index, "nodes": nodes }));
        group_at.insert(&group.name, index);
    }
    let hosts: Vec<Value> = topology
        .hosts
        .iter()
        .enumerate()
        .map(|(index, host)| {
            json!({
                "name": host.name,
                "index": index,
                "nodes": on_host.remove(&host.name).unwrap_or_default(),
                "vars": host.vars,
            })
        })
        .collect();
    let places = members
        .iter()
        .enumerate()
        .filter_map(|(node, placed)| {
            let group = *group_at.get(&placed.node.group)?;
            Some((placed.node.name.clone(), Place { node, group }))
        })
        .collect();
    let vars = members
        .iter()
        .map(|placed| placed.node.vars.clone().into())
        .collect();
    let networks: Map<String, Value> = topology
        .all_networks()
        .map(|network| (network.name.to_string(), json!({ "subnet": network.subnet })))
        .collect();
    let context = json!({
        "cluster": { "name": topology.name, "subnet": topology.network.subnet },
        "networks": networks,
        "node": null,
        "group": null,
        "vars": null,
        "groups": by_group,
        "hosts": hosts,
        "nodes": nodes,
    });
    Shared::new(Data {
        context,
        nodes,
        vars,
        groups,
        places,
    })
}

fn describe(placed: &Placed<'_>) -> Value {
    let node = placed.node;
    let addresses: Map<String, Value> = placed
        .addresses
        .iter()
        .map(|(network, address)| (network.to_string(), json!(address)))
        .collect();
    json!({
        "name": node.name,
        "address": placed.addresses.first().map(|(_, address)| address),
        "addresses": addresses,
        "index": node.index,
        "group": node.group,
        "host": placed.host,
        "vcpus": node.vcpus,
        "memory_mib": node.memory.0,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::base::name::NodeName;

    #[test]
    fn every_node_sees_itself_its_group_and_its_variables() {
        let text = "name: t\nhosts: { h1: {}, h2: {} }\nvars: { a: 1, b: 1 }\ngroups:\n  web: { count: 2, vars: { b: 2 } }\n  db: { count: 1 }\n";
        let topology =
            Topology::parse(text, "t.yaml", Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
        let shared = super::sample(&topology);
        let template = shared
            .compile("{{node.name}} {{node.address}} {{group.name}} {{length group.nodes}} {{length nodes}} {{vars.a}}{{vars.b}} {{node.host}}", "t")
            .unwrap();
        let render = |name: &str| {
            shared
                .render(&template, &name.parse::<NodeName>().unwrap())
                .unwrap()
        };
        assert_eq!(render("web002"), "web002 10.77.0.2 web 2 3 12 h2");
        assert_eq!(render("db001"), "db001 10.77.0.3 db 1 3 11 h1");
        assert_eq!(render("web001"), "web001 10.77.0.1 web 2 3 12 h1");
        assert!(shared.render(&template, &"web003".parse().unwrap()).is_err());
        assert_eq!(
            shared
                .render_text(
                    "{{join groups.web \",\" \"name\"}} {{#each hosts}}{{name}}{{/each}}",
                    "t",
                    &"db001".parse().unwrap()
                )
                .unwrap(),
            "web001,web002 h1h2"
        );
    }

    #[test]
    fn a_node_has_an_address_in_each_network_that_it_joins() {
        let text = "name: t\nnetworks:\n  cluster: { subnet: 10.1.0.0/24 }\n  storage: { subnet: 10.2.0.0/24, range: 10.2.0.9-10.2.0.12 }\ngroups:\n  mon: { count: 1 }\n  osd: { count: 2, networks: [cluster, storage] }\n";
        let topology =
            Topology::parse(text, "t.yaml", Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
        let shared = super::sample(&topology);
        let render = |text: &str, node: &str| shared.render_text(text, "t", &node.parse().unwrap());
        let own = "{{node.address}} {{node.addresses.cluster}} {{node.addresses.storage}}";
        assert_eq!(render(own, "osd001").unwrap(), "10.1.0.2 10.1.0.2 10.2.0.9");
        assert_eq!(render(own, "osd002").unwrap(), "10.1.0.3 10.1.0.3 10.2.0.10");
        assert!(render(own, "mon001").is_err());
        assert_eq!(
            render(
                "{{networks.storage.subnet}} {{#each groups.osd}}{{addresses.storage}},{{/each}}",
                "mon001"
            )
            .unwrap(),
            "10.2.0.0/24 10.2.0.9,10.2.0.10,"
        );
    }

    #[test]
    fn rendering_for_a_thousand_nodes_copies_no_other_nodes() {
        let text = "name: t\nvars: { port: 1 }\ngroups: { web: { count: 1000 } }\n";
        let topology =
            Topology::parse(text, "t.yaml", Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
        let shared = super::sample(&topology);
        let own = shared
            .compile(
                "{{node.name}} {{node.address}} {{vars.port}} {{length nodes}}",
                "t",
            )
            .unwrap();
        let all = shared
            .compile("{{#each nodes}}{{address}}:{{@root.vars.port}} {{/each}}", "t")
            .unwrap();
        let joined = shared
            .compile("{{join group.nodes \" \" \"address\"}}", "t")
            .unwrap();
        for (what, template, nodes) in [("own", &own, 1000), ("all", &all, 20), ("joined", &joined, 100)] {
            let start = std::time::Instant::now();
            for node in &topology.nodes[..nodes] {
                shared.render(template, &node.name).unwrap();
            }
            let each = start.elapsed() / nodes as u32;
            assert!(each.as_millis() < 1_000, "{what}: {each:?} a node");
        }
    }
}
