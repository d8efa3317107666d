//! Several networks and several disks of a node.

use std::collections::BTreeSet;

use super::fixture::{ID, World, doings, layout};
use crate::base::event::ActionKind;
use crate::base::failure::UserFacing;
use crate::base::name::NetworkName;
use crate::base::units::MiB;
use crate::inventory::{InterfaceSpec, Mac, ShortId};
use crate::plan::{NodePlan, Plan, Scope};
use crate::topology::Place;

fn name(text: &str) -> NetworkName {
    text.parse().unwrap()
}

fn storage() -> NetworkName {
    name("storage")
}

/// Nodes `a01` on `bm1` and `a02` on `bm2`, both in `storage`.
fn world() -> World {
    World::new()
        .hosts(2, 1024, 16)
        .group("a", 2, 1024, Place::Pack)
        .network("storage", "10.78.0.0/16", &["a"])
}

/// Without its further networks.
fn without_networks(world: &World) -> World {
    let mut world = world.clone();
    world.topology.networks.clear();
    for node in &mut world.topology.nodes {
        node.networks.clear();
    }
    world
}

fn vni(plan: &Plan, network: &str) -> u32 {
    let network = plan.network(&name(network)).unwrap();
    network.vxlan.as_ref().unwrap().vni
}

fn addresses(node: &NodePlan) -> Vec<String> {
    let addresses = node.spec.addresses();
    addresses
        .map(|(network, address)| format!("{network} {address}"))
        .collect()
}

#[test]
fn a_further_network_is_only_where_nodes_join_it() {
    let mut world = World::new()
        .hosts(2, 2048, 16)
        .group("a", 2, 1024, Place::Pack)
        .group("b", 1, 1024, Place::Pack)
        .network("storage", "10.78.0.0/16", &["a"]);
    for (group, host) in world.topology.groups.iter_mut().zip(["bm1", "bm2"]) {
        group.on = Some(vec![host.parse().unwrap()]);
    }
    let plan = world.plan().unwrap();
    assert_eq!(layout(&plan), "bm1: a[01-02] | bm2: b01");
    let network = &plan.networks[0];
    assert_eq!(network.bridge, ShortId::of(ID).bridge_name(&storage()));
    assert_eq!((network.mtu, &network.vxlan), (1450, &None));
    assert!(plan.network.vxlan.is_some());
    assert_eq!(
        plan.hosts[0].address_in(&storage()),
        Some([10, 78, 255, 254].into())
    );
    assert!(!plan.hosts[1].joins(&storage()));
    assert_eq!(
        addresses(&plan.nodes[1]),
        ["cluster 10.77.0.2", "storage 10.78.0.2"]
    );
    let interface = &plan.nodes[1].spec.interfaces[0];
    assert_eq!(interface.address.to_string(), "10.78.0.2/16");
    assert_eq!(interface.mac.to_string(), "52:54:0a:4e:00:02");
    assert_eq!(interface.bridge, network.bridge);
    assert_eq!(addresses(&plan.nodes[2]), ["cluster 10.77.0.3"]);

    let claimed = plan.claimed_capacity(&"bm1".parse().unwrap()).networks;
    assert_eq!(claimed.len(), 1);
    assert_eq!((&claimed[0].name, claimed[0].vni), (&storage(), None));
    assert_eq!(claimed[0].subnet, Some(network.subnet));
    assert!(plan.claimed_capacity(&"bm2".parse().unwrap()).networks.is_empty());
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    let shown = crate::report::plan::plan(&plan);
    let line = format!(
        "\nnetwork storage: 10.78.0.0/16, mtu 1450, bridge {}\n",
        network.bridge
    );
    assert!(shown.contains(&line), "{shown}");
}

#[test]
fn another_network_changes_no_address_and_no_identifier_of_the_others() {
    let mut world = world();
    let plan = world.plan().unwrap();
    assert_ne!(vni(&plan, "cluster"), vni(&plan, "storage"));
    let alone = without_networks(&world).plan().unwrap();
    assert_eq!(vni(&alone, "cluster"), vni(&plan, "cluster"));
    world.apply(&plan);
    assert!(doings(&world.plan().unwrap()).is_empty());

    // It comes first in the file.
    let mut more = world.clone().network("backup", "10.79.0.0/16", &["a"]);
    more.topology.networks.swap(0, 1);
    let after = more.plan().unwrap();
    let vnis: BTreeSet<u32> = ["cluster", "storage", "backup"]
        .map(|name| vni(&after, name))
        .into();
    assert_eq!(vnis.len(), 3);
    for network in ["cluster", "storage"] {
        assert_eq!(vni(&after, network), vni(&plan, network));
    }
    assert_eq!(
        addresses(&after.nodes[0]),
        ["cluster 10.77.0.1", "storage 10.78.0.1", "backup 10.79.0.1"]
    );
    assert_eq!(
        doings(&after),
        [
            "Recreate a01 on bm1: network backup added",
            "Recreate a02 on bm2: network backup added"
        ]
    );

    let fewer = without_networks(&world).plan().unwrap();
    assert_eq!(vni(&fewer, "cluster"), vni(&plan, "cluster"));
    assert_eq!(doings(&fewer)[0], "Recreate a01 on bm1: network storage removed");
    assert!(fewer.networks.is_empty() && fewer.hosts[0].networks.is_empty());
}

#[test]
fn every_change_of_an_interface_is_a_reason() {
    let mut world = world().network("backup", "10.79.0.0/16", &["a"]);
    let plan = world.plan().unwrap();
    world.apply(&plan);
    let reason = |change: &dyn Fn(&mut World)| {
        let mut world = world.clone();
        change(&mut world);
        let doings = doings(&world.plan().unwrap());
        doings.into_iter().next().unwrap_or_default()
    };
    let on_a01 = |reason: &str| format!("Recreate a01 on bm1: {reason}");
    assert_eq!(reason(&|_| ()), "");
    assert_eq!(
        reason(&|w| w.topology.networks[0].mtu = Some(1400)),
        on_a01("mtu of storage 1450 -> 1400")
    );
    assert_eq!(
        reason(&|w| w.topology.networks[0].subnet = "10.80.0.0/16".parse().unwrap()),
        on_a01("address of storage 10.78.0.1/16 -> 10.80.0.1/16")
    );
    assert_eq!(
        reason(&|w| w.topology.networks[0].nat = true),
        on_a01("gateway of storage none -> 10.78.255.254")
    );
    assert_eq!(
        reason(&|w| w.topology.nodes[0].networks.reverse()),
        on_a01("networks storage backup -> backup storage")
    );
    assert_eq!(
        reason(&|w| w.topology.nodes[0].disks = vec![MiB(1024), MiB(2048)]),
        on_a01("disk 1 none -> 1 GiB, disk 2 none -> 2 GiB")
    );
}

#[test]
fn another_bridge_of_the_network_cluster_is_a_reason_and_an_unknown_one_is_not() {
    let mut world = World::new().hosts(1, 2048, 16).group("a", 1, 1024, Place::Pack);
    world.topology.network.bridge = Some("br0".into());
    let plan = world.plan().unwrap();
    world.apply(&plan);
    let doings_on = |world: &World, bridge: Option<&str>| {
        let mut world = world.clone();
        world.topology.network.bridge = bridge.map(str::to_owned);
        doings(&world.plan().unwrap())
    };
    assert!(doings_on(&world, Some("br0")).is_empty());
    assert_eq!(
        doings_on(&world, Some("br1")),
        ["Recreate a01 on bm1: bridge br0 -> br1"]
    );
    assert_eq!(
        doings_on(&world, None),
        ["Recreate a01 on bm1: bridge br0 -> vcb12345678"]
    );
    // As an earlier release made it.
    world.node("a01").mark.spec.bridge = None;
    assert!(doings_on(&world, Some("br0")).is_empty());
}

#[test]
fn the_default_gateway_is_that_of_the_first_network_that_has_one() {
    let mut world = world().network("public", "192.168.50.0/24", &["a"]);
    world.topology.network.dns = vec![[1, 1, 1, 1].into()];
    world.topology.networks[0].dns = vec![[9, 9, 9, 9].into(), [1, 1, 1, 1].into()];
    world.topology.networks[1].gateway = Some([192, 168, 50, 254].into());
    let gateways = |world: &World| {
        let spec = world.plan().unwrap().nodes.remove(0).spec;
        let further = spec.interfaces.iter().map(|interface| interface.gateway);
        let all = std::iter::once(spec.gateway).chain(further);
        all.map(|gateway| gateway.map_or_else(String::new, |gateway| gateway.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(gateways(&world), ["", "", "192.168.50.254"]);
    world.topology.networks[0].nat = true;
    assert_eq!(gateways(&world), ["", "10.78.255.254", ""]);
    world.topology.network.nat = true;
    assert_eq!(gateways(&world), ["10.77.255.254", "", ""]);
    let plan = world.plan().unwrap();
    let dns: Vec<String> = plan.nodes[0].spec.dns.iter().map(ToString::to_string).collect();
    assert_eq!(dns, ["1.1.1.1", "9.9.9.9"]);
}

#[test]
fn an_error_names_the_further_network() {
    let mut wide = world();
    wide.topology.networks[0].mtu = Some(9000);
    assert_eq!(
        wide.plan().unwrap_err().to_string(),
        "mtu 9000 of network `storage` is too large: the underlay of `bm1` carries 1450 at most"
    );
    let mut small = world();
    small.topology.networks[0].subnet = "10.78.0.0/30".parse().unwrap();
    assert_eq!(
        small.plan().unwrap_err().to_string(),
        "subnet 10.78.0.0/30 of network `storage` is too small: 4 addresses are needed (2 nodes, 2 hosts), 2 are \
         usable"
    );
    small.topology.networks[0].range = Some("10.78.0.1-10.78.0.2".parse().unwrap());
    assert_eq!(
        small.plan().unwrap_err().hint().unwrap(),
        "widen `range` of `storage` in `networks` (test.yaml:10:3)"
    );
    let mut routed = world();
    let route = ("10.78.1.0/24".parse().unwrap(), "eth1".into());
    routed.at("bm2").facts.routes.push(route);
    assert_eq!(
        routed.plan().unwrap_err().to_string(),
        "subnet 10.78.0.0/16 of network `storage` is in use on `bm2`: it has a route to 10.78.1.0/24 via eth1"
    );
}

#[test]
fn on_an_existing_bridge_an_address_of_any_interface_of_others_is_taken() {
    let mut world = World::new()
        .hosts(1, 4096, 16)
        .group("a", 1, 1024, Place::Pack)
        .network("public", "192.168.50.0/24", &["a"]);
    world.topology.networks[0].bridge = Some("br0".into());
    world.add_other("bm1", 64, [10, 99, 0, 1]);
    let other = world.at("bm1").nodes.last_mut().unwrap();
    other.mark.spec.interfaces.push(InterfaceSpec {
        network: name("outside"),
        bridge: "br0".into(),
        address: "192.168.50.1/24".parse().unwrap(),
        mac: Mac([0x52, 0x54, 192, 168, 50, 1]),
        mtu: 1500,
        gateway: None,
    });
    let plan = world.plan().unwrap();
    assert_eq!(
        addresses(&plan.nodes[0]),
        ["cluster 10.77.0.1", "public 192.168.50.2"]
    );
    assert_eq!(plan.nodes[0].spec.interfaces[0].bridge, "br0");
    assert!(plan.hosts[0].joins(&name("public")));
    assert_eq!(plan.hosts[0].address_in(&name("public")), None);
    // On a bridge of its own, the same subnet would meet the other cluster.
    world.topology.networks[0].bridge = None;
    assert_eq!(
        world.plan().unwrap_err().to_string(),
        "subnet 192.168.50.0/24 of network `public` is in use on `bm1`: cluster `other` has `x0` at 192.168.50.1 there"
    );
}

#[test]
fn without_the_narrowest_host_the_mtu_of_each_network_stays() {
    let mut world = world();
    world.topology.hosts[1].max_nodes = 0;
    world.at("bm1").facts.memory = MiB(4096);
    world.at("bm2").facts.underlay_mtu = Some(1400);
    let plan = world.plan().unwrap();
    assert_eq!((plan.network.mtu, plan.networks[0].mtu), (1350, 1350));
    world.apply(&plan);
    world.known_failures.before = Some(plan);
    world.observed.pop();
    let plan = world.plan().unwrap();
    assert_eq!((plan.network.mtu, plan.networks[0].mtu), (1350, 1350));
    assert!(doings(&plan).is_empty());
}

#[test]
fn further_disks_count_where_a_node_is_placed() {
    let mut world = World::new().hosts(2, 8192, 16).group("a", 2, 512, Place::Pack);
    for host in &mut world.observed {
        host.facts.disk_free = MiB(10 * 1024);
    }
    for node in &mut world.topology.nodes {
        node.disk = Some(MiB(1024));
        node.disks = vec![MiB(4096), MiB(1024)];
    }
    let plan = world.plan().unwrap();
    assert_eq!(layout(&plan), "bm1: a01 | bm2: a02");
    assert_eq!((plan.nodes[0].disk, plan.hosts[0].disk), (MiB(6144), MiB(6144)));
    assert_eq!(plan.nodes[0].spec.disks, [MiB(4096), MiB(1024)]);
    world.apply(&plan);
    assert!(doings(&world.plan().unwrap()).is_empty());
    world.topology.nodes[0].disks[1] = MiB(2048);
    assert_eq!(
        doings(&world.plan().unwrap()),
        ["Recreate a01 on bm1: disk 2 1 GiB -> 2 GiB"]
    );
    world.topology.nodes[0].disks[1] = MiB(20 * 1024);
    let error = world.plan().unwrap_err().to_string();
    assert!(error.contains("25 GiB of disk"), "{error}");
}

#[test]
fn a_plan_for_some_nodes_keeps_the_networks_of_the_others() {
    let mut world = world();
    let before = world.plan().unwrap();
    world.apply(&before);
    let scope = Scope {
        nodes: BTreeSet::from(["a01".parse().unwrap()]),
        kind: ActionKind::Recreate,
    };
    let mut plan = without_networks(&world).plan().unwrap();
    scope.limit(&mut plan, Some(&before)).unwrap();
    assert_eq!(plan.networks, before.networks);
    assert!(plan.nodes[0].spec.interfaces.is_empty() && plan.hosts[0].networks.is_empty());
    assert_eq!(plan.nodes[1], before.nodes[1]);
    assert_eq!(plan.hosts[1].networks, before.hosts[1].networks);
}
