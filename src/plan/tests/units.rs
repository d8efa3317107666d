use super::fixture::{ID, World, doings, layout, object};
use crate::base::failure::UserFacing;
use crate::base::units::MiB;
use crate::inventory::DomainState;
use crate::plan::{Plan, PlanError, Shortage};
use crate::topology::Place;

#[test]
fn packing_fills_a_host_before_it_uses_the_next() {
    let world = World::new().hosts(3, 4096, 16).group("a", 9, 1024, Place::Pack);
    assert_eq!(
        layout(&world.plan().unwrap()),
        "bm1: a[01-04] | bm2: a[05-08] | bm3: a09"
    );
}

#[test]
fn spreading_takes_the_host_with_the_fewest_nodes() {
    let world = World::new()
        .hosts(3, 8192, 16)
        .group("a", 4, 512, Place::Pack)
        .group("s", 3, 512, Place::Spread);
    assert_eq!(
        layout(&world.plan().unwrap()),
        "bm1: a[01-04],s01 | bm2: s02 | bm3: s03"
    );
}

#[test]
fn hosts_are_taken_in_the_natural_order_of_their_names() {
    let world = World::new().hosts(11, 1024, 16).group("a", 3, 1024, Place::Pack);
    assert_eq!(layout(&world.plan().unwrap()), "bm1: a01 | bm2: a02 | bm3: a03");
}

#[test]
fn a_host_that_has_nodes_is_filled_even_if_another_name_sorts_first() {
    let mut world = World::new().hosts(2, 4096, 16).group("a", 1, 1024, Place::Pack);
    world.topology.groups[0].on = Some(vec!["bm2".parse().unwrap()]);
    let plan = world.plan().unwrap();
    world.apply(&plan);
    world.topology.groups[0].on = None;
    world.grow(0, 1024);
    assert_eq!(layout(&world.plan().unwrap()), "bm2: a[01-02]");
}

#[test]
fn separate_works_in_both_directions_and_within_a_group() {
    let mut world = World::new()
        .hosts(3, 8192, 16)
        .group("a", 2, 512, Place::Pack)
        .group("b", 2, 512, Place::Pack);
    world.topology.groups[0].separate = vec!["a".parse().unwrap(), "b".parse().unwrap()];
    assert_eq!(
        layout(&world.plan().unwrap()),
        "bm1: a01 | bm2: a02 | bm3: b[01-02]"
    );
}

#[test]
fn the_reserve_foreign_domains_and_other_clusters_are_taken_off() {
    let mut world = World::new().hosts(2, 4096, 8).group("a", 2, 1024, Place::Pack);
    world.topology.hosts[0].reserve = MiB(1024);
    world.observed[0].foreign_memory = MiB(512);
    world.add_other("bm1", 1024, [10, 99, 0, 1]);
    world.topology.hosts[0].max_nodes = 3;
    let plan = world.plan().unwrap();
    assert_eq!(layout(&plan), "bm1: a01 | bm2: a02");
    assert_eq!(
        (plan.hosts[0].capacity.memory, plan.hosts[0].capacity.nodes),
        (MiB(1536), 2)
    );
    assert_eq!(plan.hosts[0].capacity.vcpus, 7);
}

#[test]
fn a_restricted_group_is_not_crowded_out_by_one_that_may_go_anywhere() {
    let mut world = World::new()
        .hosts(2, 2048, 16)
        .group("a", 2, 1024, Place::Pack)
        .group("b", 2, 1024, Place::Pack);
    world.topology.groups[1].on = Some(vec!["bm1".parse().unwrap()]);
    assert_eq!(layout(&world.plan().unwrap()), "bm1: b[01-02] | bm2: a[01-02]");
}

#[test]
fn spreading_gives_way_where_only_packing_fits() {
    // Spread evenly, the small ones would leave no host with room for a large one.
    let mut world = World::new()
        .hosts(2, 4096, 16)
        .group("s", 2, 1024, Place::Spread)
        .group("l", 1, 4096, Place::Pack);
    world.topology.groups[0].separate = vec!["l".parse().unwrap()];
    assert_eq!(layout(&world.plan().unwrap()), "bm1: l01 | bm2: s[01-02]");
}

#[test]
fn a_packing_that_greedy_placement_misses_is_found() {
    let mut world = World::new().hosts(2, 10, 16);
    for (name, memory) in [("a", 5), ("b", 4), ("c", 4), ("d", 3), ("e", 2), ("f", 2)] {
        world = world.group(name, 1, memory, Place::Pack);
    }
    let plan = world.plan().unwrap();
    assert!(plan.hosts.iter().all(|host| host.memory == MiB(10)));
}

#[test]
fn a_refusal_names_the_node_its_needs_and_what_keeps_it_from_each_host() {
    let mut world = World::new()
        .hosts(5, 4096, 16)
        .group("a", 3, 3072, Place::Pack)
        .group("x", 1, 512, Place::Pack);
    world.topology.hosts[1].max_nodes = 0;
    world.topology.groups[0].on = Some(["bm1", "bm2", "bm3", "bm5"].map(|n| n.parse().unwrap()).into());
    world.topology.groups[0].separate = vec!["x".parse().unwrap()];
    world.topology.groups[1].on = Some(vec!["bm3".parse().unwrap()]);
    world.observed.truncate(4);
    let error = world.plan().unwrap_err();
    insta::assert_snapshot!(error, @r"
    `a02` does not fit: it needs 3 GiB of memory and 1 vCPU; `bm1` comes closest with 1 GiB of memory, 15 vCPUs and 9 places left (too little memory); bm2: `max_nodes` is reached; bm3: holds nodes that a must be separate from; bm4: not in `on` of a; bm5: not reached; 1 more node has no place
    ");
    insta::assert_snapshot!(error.hint().unwrap(), @r"
    add hosts, or lower `memory` (test.yaml:20:3)
    ");
    assert!(matches!(
        error,
        PlanError::DoesNotFit {
            lacks: Shortage::Memory,
            unplaced: 1,
            ..
        }
    ));
    assert_eq!(error.exit_code(), crate::base::exit::ExitCode::DoesNotFit);
}

#[test]
fn with_no_host_reached_the_refusal_says_so() {
    let mut world = World::new().hosts(2, 4096, 16).group("a", 1, 512, Place::Pack);
    world.observed.clear();
    insta::assert_snapshot!(world.plan().unwrap_err(), @r"
    `a01` does not fit: it needs 512 MiB of memory and 1 vCPU; no host may take it; bm[1-2]: not reached
    ");
}

#[test]
fn a_plan_is_complete() {
    let mut world = World::new().hosts(2, 2048, 8).group("a", 3, 1024, Place::Pack);
    world.topology.network.nat = true;
    insta::assert_json_snapshot!(world.plan().unwrap());
}

#[test]
fn another_login_user_recreates_no_node() {
    let mut world = World::new().hosts(1, 2048, 8).group("a", 2, 1024, Place::Pack);
    let plan = world.plan().unwrap();
    world.apply(&plan);
    world.topology.images[0].user = Some("me".into());
    let plan = world.plan().unwrap();
    assert_eq!(doings(&plan), Vec::<String>::new());
    assert_eq!(plan.nodes[0].login_user(), Ok("me"));
}

#[test]
fn a_plan_is_shown_per_host_with_folded_reasons() {
    let mut world = World::new().hosts(3, 4096, 8).group("a", 10, 1024, Place::Pack);
    let plan = world.plan().unwrap();
    world.apply(&plan);
    world.node("a02").state = DomainState::Off;
    world.node("a03").mark.spec.memory = MiB(512);
    world.node("a04").mark.spec.memory = MiB(512);
    world.topology.nodes.truncate(9);
    world.topology.groups[0].nodes.truncate(9);
    world = world.group("b", 3, 256, Place::Spread);
    insta::assert_snapshot!(crate::report::plan::plan(&world.plan().unwrap()), @r"
    demo: 12 nodes on 3 hosts, 10.77.0.0/16, mtu 1450, bridge vcb12345678, vxlan 11259375

    bm1  4 of 10 nodes, memory 4 GiB of 4 GiB, vcpus 4 of 8
      keep     a01  up to date
      start    a02  its domain is off
      recreate a[03-04]  memory 512 MiB -> 1 GiB

    bm2  4 of 10 nodes, memory 4 GiB of 4 GiB, vcpus 4 of 8
      keep     a[05-08]  up to date

    bm3  4 of 10 nodes, memory 1792 MiB of 4 GiB, vcpus 4 of 8
      remove   a10  no longer in the topology
      keep     a09  up to date
      create   b[01-03]  does not exist yet

    total: 1 to remove, 3 to create, 2 to recreate, 1 to start, 6 to keep; memory 9984 MiB, vcpus 12
    ");
}

#[test]
fn every_change_is_a_reason() {
    let world = {
        let mut world = World::new().hosts(1, 4096, 8).group("a", 1, 1024, Place::Pack);
        let plan = world.plan().unwrap();
        world.apply(&plan);
        world
    };
    let reason = |change: &dyn Fn(&mut World)| {
        let mut world = world.clone();
        change(&mut world);
        doings(&world.plan().unwrap()).join("\n")
    };
    assert_eq!(reason(&|_| ()), "");
    assert_eq!(
        reason(&|w| w.topology.nodes[0].memory = MiB(2048)),
        "Recreate a01 on bm1: memory 1 GiB -> 2 GiB"
    );
    assert_eq!(
        reason(&|w| w.topology.nodes[0].vcpus = 2),
        "Recreate a01 on bm1: vcpus 1 -> 2"
    );
    assert_eq!(
        reason(&|w| w.topology.nodes[0].disk = Some(MiB(2048))),
        "Recreate a01 on bm1: disk none -> 2 GiB"
    );
    assert_eq!(
        reason(&|w| w.image_key = "key2".into()),
        "Recreate a01 on bm1: image micro changed"
    );
    assert_eq!(
        reason(&|w| w.client_key = "SHA256:two".into()),
        "Recreate a01 on bm1: the cluster's keys changed"
    );
    assert_eq!(
        reason(&|w| w.topology.network.subnet = "10.78.0.0/16".parse().unwrap()),
        "Recreate a01 on bm1: address 10.77.0.1 -> 10.78.0.1"
    );
    assert_eq!(
        reason(&|w| w.topology.network.nat = true),
        "Recreate a01 on bm1: gateway none -> 10.77.255.254"
    );
    assert_eq!(
        reason(&|w| {
            w.add_host("bm2", 1024, 1);
        }),
        "Recreate a01 on bm1: mtu 1500 -> 1450"
    );
    assert_eq!(
        reason(&|w| w.node("a01").state = DomainState::Crashed),
        "Start a01 on bm1: its domain has crashed"
    );
    assert_eq!(
        reason(&|w| {
            *w = std::mem::replace(w, World::new()).group("b", 1, 64, Place::Pack);
            w.topology.nodes.remove(0);
            w.topology.groups.remove(0);
        }),
        "Remove a01 on bm1: no longer in the topology\nCreate b01 on bm1: does not exist yet"
    );
}

#[test]
fn a_node_moves_only_where_its_host_may_not_or_cannot_keep_it() {
    let mut world = World::new().hosts(2, 4096, 8).group("a", 2, 2048, Place::Pack);
    let plan = world.plan().unwrap();
    world.apply(&plan);
    let mut grown = world.clone();
    grown.topology.nodes[1].memory = MiB(3072);
    assert_eq!(
        doings(&grown.plan().unwrap()),
        [
            "Remove a02 on bm1: moves to bm2: it needs 3 GiB of memory and 1 vCPU, which bm1 does not have",
            "Create a02 on bm2: moves from bm1: it needs 3 GiB of memory and 1 vCPU, which bm1 does not have",
        ]
    );
    // A lower limit moves no node.
    world.topology.hosts[0].max_nodes = 1;
    assert!(doings(&world.plan().unwrap()).is_empty());
    world.topology.groups[0].separate = vec!["a".parse().unwrap()];
    let moved = world.plan().unwrap();
    assert_eq!(layout(&moved), "bm1: a01 | bm2: a02");
    assert_eq!(moved.nodes[1].spec.address, plan.nodes[1].spec.address);
}

#[test]
fn a_second_domain_of_a_node_is_removed_and_the_running_one_stays() {
    let mut world = World::new().hosts(2, 4096, 8).group("a", 1, 2048, Place::Pack);
    let plan = world.plan().unwrap();
    world.apply(&plan);
    let mut twin = world.node("a01").clone();
    twin.state = DomainState::Running;
    world.node("a01").state = DomainState::Off;
    world.at("bm2").nodes.push(twin);
    assert_eq!(
        doings(&world.plan().unwrap()),
        ["Remove a01 on bm1: a leftover domain: the node is on bm2"]
    );
}

#[test]
fn on_an_existing_bridge_no_node_gets_an_address_of_a_host() {
    let mut world = World::new().hosts(2, 4096, 8).group("a", 3, 512, Place::Pack);
    world.topology.network.subnet = "192.168.50.0/24".parse().unwrap();
    let addresses = |world: &World| -> Vec<String> {
        let plan = world.plan().unwrap();
        plan.nodes
            .iter()
            .map(|node| node.spec.address.to_string())
            .collect()
    };
    world.at("bm1").facts.addresses = vec![[192, 168, 50, 1].into(), [10, 0, 0, 1].into()];
    world.at("bm2").facts.addresses = vec![[192, 168, 50, 3].into()];
    world.topology.network.bridge = Some("br0".to_owned());
    assert_eq!(
        addresses(&world),
        ["192.168.50.2", "192.168.50.4", "192.168.50.5"]
    );
    world.topology.network.dns = vec![[192, 168, 50, 2].into(), "fd00::1".parse().unwrap()];
    assert_eq!(
        addresses(&world),
        ["192.168.50.4", "192.168.50.5", "192.168.50.6"],
        "a name server has an address too"
    );
    world.topology.network.dns.clear();
    world.topology.network.range = Some("192.168.50.3-192.168.50.6".parse().unwrap());
    assert_eq!(
        addresses(&world),
        ["192.168.50.4", "192.168.50.5", "192.168.50.6"]
    );
    world.topology.network.range = Some("192.168.50.3-192.168.50.5".parse().unwrap());
    assert_eq!(
        world.plan().unwrap_err().to_string(),
        "the range 192.168.50.3-192.168.50.5 of subnet 192.168.50.0/24 is too small: 3 addresses are needed \
         (3 nodes, 0 hosts), 2 are usable; 1 is taken by another machine"
    );
}

#[test]
fn a_node_that_has_become_a_router_of_the_hosts_keeps_its_address() {
    let mut world = World::new().hosts(1, 4096, 8).group("a", 2, 512, Place::Pack);
    world.topology.network.subnet = "192.168.50.0/24".parse().unwrap();
    world.topology.network.bridge = Some("br0".to_owned());
    world.at("bm1").facts.routers = vec![[192, 168, 50, 1].into()];
    let plan = world.plan().unwrap();
    let addresses = plan.nodes.iter().map(|node| node.spec.address.to_string());
    let addresses: Vec<String> = addresses.collect();
    assert_eq!(addresses, ["192.168.50.2", "192.168.50.3"], "a router of others");
    world.apply(&plan);
    world.at("bm1").facts.routers.push([192, 168, 50, 3].into());
    assert_eq!(doings(&world.plan().unwrap()), Vec::<String>::new());
}

#[test]
fn a_domain_that_was_renamed_is_recreated_with_the_reason() {
    let mut world = World::new().hosts(1, 4096, 8).group("a", 2, 512, Place::Pack);
    let plan = world.plan().unwrap();
    world.apply(&plan);
    world.node("a02").domain = "mine".to_owned();
    assert_eq!(
        doings(&world.plan().unwrap()),
        ["Recreate a02 on bm1: its domain was renamed to `mine`"]
    );
}

#[test]
fn existing_nodes_keep_their_addresses_and_new_ones_take_the_lowest_free() {
    let mut world = World::new()
        .hosts(2, 8192, 16)
        .group("a", 3, 512, Place::Pack)
        .group("b", 1, 512, Place::Pack);
    let plan = world.plan().unwrap();
    world.apply(&plan);
    world.topology.nodes.remove(1);
    world.topology.groups[0].nodes.remove(1);
    world = world.group("c", 2, 512, Place::Pack);
    let addresses: Vec<String> = world
        .plan()
        .unwrap()
        .nodes
        .iter()
        .map(|n| format!("{} {}", n.name, n.spec.address))
        .collect();
    assert_eq!(
        addresses,
        [
            "a01 10.77.0.1",
            "a03 10.77.0.3",
            "b01 10.77.0.4",
            "c01 10.77.0.2",
            "c02 10.77.0.5"
        ]
    );
}

#[test]
fn on_an_existing_bridge_there_is_no_vxlan_and_taken_addresses_are_left_out() {
    let mut world = World::new().hosts(2, 1024, 16).group("a", 2, 1024, Place::Pack);
    world.topology.network.bridge = Some("br0".into());
    world.topology.network.subnet = "192.0.2.0/24".parse().unwrap();
    world.topology.network.gateway = Some([192, 0, 2, 1].into());
    world
        .observed
        .iter_mut()
        .for_each(|host| host.facts.memory = MiB(2048));
    world.add_other("bm1", 1024, [192, 0, 2, 2]);
    let plan = world.plan().unwrap();
    assert_eq!(layout(&plan), "bm1: a01 | bm2: a02");
    assert!(plan.network.vxlan.is_none() && !plan.network.own_bridge);
    assert!(plan.hosts.iter().all(|host| host.bridge_address.is_none()));
    assert_eq!(plan.nodes[0].spec.address.to_string(), "192.0.2.3");
    assert_eq!(plan.nodes[0].spec.gateway, Some([192, 0, 2, 1].into()));
}

#[test]
fn device_names_fit_and_one_host_needs_no_vxlan() {
    let mut world = World::new().hosts(2, 2048, 16).group("a", 2, 1024, Place::Pack);
    let plan = world.plan().unwrap();
    assert!(plan.network.vxlan.is_none());
    assert_eq!(plan.network.mtu, 1450, "a second host may come into use");
    world.grow(0, 1024);
    let plan = world.plan().unwrap();
    let vxlan = plan.network.vxlan.unwrap();
    assert_eq!(
        (plan.network.bridge.as_str(), vxlan.device.as_str()),
        ("vcb12345678", "vcx12345678")
    );
    assert_eq!(vxlan.vni, 0x00ab_cdef);
}

#[test]
fn a_vni_in_use_is_passed_over_and_the_choice_is_kept() {
    let mut world = World::new().hosts(2, 1024, 16).group("a", 2, 1024, Place::Pack);
    world.observed[1].facts.vnis = vec![0x00ab_cdef];
    let vni = |world: &World| world.plan().unwrap().network.vxlan.unwrap().vni;
    assert_eq!(vni(&world), 0x00ab_cdf0);
    let plan = world.plan().unwrap();
    world.apply(&plan);
    assert_eq!(vni(&world), 0x00ab_cdf0);
    // A foreign VXLAN that appears later does not change ours.
    world.observed[0].facts.vnis.push(0x00ab_cdf1);
    assert_eq!(vni(&world), 0x00ab_cdf0);
}

#[test]
fn networks_that_would_meet_are_refused() {
    let base = World::new().hosts(2, 1024, 16).group("a", 2, 1024, Place::Pack);
    let refused = |change: &dyn Fn(&mut World)| {
        let mut world = base.clone();
        change(&mut world);
        world.plan().unwrap_err().to_string()
    };
    assert_eq!(
        refused(&|w| w
            .at("bm2")
            .facts
            .routes
            .push(("10.77.3.0/24".parse().unwrap(), "eth1".into()))),
        "subnet 10.77.0.0/16 is in use on `bm2`: it has a route to 10.77.3.0/24 via eth1"
    );
    assert_eq!(
        refused(&|w| {
            w.at("bm1").facts.memory = MiB(4096);
            w.add_other("bm1", 64, [10, 77, 0, 9]);
        }),
        "subnet 10.77.0.0/16 is in use on `bm1`: cluster `other` has `x0` at 10.77.0.9 there"
    );
    assert_eq!(
        refused(&|w| w.at("bm2").facts.underlay = None),
        "no underlay address is known for `bm2`"
    );
    assert_eq!(
        refused(&|w| w.at("bm2").facts.underlay = w.at("bm1").facts.underlay),
        "`bm1` and `bm2` have the same underlay address 192.0.2.1"
    );
    assert!(
        refused(&|w| w.at("bm2").facts.underlay = Some("2001:db8::1".parse().unwrap()))
            .contains("both families")
    );
    assert_eq!(
        refused(&|w| w.topology.network.mtu = Some(1500)),
        "mtu 1500 is too large: the underlay of `bm1` carries 1450 at most"
    );
    assert_eq!(
        refused(&|w| w.topology.network.subnet = "10.77.0.0/30".parse().unwrap()),
        "subnet 10.77.0.0/30 is too small: 4 addresses are needed (2 nodes, 2 hosts), 2 are usable"
    );
}

#[test]
fn a_name_that_another_cluster_has_is_refused() {
    let mut world = World::new().hosts(1, 1024, 16).group("a", 1, 512, Place::Pack);
    world
        .at("bm1")
        .objects
        .push(object("pool", "vcluster.demo.12345678"));
    assert!(world.plan().is_ok());
    world.at("bm1").objects[0].short_id = crate::inventory::ShortId::parse("00000000").unwrap();
    let error = world.plan().unwrap_err();
    assert_eq!(
        error.to_string(),
        "cluster `demo` exists on `bm1` with another id (00000000)"
    );
}

#[test]
fn uuids_are_derived_from_cluster_and_node() {
    let plan = World::new()
        .hosts(1, 1024, 16)
        .group("a", 1, 512, Place::Pack)
        .plan()
        .unwrap();
    assert_eq!(plan.nodes[0].uuid, uuid::Uuid::new_v5(&ID, b"a01"));
    assert_eq!(plan.nodes[0].domain, "demo.a01");
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn nodes_on_a_host_that_left_the_topology_are_removed_there_and_made_elsewhere() {
    let mut world = World::new().hosts(3, 4096, 16).group("a", 3, 1024, Place::Spread);
    let plan = world.plan().unwrap();
    world.apply(&plan);
    world.topology.hosts.retain(|host| host.name.as_str() != "bm3");
    let plan = world.plan().unwrap();
    let changes: Vec<String> = doings(&plan)
        .into_iter()
        .filter(|line| !line.starts_with("Keep"))
        .collect();
    assert_eq!(
        changes,
        [
            "Remove a03 on bm3: its host is no longer in the topology",
            "Create a03 on bm1: does not exist yet"
        ]
    );
}
