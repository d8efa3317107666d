//! Several networks and several disks per node.

use super::bad_input::{messages, one};
use super::*;
use crate::base::name::NetworkName;

/// A topology with these networks, and a group with these keys.
fn with(networks: &str, keys: &str) -> String {
    format!("name: x\nnetworks: {{ {networks} }}\ngroups: {{ a: {{ count: 2, {keys} }} }}\n")
}

const STORAGE: &str = "storage: { subnet: 10.78.0.0/16 }";
const BOTH: &str = "networks: [cluster, storage]";

#[test]
fn a_group_joins_the_networks_that_it_names() {
    let topology = good(
        "name: x\nnetwork: { subnet: 10.1.0.0/16 }\nnetworks:\n  storage: { subnet: 10.78.0.0/16, mtu: 8900 }\n  public: { bridge: br0, subnet: 192.168.50.0/24, range: 192.168.50.100-192.168.50.199 }\ndefaults: { networks: [public, cluster] }\ngroups:\n  osd: { count: 1, networks: [cluster, storage, public] }\n  mon: { count: 1 }\n  mgr: { count: 1, networks: [cluster] }\n",
    );
    let names: Vec<&str> = topology
        .all_networks()
        .map(|network| network.name.as_str())
        .collect();
    assert_eq!(names, ["cluster", "storage", "public"]);
    assert_eq!(topology.network.subnet.to_string(), "10.1.0.0/16");
    let [storage, public] = topology.networks.as_slice() else {
        panic!()
    };
    assert_eq!((storage.mtu, storage.at.as_ref().unwrap().line), (Some(8900), 4));
    assert_eq!(public.bridge.as_deref(), Some("br0"));
    let joined: Vec<String> = topology
        .nodes
        .iter()
        .map(|node| {
            let names: Vec<&str> = node.networks.iter().map(NetworkName::as_str).collect();
            names.join(",")
        })
        .collect();
    assert_eq!(joined, ["storage,public", "public", ""]);
}

#[test]
fn the_network_of_all_nodes_can_be_an_entry_of_networks() {
    let topology = good(&with(&format!("{STORAGE}, cluster: {{ nat: true }}"), BOTH));
    assert!(topology.network.nat && topology.network.name.is_cluster());
    assert_eq!(topology.network.subnet.to_string(), "10.77.0.0/16");
    assert_eq!(topology.networks.len(), 1);
    let topology = good("name: x\ngroups: { a: { count: 1 } }\n");
    assert!(topology.network.at.is_none() && topology.networks.is_empty());
    one(
        "name: x\nnetwork: {}\nnetworks: { cluster: {} }\ngroups: { a: { count: 1 } }\n",
        "3:13: the network `cluster` is given twice",
    );
}

#[test]
fn a_list_of_networks_contains_cluster_and_each_known_network_once() {
    for (keys, wanted) in [
        (
            "networks: [storage]",
            "3:36: `networks` does not contain `cluster`",
        ),
        ("networks: []", "does not contain `cluster`"),
        ("networks: [cluster, storge]", "3:46: unknown network `storge`"),
        (
            "networks: [cluster, storage, storage]",
            "3:55: the network `storage` is given twice",
        ),
        ("networks: storage", "expected a list, found the text `storage`"),
        ("networks: [cluster, [storage]]", "expected text, found a list"),
    ] {
        one(&with(STORAGE, keys), wanted);
    }
    let error = parse(&with(STORAGE, "networks: [cluster, storge]")).unwrap_err();
    assert_eq!(error.list()[0].hint.as_deref(), Some("did you mean `storage`?"));
    one(
        "name: x\ndefaults: { networks: [] }\ngroups: { a: { count: 1 }, b: { count: 1 } }\n",
        "2:23: `networks` does not contain `cluster`",
    );
}

#[test]
fn a_further_network_has_a_name_a_subnet_and_nodes() {
    one(
        &with("storage: {}", BOTH),
        "2:13: the network `storage` has no `subnet`",
    );
    one(
        &with("storage:", BOTH),
        "2:13: the network `storage` has no `subnet`",
    );
    one(&with("storage: { subnet: \"fd00::/64\" }", BOTH), "IPv6");
    one(&with("storage: x", BOTH), "expected a mapping");
    one(
        &with(STORAGE, "vcpus: 1"),
        "2:13: no group joins the network `storage`",
    );
    one(
        &with("a_b: { subnet: 10.78.0.0/16 }", "networks: [cluster, a_b]"),
        "2:13: the network name `a_b` contains `_`",
    );
    one(
        &with("storage: { subnet: 10.78.0.0/30 }", BOTH),
        "3 addresses are needed (2 nodes, 1 host), 2 are usable",
    );
    good(&with("storage: { subnet: 10.78.0.0/30, bridge: br0 }", BOTH));
    one(
        "name: x\nhosts: { \"bm[1-6]\": {} }\nnetworks: { storage: { subnet: 10.78.0.0/29 } }\ngroups: { a: { count: 1, networks: [cluster, storage] } }\n",
        "7 addresses are needed (1 node, 6 hosts), 6 are usable",
    );
}

#[test]
fn networks_of_a_cluster_share_neither_addresses_nor_a_bridge() {
    let names = |count: usize| (1..count).map(|i| format!("n{i}")).collect::<Vec<_>>().join(", ");
    let entries = |count: usize| {
        (1..count)
            .map(|i| format!("n{i}: {{ subnet: 10.100.{i}.0/24 }}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let many = |count: usize| with(&entries(count), &format!("networks: [cluster, {}]", names(count)));
    good(&many(8));
    one(&many(9), "more than 8 networks");
    one(
        &with("storage: { subnet: 10.77.8.0/24 }", BOTH),
        "2:32: the subnet 10.77.8.0/24 of `storage` overlaps 10.77.0.0/16 of `cluster`",
    );
    one(
        &with(
            "b: { subnet: 10.80.0.0/24 }, c: { subnet: 10.80.0.0/16 }",
            "networks: [cluster, b, c]",
        ),
        "the subnet 10.80.0.0/16 of `c` overlaps 10.80.0.0/24 of `b`",
    );
    one(
        &with(
            "b: { subnet: 10.80.0.0/24, bridge: br0 }, c: { subnet: 10.81.0.0/16, bridge: br0 }",
            "networks: [cluster, b, c]",
        ),
        "the networks `b` and `c` use the same bridge `br0`",
    );
    // The digests of these names begin with the same four digits.
    one(
        &with(
            "public11: { subnet: 10.80.0.0/24 }, public171: { subnet: 10.81.0.0/24 }",
            "networks: [cluster, public11, public171]",
        ),
        "2:49: the bridges of `public11` and `public171` would have the same name",
    );
    // What stands in place of a wrong subnet overlaps nothing.
    one(
        &with(
            "b: { subnet: 10.80.0.0/33 }, c: { subnet: 10.81.0.0/24 }",
            "networks: [cluster, b, c]",
        ),
        "not a network",
    );
}

#[test]
fn templates_know_the_networks_and_the_addresses_of_a_node_in_them() {
    let step = |run: &str| {
        format!(
            "name: x\nnetworks: {{ {STORAGE} }}\ngroups: {{ a: {{ count: 1, {BOTH} }}, b: {{ count: 1 }} }}\nconfigure: [ {{ on: \"@all\", run: \"{run}\" }} ]\n"
        )
    };
    good(&step(
        "{{networks.storage.subnet}} {{networks.cluster.subnet}} {{node.addresses.cluster}}",
    ));
    good(&step("{{#each groups.a}}{{addresses.storage}}{{/each}}"));
    one(
        &step("{{networks.storge.subnet}}"),
        "unknown variable `networks.storge.subnet`",
    );
    one(
        &step("{{node.addresses.storge}}"),
        "unknown variable `node.addresses.storge`",
    );
    one(&step("{{node.addresses.storage}}"), "(on `b001`)");
}

#[test]
fn further_disks_have_sizes_that_may_differ_between_nodes() {
    let topology = good(
        "name: x\ndefaults: { disks: [{ size: 2GiB }] }\ngroups:\n  a: { count: 2, disks: [{ size: \"{{add index 1}}GiB\" }, { size: 512MiB }] }\n  b: { count: 1 }\n  c: { count: 1, disks: [] }\n",
    );
    let disks: Vec<Vec<u64>> = topology
        .nodes
        .iter()
        .map(|node| node.disks.iter().map(|size| size.0).collect())
        .collect();
    assert_eq!(disks, [vec![1024, 512], vec![2048, 512], vec![2048], vec![]]);
}

#[test]
fn a_wrong_disk_is_an_error_at_its_place() {
    let with = |disks: &str| format!("name: x\ngroups: {{ a: {{ count: 2, disks: {disks} }} }}\n");
    for (disks, wanted) in [
        ("[{}]", "2:34: the disk has no `size`"),
        ("[{ size: lots }]", "2:42: size: `lots` is not a size"),
        ("[{ size: 99999GiB }]", "size: 99999 GiB is out of bounds"),
        ("[{ size: \"{{vars.x}}\" }]", "size: unknown variable `vars.x`"),
        ("[10GiB]", "expected a mapping, found the text `10GiB`"),
        ("{ size: 1GiB }", "expected a list"),
        ("[{ sice: 1GiB, size: 1GiB }]", "unknown key `sice`"),
    ] {
        one(&with(disks), wanted);
    }
    assert_eq!(messages(&with("[{}, { size: 0MiB }]")).len(), 2);
    let list = |count: usize| format!("[{}]", vec!["{ size: 1GiB }"; count].join(", "));
    assert_eq!(good(&with(&list(16))).nodes[0].disks.len(), 16);
    one(
        &with(&list(17)),
        "2:33: a node has 17 further disks; at most 16 are allowed",
    );
}
