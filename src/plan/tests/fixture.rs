//! A small topology with hosts, to plan for.

use std::net::Ipv4Addr;

use indexmap::IndexMap;
use serde_json::Map;
use uuid::Uuid;

use crate::base::event::ActionKind;
use crate::base::name::{GroupName, HostName, ImageName, NetworkName, NodeName};
use crate::base::units::MiB;
use crate::inventory::{
    DomainState, Firmware, HostFacts, Mark, ObservedHost, ObservedNode, ObservedObject, ShortId,
};
use crate::plan::{ImageFacts, KnownFailures, Plan, PlanError, PlanInput, plan};
use crate::topology::{
    Accel, Group, Host, Image, ImageSource, Location, MinReady, Network, Node, Place, Topology,
};

pub(super) const ID: Uuid = Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef);
pub(super) const OTHER_ID: Uuid = Uuid::from_u128(0xfedc_ba98_7654_4321_8fed_cba9_8765_4321);

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) topology: Topology,
    pub(super) observed: Vec<ObservedHost>,
    pub(super) image_key: String,
    /// Size in bytes of the disk of the image `cloud`, if it is known.
    pub(super) cloud_disk: Option<u64>,
    /// What boots it.
    pub(super) cloud_firmware: Firmware,
    pub(super) client_key: String,
    pub(super) known_failures: KnownFailures,
}

fn at(line: usize) -> Location {
    Location {
        file: "test.yaml".into(),
        line,
        column: 3,
    }
}

impl World {
    pub(super) fn new() -> Self {
        let topology = Topology {
            name: "demo".parse().unwrap(),
            hosts: Vec::new(),
            images: IndexMap::from([(micro().name, micro()), (cloud().name, cloud())]),
            network: network(NetworkName::CLUSTER, "10.77.0.0/16", 7),
            networks: Vec::new(),
            groups: Vec::new(),
            nodes: Vec::new(),
            min_ready: MinReady::default(),
            vars: Map::new(),
            configure: Vec::new(),
            workload: Vec::new(),
            metrics: Vec::new(),
            criteria: Vec::new(),
            base_dir: "/".into(),
            file: "test.yaml".into(),
            text: String::new(),
            ttl: None,
        };
        Self {
            topology,
            observed: Vec::new(),
            image_key: "key1".into(),
            cloud_disk: None,
            cloud_firmware: Firmware::Bios,
            client_key: "SHA256:one".into(),
            known_failures: KnownFailures::default(),
        }
    }

    /// Adds hosts `bm1`, `bm2`, ..., each with this memory and these CPUs.
    pub(super) fn hosts(mut self, count: usize, memory: u64, cpus: u32) -> Self {
        for _ in 0..count {
            let name = format!("bm{}", self.topology.hosts.len() + 1);
            self.add_host(&name, memory, cpus);
        }
        self
    }

    pub(super) fn add_host(&mut self, name: &str, memory: u64, cpus: u32) -> &mut Host {
        let number = self.topology.hosts.len() as u32 + 1;
        let name: HostName = name.parse().unwrap();
        let mut observed = ObservedHost::empty(name.clone());
        observed.facts = HostFacts {
            cpus,
            memory: MiB(memory),
            memory_available: MiB(memory),
            underlay: Some(Ipv4Addr::from(u32::from(Ipv4Addr::new(192, 0, 2, 0)) + number).into()),
            underlay_mtu: Some(1500),
            routes: vec![("192.0.2.0/24".parse().unwrap(), "eth0".into())],
            ..observed.facts
        };
        self.observed.push(observed);
        self.topology.hosts.push(Host {
            name,
            uri: "qemu:///system".into(),
            max_nodes: 10,
            overcommit: 1.0,
            reserve: MiB(0),
            address: None,
            accel: Accel::Auto,
            identity: None,
            vars: Map::new(),
            at: None,
        });
        self.topology.hosts.last_mut().unwrap()
    }

    /// Adds a group of equal nodes.
    pub(super) fn group(mut self, name: &str, count: u32, memory: u64, place: Place) -> Self {
        let group: GroupName = name.parse().unwrap();
        let nodes: Vec<Node> = (0..count).map(|index| node(&group, index, memory)).collect();
        self.topology.groups.push(Group {
            name: group,
            nodes: nodes.iter().map(|node| node.name.clone()).collect(),
            place,
            on: None,
            separate: Vec::new(),
            user_data: None,
            vars: Map::new(),
            at: Some(at(20 + self.topology.groups.len())),
        });
        self.topology.nodes.extend(nodes);
        self
    }

    /// Adds a further network, which the nodes of some groups join.
    pub(super) fn network(mut self, name: &str, subnet: &str, groups: &[&str]) -> Self {
        let new = network(name, subnet, 10 + self.topology.networks.len());
        for node in &mut self.topology.nodes {
            if groups.contains(&node.group.as_str()) {
                node.networks.push(new.name.clone());
            }
        }
        self.topology.networks.push(new);
        self
    }

    /// Appends a node to a group.
    pub(super) fn grow(&mut self, group: usize, memory: u64) {
        let group = &mut self.topology.groups[group];
        let new = node(&group.name, group.nodes.len() as u32, memory);
        let behind = self
            .topology
            .nodes
            .iter()
            .rposition(|node| node.group == group.name)
            .map_or(0, |i| i + 1);
        group.nodes.push(new.name.clone());
        self.topology.nodes.insert(behind, new);
    }

    pub(super) fn plan(&self) -> Result<Plan, PlanError> {
        plan(&self.input())
    }

    pub(super) fn input(&self) -> PlanInput<'_> {
        let micro: ImageName = "micro".parse().unwrap();
        PlanInput {
            topology: &self.topology,
            cluster_id: ID,
            images: IndexMap::from([
                (micro, ImageFacts::of_key(self.image_key.clone())),
                (
                    "cloud".parse().unwrap(),
                    ImageFacts {
                        disk: self.cloud_disk,
                        firmware: self.cloud_firmware,
                        ..ImageFacts::of_key("cloud1")
                    },
                ),
            ]),
            client_key: self.client_key.clone(),
            observed: self.observed.clone(),
            known_failures: self.known_failures.clone(),
        }
    }

    /// Changes the hosts as if the plan had been applied.
    pub(super) fn apply(&mut self, plan: &Plan) {
        for action in plan
            .actions
            .iter()
            .filter(|action| action.kind == ActionKind::Remove)
        {
            self.at(action.host.as_str())
                .nodes
                .retain(|node| node.mark.node != action.node);
        }
        for host in &mut self.observed {
            host.nodes.retain(|node| node.mark.cluster_id != ID);
        }
        for node in &plan.nodes {
            let mark = Mark {
                cluster: plan.cluster.clone(),
                cluster_id: ID,
                node: node.name.clone(),
                group: node.group.clone(),
                index: node.index,
                spec: node.spec.clone(),
            };
            let (domain, uuid) = (node.domain.clone(), node.uuid);
            self.at(node.host.as_str()).nodes.push(ObservedNode {
                mark,
                domain,
                uuid,
                state: DomainState::Running,
            });
        }
        for host in &plan.hosts {
            let observed = self.at(host.name.as_str());
            for network in plan.all_networks() {
                if !network.own_bridge || !host.joins(&network.name) {
                    continue;
                }
                observed.objects.push(object("bridge", &network.bridge));
                if let Some(vxlan) = &network.vxlan {
                    observed.objects.push(object("vxlan", &vxlan.device));
                    if !observed.facts.vnis.contains(&vxlan.vni) {
                        observed.facts.vnis.push(vxlan.vni);
                    }
                }
            }
        }
    }

    pub(super) fn at(&mut self, host: &str) -> &mut ObservedHost {
        self.observed
            .iter_mut()
            .find(|observed| observed.name.as_str() == host)
            .unwrap()
    }

    /// The node as it is on its host.
    pub(super) fn node(&mut self, name: &str) -> &mut ObservedNode {
        let mut all = self.observed.iter_mut().flat_map(|host| &mut host.nodes);
        all.find(|node| node.mark.node.as_str() == name && node.mark.cluster_id == ID)
            .unwrap()
    }

    /// Puts a node of another cluster of ours on a host.
    pub(super) fn add_other(&mut self, host: &str, memory: u64, address: [u8; 4]) {
        let mut other = Self::new()
            .hosts(1, 1 << 20, 64)
            .group("x", 1, memory, Place::Pack)
            .plan()
            .unwrap();
        let node = other.nodes.remove(0);
        let nodes = &mut self.at(host).nodes;
        let name: NodeName = format!("x{}", nodes.len()).parse().unwrap();
        let mut spec = node.spec;
        spec.address = address.into();
        nodes.push(ObservedNode {
            domain: format!("other.{name}"),
            uuid: Uuid::new_v5(&OTHER_ID, name.as_str().as_bytes()),
            mark: Mark {
                cluster: "other".parse().unwrap(),
                cluster_id: OTHER_ID,
                node: name,
                group: node.group,
                index: 0,
                spec,
            },
            state: DomainState::Off,
        });
    }
}

pub(super) fn object(kind: &str, name: &str) -> ObservedObject {
    ObservedObject {
        kind: kind.into(),
        name: name.into(),
        cluster: "demo".parse().unwrap(),
        short_id: ShortId::of(ID),
    }
}

fn micro() -> Image {
    Image::new("micro".parse().unwrap(), ImageSource::Micro)
}

fn cloud() -> Image {
    Image::new("cloud".parse().unwrap(), ImageSource::File("/cloud.qcow2".into()))
}

fn network(name: &str, subnet: &str, line: usize) -> Network {
    Network {
        name: name.parse().unwrap(),
        subnet: subnet.parse().unwrap(),
        range: None,
        mtu: None,
        nat: false,
        bridge: None,
        gateway: None,
        dns: Vec::new(),
        at: Some(at(line)),
    }
}

fn node(group: &GroupName, index: u32, memory: u64) -> Node {
    Node {
        name: format!("{group}{:02}", index + 1).parse().unwrap(),
        group: group.clone(),
        index,
        image: "micro".parse().unwrap(),
        vcpus: 1,
        memory: MiB(memory),
        disk: None,
        disks: Vec::new(),
        networks: Vec::new(),
        vars: Map::new(),
    }
}

/// `bm1: a[1-2] | bm2: b` of a plan.
pub(super) fn layout(plan: &Plan) -> String {
    let hosts = plan.hosts.iter().filter(|host| !host.nodes.is_empty());
    let parts: Vec<String> = hosts
        .map(|host| format!("{}: {}", host.name, crate::nodeset::fold(&host.nodes)))
        .collect();
    parts.join(" | ")
}

/// `KIND NODE on HOST: REASON` of every action that does something.
pub(super) fn doings(plan: &Plan) -> Vec<String> {
    let doing = plan
        .actions
        .iter()
        .filter(|action| action.kind != ActionKind::Keep);
    doing
        .map(|a| format!("{:?} {} on {}: {}", a.kind, a.node, a.host, a.reason))
        .collect()
}
