mod several;

use std::net::IpAddr;

use super::*;
use crate::base::name::NetworkName;
use crate::base::units::MiB;
use crate::inventory::{Firmware, Mac, NodeSpec};
use crate::plan::{EmulatedCpu, HostPlan, NetworkPlan, NodePlan, Plan, VxlanPlan};

/// Three hosts with one node each.
fn plan() -> Plan {
    let name = |text: &str| text.parse().unwrap();
    let hosts: Vec<HostPlan> = (1..=3_u8)
        .map(|n| HostPlan {
            name: name(&format!("bm0{n}")),
            bridge_address: Some([10, 77, 255, 255 - n].into()),
            networks: std::collections::BTreeMap::new(),
            underlay: Some([10, 90, 0, 10 + n].into()),
            nodes: vec![format!("n{n}").parse().unwrap()],
            accel: crate::topology::Accel::Auto,
            memory: MiB(0),
            vcpus: 0,
            disk: MiB(0),
            capacity: crate::plan::Capacity::default(),
        })
        .collect();
    let nodes = (1..=3_u8).map(|n| NodePlan {
        name: format!("n{n}").parse().unwrap(),
        group: "n".parse().unwrap(),
        index: u32::from(n) - 1,
        host: name(&format!("bm0{n}")),
        domain: format!("demo.n{n}"),
        uuid: Uuid::from_u128(u128::from(n)),
        user: None,
        emulated_cpu: EmulatedCpu::V1,
        disk: MiB(0),
        spec: NodeSpec {
            image: "micro".parse().unwrap(),
            image_key: "k".into(),
            firmware: Firmware::Bios,
            user_data: None,
            vcpus: 1,
            memory: MiB(96),
            disk: None,
            disks: Vec::new(),
            interfaces: Vec::new(),
            bridge: None,
            address: [10, 77, 0, n].into(),
            mac: Mac([0x52, 0x54, 10, 77, 0, n]),
            client_key: "SHA256:x".into(),
            mtu: 1450,
            gateway: None,
            dns: Vec::new(),
        },
    });
    Plan {
        version: 1,
        cluster: "demo".parse().unwrap(),
        cluster_id: Uuid::from_u128(2),
        network: NetworkPlan {
            name: NetworkName::cluster(),
            subnet: "10.77.0.0/16".parse().unwrap(),
            bridge: "vcb00000000".into(),
            own_bridge: true,
            vxlan: Some(VxlanPlan {
                device: "vcx00000000".into(),
                vni: 4242,
                port: 4789,
            }),
            mtu: 1550,
            nat: true,
            gateway: None,
            dns: Vec::new(),
        },
        networks: Vec::new(),
        nodes: nodes.collect(),
        missing: Vec::new(),
        hosts,
        actions: Vec::new(),
    }
}

const ALIAS: &str = "vcluster:demo:00000000-0000-0000-0000-000000000002";

fn wanted(plan: &Plan) -> Wanted {
    Wanted::new(plan, &"bm01".parse().unwrap(), &plan.network).unwrap()
}

/// The report of bm01 when everything matches [`plan`].
fn converged() -> String {
    let peers = [("12", "fd", "02"), ("13", "fc", "03")];
    let fdb: Vec<String> = peers
        .iter()
        .flat_map(|(host, end, node)| {
            let own = |mac: &str| {
                format!(r#"{{"mac":"{mac}","dst":"10.90.0.{host}","flags":["self"],"state":"permanent"}}"#)
            };
            let bridge = |mac: &str| {
                format!(r#"{{"mac":"{mac}","flags":[],"master":"vcb00000000","state":"static"}}"#)
            };
            let (end, node) = (format!("52:56:0a:4d:ff:{end}"), format!("52:54:0a:4d:00:{node}"));
            [
                own("00:00:00:00:00:00"),
                own(&end),
                own(&node),
                bridge(&end),
                bridge(&node),
            ]
        })
        .collect();
    let neighbours = [
        ("10.77.0.1", "52:54:0a:4d:00:01"),
        ("10.77.0.2", "52:54:0a:4d:00:02"),
        ("10.77.0.3", "52:54:0a:4d:00:03"),
        ("10.77.255.253", "52:56:0a:4d:ff:fd"),
        ("10.77.255.252", "52:56:0a:4d:ff:fc"),
    ]
    .map(|(address, mac)| format!(r#"{{"dst":"{address}","lladdr":"{mac}","state":["PERMANENT"]}}"#));
    format!(
        r#"@@links
[{{"ifname":"eth0","mtu":1600}},
{{"ifname":"vcb00000000","flags":["UP"],"mtu":1550,"ifalias":"{ALIAS}","linkinfo":{{"info_kind":"bridge"}},
  "addr_info":[{{"local":"10.77.255.254","prefixlen":16,"scope":"global"}},{{"local":"fe80::1","prefixlen":64,"scope":"link"}}]}},
{{"ifname":"vcx00000000","flags":["UP"],"mtu":1550,"ifalias":"{ALIAS}","master":"vcb00000000",
  "linkinfo":{{"info_kind":"vxlan","info_data":{{"id":4242,"local":"10.90.0.11","port":4789,"learning":false}},
  "info_slave_kind":"bridge","info_slave_data":{{"neigh_suppress":true}}}}}}]
@@fdb
[{fdb},{{"mac":"a6:8b:af:4c:1a:53","flags":[],"master":"vcb00000000","state":"permanent"}}]
@@neigh
[{neighbours}]
@@table
	comment "{ALIAS} 10.77.0.0/16"
@@forward
1
@@ipv6
1
@@filtered
0
@@policy
-P FORWARD ACCEPT
@@end
"#,
        fdb = fdb.join(","),
        neighbours = neighbours.join(",")
    )
}

fn compare(plan: &Plan, output: &str) -> Result<Changes, NetworkError> {
    changes(&wanted(plan), &Seen::read(output).unwrap())
}

#[test]
fn an_alias_reads_back_and_nothing_else_does() {
    let cluster: ClusterName = "demo".parse().unwrap();
    let id = Uuid::from_u128(7);
    assert_eq!(read_alias(&alias(&cluster, id)), Some((cluster, id)));
    for other in [
        "vcluster:demo",
        "vcluster:../x:00000000-0000-0000-0000-000000000007",
        "vcluster:demo:00000000000000000000000000000007",
        "vcluster:demo:00000000-0000-0000-0000-000000000007 x",
        "mine",
        "",
    ] {
        assert_eq!(read_alias(other), None, "{other}");
    }
}

#[test]
fn a_fresh_host_gets_everything() {
    let changes = compare(&plan(), "@@links\n[]\n@@ipv6\n1\n@@end\n").unwrap();
    insta::assert_snapshot!(changes.script());
}

#[test]
fn a_host_that_is_as_wanted_is_left_alone() {
    let changes = compare(&plan(), &converged()).unwrap();
    assert!(changes.is_empty(), "{}", changes.script());
    assert!(changes.notes.is_empty());
}

#[test]
fn a_node_that_moves_and_one_that_goes_change_only_their_entries() {
    let mut plan = plan();
    plan.nodes[1].host = "bm03".parse().unwrap();
    plan.nodes.pop();
    insta::assert_snapshot!(compare(&plan, &converged()).unwrap().script());
}

#[test]
fn nodes_are_connected_again_to_a_bridge_that_was_removed() {
    let link = |name: &str, kind: &str, address: &str, master: &str| {
        format!(r#",{{"ifname":"{name}","address":"{address}"{master},"linkinfo":{{"info_kind":"{kind}"}}}}"#)
    };
    let other_bridge = r#","master":"br0""#;
    let links = [
        link("vnet7", "tun", "fe:54:0a:4d:00:01", ""),
        link("vnet8", "tun", "fe:54:0a:4d:00:01", other_bridge),
        link("vnet9", "tun", "fe:54:0a:4d:00:02", ""),
        link("vnet10", "tun", "52:54:0a:4d:00:01", ""),
        link("vnet11", "veth", "fe:54:0a:4d:00:01", ""),
        link("a;b", "tun", "fe:54:0a:4d:00:01", ""),
        link("tap0", "tun", "", ""),
    ];
    let end = r#""info_slave_data":{"neigh_suppress":true}}}"#;
    let output = converged().replace(end, &format!("{end}{}", links.concat()));
    let changes = compare(&plan(), &output).unwrap();
    let script = changes.script();
    let moved: Vec<&str> = script.lines().filter(|line| line.starts_with("link ")).collect();
    assert_eq!(moved, ["link set dev vnet7 master vcb00000000"]);
    assert_eq!(
        compare(&plan(), &output.replace(r#""fe:54:"#, r#""fe:55:"#)).unwrap(),
        Changes::default()
    );
}

#[test]
fn a_host_that_is_left_gets_no_frames() {
    let mut plan = plan();
    plan.nodes.pop();
    plan.hosts[2].nodes.clear();
    let script = compare(&plan, &converged()).unwrap().script();
    for gone in [
        "fdb del 00:00:00:00:00:00 dev vcx00000000 dst 10.90.0.13 self",
        "fdb del 52:56:0a:4d:ff:fc dev vcx00000000 dst 10.90.0.13 self",
        "neigh del 10.77.255.252 dev vcb00000000",
    ] {
        assert!(script.contains(gone), "{script}");
    }
}

#[test]
fn a_vxlan_that_cannot_be_changed_is_recreated() {
    let output = converged().replace("\"id\":4242", "\"id\":1");
    let script = compare(&plan(), &output).unwrap().script();
    let place = |text: &str| {
        script
            .find(text)
            .unwrap_or_else(|| panic!("{text} is not in\n{script}"))
    };
    assert!(place("link del dev vcx00000000") < place("link add vcx00000000"));
    assert!(script.contains("fdb append 00:00:00:00:00:00 dev vcx00000000 dst 10.90.0.12 self permanent"));
    assert!(!script.contains("vcb00000000 type bridge"));
}

#[test]
fn a_foreign_link_with_our_name_prevents_all_changes() {
    for name in ["vcb00000000", "vcx00000000"] {
        let mut seen = Seen::read(&converged()).unwrap();
        let link = seen.links.iter_mut().find(|link| link.ifname == name).unwrap();
        link.ifalias = ALIAS.replace("demo", "other");
        assert_eq!(
            changes(&wanted(&plan()), &seen),
            Err(NetworkError::ForeignLink(name.into()))
        );
    }
}

#[test]
fn an_existing_bridge_must_be_there_and_is_never_changed() {
    let mut plan = plan();
    plan.network.own_bridge = false;
    plan.network.vxlan = None;
    plan.network.nat = false;
    let links = |link: &str| format!("@@links\n[{link}]\n@@end\n");
    plan.network.bridge = "br0".into();
    let none = compare(&plan, &links(r#"{"ifname":"eth0"}"#));
    assert_eq!(none, Err(NetworkError::NoBridge("br0".into())));
    let other = compare(
        &plan,
        &links(r#"{"ifname":"br0","linkinfo":{"info_kind":"dummy"}}"#),
    );
    assert_eq!(other, Err(NetworkError::NotABridge("br0".into())));
    let bridge = compare(
        &plan,
        &links(r#"{"ifname":"br0","mtu":9000,"linkinfo":{"info_kind":"bridge"}}"#),
    );
    assert!(bridge.unwrap().is_empty());
}

#[test]
fn a_firewall_that_drops_bridged_frames_is_mentioned() {
    let output = converged()
        .replace("@@filtered\n0", "@@filtered\n1")
        .replace("FORWARD ACCEPT", "FORWARD DROP");
    let changes = compare(&plan(), &output).unwrap();
    assert!(changes.is_empty());
    assert!(
        changes.notes[0].contains("iptables -I FORWARD -i vcb00000000"),
        "{:?}",
        changes.notes
    );
}

#[test]
fn a_vxlan_without_underlay_address_names_the_host() {
    let mut plan = plan();
    plan.hosts[2].underlay = None;
    let error = Wanted::new(&plan, &"bm01".parse().unwrap(), &plan.network).unwrap_err();
    assert_eq!(error, NetworkError::NoUnderlay("bm03".into()));
}

#[test]
fn every_pair_of_hosts_with_nodes_pings_once() {
    let template = plan();
    for count in 1..=9_u8 {
        let mut plan = template.clone();
        plan.hosts = (0..count)
            .map(|n| HostPlan {
                name: format!("h{n:02}").parse().unwrap(),
                bridge_address: Some([10, 77, 255, n].into()),
                ..template.hosts[0].clone()
            })
            .collect();
        // One has no nodes, one has dropped out.
        plan.hosts.extend(["empty", "out"].map(|name| HostPlan {
            name: name.parse().unwrap(),
            nodes: if name == "empty" {
                Vec::new()
            } else {
                template.hosts[0].nodes.clone()
            },
            ..template.hosts[0].clone()
        }));
        let mut pairs = std::collections::BTreeSet::new();
        let mut pings = 0;
        for host in &plan.hosts {
            let peers = overlay_peers(&plan, &plan.network, &host.name, |peer| peer.as_str() != "out");
            pings += peers.len();
            assert!(peers.len() <= usize::from(count).div_ceil(2));
            for (peer, _) in peers {
                assert!(!["empty", "out"].contains(&peer.as_str()));
                pairs.insert([
                    host.name.clone().min(peer.clone()),
                    host.name.clone().max(peer.clone()),
                ]);
            }
        }
        let count = usize::from(count);
        assert_eq!(
            (pairs.len(), pings),
            (count * (count - 1) / 2, count * (count - 1) / 2)
        );
        plan.network.vxlan = None;
        assert!(overlay_peers(&plan, &plan.network, &plan.hosts[0].name, |_| true).is_empty());
    }
}

#[test]
fn full_packets_go_through_the_bridge_and_peers_without_answer_are_reported() {
    let plan = plan();
    let hosts = [&plan.hosts[1].name, &plan.hosts[2].name];
    let peers: Vec<(&crate::base::name::HostName, std::net::Ipv4Addr)> = hosts
        .into_iter()
        .zip([[10, 77, 255, 253].into(), [10, 77, 255, 252].into()])
        .collect();
    let script = overlay_script(&plan.network, &peers);
    // 1550 - IP 20 - ICMP 8.
    assert!(
        script.contains("size=1522 ") && script.contains("bridge=vcb00000000\n"),
        "{script}"
    );
    assert!(
        script.contains("probe 10.77.255.253 &\nprobe 10.77.255.252 &\nwait\n"),
        "{script}"
    );
    let failures = read_overlay("large 10.77.255.252\n", &peers);
    let silent: Vec<(&str, bool)> = failures
        .iter()
        .map(|failure| (failure.peer.as_str(), failure.silent))
        .collect();
    assert_eq!(silent, [("bm02", true), ("bm03", false)]);
    assert!(read_overlay("ok 10.77.255.252\nok 10.77.255.253\n", &peers).is_empty());
    let many = vec![peers[0]; 40];
    assert_eq!(overlay_script(&plan.network, &many).matches("wait\n").count(), 2);
}

#[test]
fn peers_that_a_full_packet_does_not_reach_are_reported_with_its_size() {
    let plan = plan();
    let peers: Vec<(&crate::base::name::HostName, IpAddr)> = plan.hosts[1..]
        .iter()
        .map(|host| (&host.name, host.underlay.unwrap()))
        .collect();
    let script = mtu_script(1550, &peers);
    assert!(
        script.contains("size=1572\n")
            && script.contains("-s \"$size\" \"$1\"")
            && script.contains("probe 10.90.0.13 &"),
        "{script}"
    );
    let failures = read_mtu("ok 10.90.0.12\nlarge 10.90.0.13\n", 1550, &peers);
    assert_eq!(failures.len(), 1);
    // 1550 + inner Ethernet 14 + VXLAN 8 + UDP 8 + IP 20.
    assert_eq!((failures[0].size, failures[0].unreachable), (1600, false));
    let failures = read_mtu("", 1550, &peers);
    assert!(failures.len() == 2 && failures.iter().all(|failure| failure.unreachable));
    let six: IpAddr = "fd00::1".parse().unwrap();
    assert_eq!(read_mtu("", 1550, &[(peers[0].0, six)])[0].size, 1620);
}

#[test]
fn removal_takes_only_what_carries_the_mark() {
    let cluster = crate::inventory::ClusterRef::of_directory("demo.00000000").unwrap();
    insta::assert_snapshot!(removal_script(&cluster));
}

#[test]
fn a_link_that_never_got_its_alias_is_recreated_and_one_that_was_up_is_foreign() {
    let half = |flags: &str| {
        format!(
            r#"@@links
[{{"ifname":"eth0","mtu":1600}},
 {{"ifname":"vcb00000000","mtu":1500,{flags}"linkinfo":{{"info_kind":"bridge"}}}},
 {{"ifname":"vcx00000000","mtu":1550,"linkinfo":{{"info_kind":"vxlan","info_data":{{"id":4242}}}}}}]
@@end
"#
        )
    };
    let script = compare(&plan(), &half("")).unwrap().script();
    for link in ["vcb00000000", "vcx00000000"] {
        let gone = script.find(&format!("link del dev {link}\n")).unwrap();
        let made = script.find(&format!("link add {link} ")).unwrap();
        assert!(gone < made, "{script}");
    }
    let foreign = compare(&plan(), &half(r#""flags":["UP"],"#));
    assert_eq!(foreign, Err(NetworkError::ForeignLink("vcb00000000".into())));
}

#[test]
fn names_of_links_contain_their_kind_and_cluster() {
    let id = crate::inventory::ShortId::parse("0000000a").unwrap();
    assert_eq!(read_link_name("vcb0000000a"), Some(("bridge", id.clone())));
    assert_eq!(read_link_name("vcx0000000a"), Some(("vxlan", id.clone())));
    assert_eq!(read_link_name("vcx0000000aab12"), Some(("vxlan", id)));
    for other in [
        "vcb0000000",
        "vcy0000000a",
        "eth0",
        "vcb0000000g",
        "vcb0000000aab1",
    ] {
        assert_eq!(read_link_name(other), None);
    }
}
