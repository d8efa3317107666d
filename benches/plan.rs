//! Time of the planner by the size of the cluster: `cargo bench --bench plan`.
//! Prints medians; `*` marks a second `up`, when every node already exists.

#![expect(clippy::unwrap_used, reason = "a measurement stops at the first error")]
#![expect(clippy::print_stdout, reason = "printing the figures is its purpose")]

mod shared;

use std::time::{Duration, Instant};

use indexmap::IndexMap;
use serde_json::Map;
use vcluster::base::name::{GroupName, NetworkName};
use vcluster::base::units::MiB;
use vcluster::inventory::{DomainState, Mark, ObservedHost, ObservedNode};
use vcluster::plan::Plan;
use vcluster::topology::{Accel, Group, Host, MinReady, Network, Node, Place, Topology};

use shared::{observed, planned};

const ROUNDS: usize = 7;
const GROUPS: u32 = 5;

fn main() {
    println!(
        "{:>7} {:>6} {:>10} {:>10} {:>10} {:>10}",
        "nodes", "hosts", "pack", "spread", "mixed", "again*"
    );
    for nodes in [1_000, 2_000, 5_000, 10_000] {
        let hosts = nodes / 10;
        let mut pack = world(nodes, hosts, Place::Pack, false);
        let times = [
            median(&pack),
            median(&world(nodes, hosts, Place::Spread, false)),
            median(&world(nodes, hosts, Place::Spread, true)),
            {
                let made = run(&pack);
                apply(&mut pack.1, &made);
                median(&pack)
            },
        ];
        let cells: Vec<String> = times
            .iter()
            .map(|t| format!("{:>7.1} ms", t.as_secs_f64() * 1e3))
            .collect();
        println!("{nodes:>7} {hosts:>6} {}", cells.join(" "));
    }
}

type World = (Topology, Vec<ObservedHost>);

fn run((topology, observed): &World) -> Plan {
    planned(topology, observed.clone())
}

fn median(world: &World) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let made = run(world);
            assert_eq!(made.nodes.len(), world.0.nodes.len());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

/// Hosts with exactly enough room; with `mixed`, every node needs a different amount of memory.
fn world(nodes: u32, hosts: u32, place: Place, mixed: bool) -> World {
    let observed = (0..hosts).map(observed).collect();
    let groups: Vec<GroupName> = (0..GROUPS)
        .map(|g| format!("group{}", (b'a' + g as u8) as char).parse().unwrap())
        .collect();
    let all: Vec<Node> = (0..nodes)
        .map(|i| {
            let group = &groups[(i * GROUPS / nodes) as usize];
            Node {
                name: format!("{group}{i:05}").parse().unwrap(),
                group: group.clone(),
                index: i,
                image: "micro".parse().unwrap(),
                vcpus: 1,
                memory: MiB(if mixed { 96 + u64::from(i) % 1000 } else { 1024 }),
                disk: None,
                disks: Vec::new(),
                networks: Vec::new(),
                vars: Map::new(),
            }
        })
        .collect();
    let group = |name: &GroupName| Group {
        name: name.clone(),
        nodes: all
            .iter()
            .filter(|node| node.group == *name)
            .map(|node| node.name.clone())
            .collect(),
        place,
        on: None,
        separate: Vec::new(),
        user_data: None,
        vars: Map::new(),
        at: None,
    };
    let topology = Topology {
        name: "bench".parse().unwrap(),
        hosts: (0..hosts).map(host).collect(),
        images: IndexMap::new(),
        network: Network {
            name: NetworkName::cluster(),
            subnet: "10.64.0.0/10".parse().unwrap(),
            range: None,
            mtu: None,
            nat: true,
            bridge: None,
            gateway: None,
            dns: Vec::new(),
            at: None,
        },
        networks: Vec::new(),
        groups: groups.iter().map(group).collect(),
        nodes: all.clone(),
        min_ready: MinReady::default(),
        vars: Map::new(),
        configure: Vec::new(),
        workload: Vec::new(),
        metrics: Vec::new(),
        criteria: Vec::new(),
        base_dir: "/".into(),
        text: String::new(),
        ttl: None,
        file: "bench".into(),
    };
    (topology, observed)
}

fn host(number: u32) -> Host {
    Host {
        name: format!("bm{number:04}").parse().unwrap(),
        uri: "qemu:///system".into(),
        max_nodes: 10,
        overcommit: 1.0,
        reserve: MiB(1024),
        address: None,
        accel: Accel::Auto,
        identity: None,
        vars: Map::new(),
        at: None,
    }
}

/// Adds the nodes of a plan to their hosts.
fn apply(observed: &mut [ObservedHost], made: &Plan) {
    let place: std::collections::HashMap<_, _> = observed
        .iter()
        .enumerate()
        .map(|(i, host)| (host.name.clone(), i))
        .collect();
    for node in &made.nodes {
        observed[place[&node.host]].nodes.push(ObservedNode {
            mark: Mark {
                cluster: made.cluster.clone(),
                cluster_id: made.cluster_id,
                node: node.name.clone(),
                group: node.group.clone(),
                index: node.index,
                spec: node.spec.clone(),
            },
            domain: node.domain.clone(),
            uuid: node.uuid,
            state: DomainState::Running,
        });
    }
}
