//! A second network, in which only two of the three hosts have nodes.

use super::*;
use crate::base::name::HostName;
use crate::inventory::{InterfaceSpec, ObservedObject};

fn storage() -> NetworkName {
    "storage".parse().unwrap()
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

/// [`plan`] with a network `storage`, which the nodes on bm01 and bm02 join.
fn two() -> Plan {
    let mut plan = plan();
    let short_id = ShortId::of(plan.cluster_id);
    let network = NetworkPlan {
        name: storage(),
        subnet: "10.78.0.0/16".parse().unwrap(),
        bridge: short_id.bridge_name(&storage()),
        vxlan: Some(VxlanPlan {
            device: short_id.vxlan_name(&storage()),
            vni: 4243,
            port: 4789,
        }),
        nat: false,
        ..plan.network.clone()
    };
    for n in 1..=2_u8 {
        let at = usize::from(n) - 1;
        plan.hosts[at].networks = [(storage(), Some([10, 78, 255, 255 - n].into()))].into();
        plan.nodes[at].spec.interfaces = vec![InterfaceSpec {
            network: storage(),
            bridge: network.bridge.clone(),
            address: format!("10.78.0.{n}/16").parse().unwrap(),
            mac: Mac([0x52, 0x54, 10, 78, 0, n]),
            mtu: 1550,
            gateway: None,
        }];
    }
    plan.networks = vec![network];
    plan
}

fn object(kind: &str, name: &str, short_id: &str) -> ObservedObject {
    ObservedObject {
        kind: kind.to_owned(),
        name: name.to_owned(),
        cluster: "demo".parse().unwrap(),
        short_id: ShortId::parse(short_id).unwrap(),
    }
}

/// The names of what is stale on a host.
fn stale_names<'a>(plan: &Plan, name: &str, objects: &'a [ObservedObject]) -> Vec<&'a str> {
    let stale = stale(plan, &host(name), &[], objects);
    stale.into_iter().map(|object| object.name.as_str()).collect()
}

#[test]
fn a_further_network_spans_only_the_hosts_with_nodes_in_it() {
    let two = two();
    let network = &two.networks[0];
    let names = |name: &str| -> Vec<String> {
        let networks = networks_of(&two, &host(name)).into_iter();
        networks.map(|network| network.name.to_string()).collect()
    };
    assert_eq!(names("bm01"), ["cluster", "storage"]);
    assert_eq!(names("bm03"), ["cluster"]);
    let outside = Wanted::new(&two, &host("bm03"), network);
    assert_eq!(outside, Err(NetworkError::NotInPlan));
    assert_eq!(wanted(&two), wanted(&plan()), "`cluster` is as before");

    let inside = Wanted::new(&two, &host("bm01"), network).unwrap();
    assert_eq!(inside.peers, [IpAddr::from([10, 90, 0, 12])]);
    assert_eq!(inside.remote.len(), 2, "the node and the bridge on bm02");
    let neighbours: Vec<String> = inside.neighbours.keys().map(ToString::to_string).collect();
    assert_eq!(neighbours, ["10.78.0.1", "10.78.0.2", "10.78.255.253"]);
    let script = changes(&inside, &Seen::default()).unwrap().script();
    let bridge = &network.bridge;
    for line in [
        format!("link add {bridge} address 52:56:0a:4e:ff:fe type bridge"),
        format!("addr add 10.78.255.254/16 dev {bridge}"),
        format!("neigh replace 10.78.0.2 lladdr 52:54:0a:4e:00:02 dev {bridge} nud permanent"),
    ] {
        assert!(script.contains(&line), "{line} is not in\n{script}");
    }

    let peers = |name: &str| overlay_peers(&two, network, &host(name), |_| true).len();
    assert_eq!([peers("bm01"), peers("bm02"), peers("bm03")], [1, 0, 0]);
}

#[test]
fn one_network_without_a_vxlan_leaves_that_of_the_other() {
    let mut two = two();
    two.networks[0].vxlan = None;
    let seen = Seen::read(&converged()).unwrap();
    let network = &two.networks[0];
    let inside = Wanted::new(&two, &host("bm01"), network).unwrap();
    let script = changes(&inside, &seen).unwrap().script();
    assert!(!script.contains("link del"), "{script}");
}

#[test]
fn what_no_network_has_on_a_host_is_stale() {
    let mut two = two();
    let bridge = two.networks[0].bridge.clone();
    let of_storage = two.networks[0].vxlan.clone().unwrap().device;
    let own = "00000000";
    let objects = [
        object("bridge", "vcb00000000", own),
        object("bridge", &bridge, own),
        object("bridge", "vcb00000000ffff", own),
        object("bridge", "br0", own),
        object("bridge", "vcb0000000affff", "0000000a"),
        object("directory", "demo.00000000", own),
        object("nft table", "vcluster_00000000", own),
        object("nft table", "vcluster_00000000_ffff", own),
        object("vxlan", "vcx00000000", own),
        object("vxlan", &of_storage, own),
        object("vxlan", "vcx00000000ffff", own),
    ];
    let gone = ["vcx00000000ffff", "vcb00000000ffff", "vcluster_00000000_ffff"];
    assert_eq!(stale_names(&two, "bm01", &objects), gone);
    let [first, second, third] = gone;
    assert_eq!(
        stale_names(&two, "bm03", &objects),
        [of_storage.as_str(), first, bridge.as_str(), second, third],
        "no node there joins `storage`"
    );
    two.network.vxlan = None;
    two.network.nat = false;
    assert_eq!(
        stale_names(&two, "bm01", &objects),
        ["vcx00000000", first, second, "vcluster_00000000", third]
    );
}

#[test]
fn what_a_node_that_stays_is_connected_to_is_not_stale() {
    let two = two();
    let storage = two.networks[0].clone();
    let of_storage = [storage.bridge.clone(), storage.vxlan.clone().unwrap().device];
    let own = "00000000";
    let objects = [
        object("bridge", "vcb00000000", own),
        object("bridge", &of_storage[0], own),
        object("vxlan", "vcx00000000", own),
        object("vxlan", &of_storage[1], own),
    ];
    let stays = two.nodes[0].spec.clone();
    let names = |plan: &Plan, staying: &[&NodeSpec]| -> Vec<String> {
        let stale = stale(plan, &host("bm01"), staying, &objects);
        stale.into_iter().map(|object| object.name.clone()).collect()
    };

    // The plan has the node without `storage`, but it was not made again.
    let mut without = two.clone();
    without.networks.clear();
    without.hosts[0].networks.clear();
    let [bridge, vxlan] = &of_storage;
    assert_eq!(names(&without, &[]), [vxlan.clone(), bridge.clone()]);
    assert_eq!(names(&without, &[&stays]), Vec::<String>::new());

    // The network `cluster` changes to an existing bridge, and a node stays on the old one.
    let mut bridged = two.clone();
    bridged.network.own_bridge = false;
    bridged.network.vxlan = None;
    assert_eq!(names(&bridged, &[]), ["vcx00000000", "vcb00000000"]);
    assert_eq!(names(&bridged, &[&stays]), Vec::<String>::new());

    // The plan decides what belongs to a network that it has.
    let mut alone = two;
    alone.networks[0].vxlan = None;
    assert_eq!(names(&alone, &[&stays]), [vxlan.as_str()]);
}

#[test]
fn stale_objects_are_removed_by_name_in_their_order() {
    let cluster = plan().cluster_ref();
    let (link, table) = (
        object("bridge", "vcb00000000ffff", "00000000"),
        object("nft table", "vcluster_00000000_ffff", "00000000"),
    );
    let script = stale_script(&cluster, &[&link, &table]);
    assert!(script.starts_with("cluster=demo short=00000000\n"), "{script}");
    assert!(
        script.ends_with("}\nremove_link vcb00000000ffff\nremove_table vcluster_00000000_ffff\nexit 0\n"),
        "{script}"
    );
}

#[test]
fn names_of_tables_contain_the_cluster_and_a_further_network() {
    let id = ShortId::parse("0000000a").unwrap();
    assert_eq!(table_name(&id, &NetworkName::cluster()), "vcluster_0000000a");
    let further = table_name(&id, &storage());
    assert_eq!(
        further,
        format!("vcluster_0000000a_{}", network_suffix(&storage()))
    );
    for name in ["vcluster_0000000a", &further] {
        assert_eq!(read_table_name(name), Some(id.clone()), "{name}");
    }
    for other in [
        "vcluster_",
        "vcluster_0000000a_",
        "vcluster_0000000a_ab1",
        "vcluster_0000000aab12",
        "vcluster_0000000a_AB12",
        "vcluster_0000000a_ab12_",
        "other_0000000a",
    ] {
        assert_eq!(read_table_name(other), None, "{other}");
    }
}
