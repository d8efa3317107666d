//! What several benches need.

use indexmap::IndexMap;
use uuid::Uuid;
use vcluster::base::name::ImageName;
use vcluster::base::units::MiB;
use vcluster::inventory::{HostFacts, ObservedHost};
use vcluster::plan::{ImageFacts, KnownFailures, Plan, PlanInput, plan};
use vcluster::topology::Topology;

/// The plan of a cluster of micro nodes for these hosts.
pub(crate) fn planned(topology: &Topology, observed: Vec<ObservedHost>) -> Plan {
    let micro: ImageName = "micro".parse().unwrap();
    plan(&PlanInput {
        topology,
        cluster_id: Uuid::from_u128(7),
        images: IndexMap::from([(micro, ImageFacts::of_key("key"))]),
        client_key: "SHA256:key".to_owned(),
        observed,
        known_failures: KnownFailures::default(),
    })
    .unwrap()
}

/// A host that holds nothing, `bm0000` and so on: enough memory for ten nodes.
pub(crate) fn observed(number: u32) -> ObservedHost {
    ObservedHost {
        name: format!("bm{number:04}").parse().unwrap(),
        facts: HostFacts {
            hostname: format!("bm{number:04}"),
            cpus: 16,
            memory: MiB(11 * 1024),
            memory_available: MiB(11 * 1024),
            disk_free: MiB(1 << 20),
            libvirt_version: 9_000_000,
            qemu_version: 7_002_000,
            uefi: true,
            tsc_khz: None,
            underlay: Some(std::net::Ipv4Addr::from(0xc612_0000 + number).into()),
            underlay_mtu: Some(1500),
            routes: vec![("198.18.0.0/15".parse().unwrap(), "eth0".into())],
            addresses: Vec::new(),
            routers: Vec::new(),
            vnis: Vec::new(),
            kvm: None,
            boot_id: None,
        },
        nodes: Vec::new(),
        objects: Vec::new(),
        foreign_memory: MiB(0),
        foreign_vcpus: 0,
        claims: Vec::new(),
        token: String::new(),
        unreadable: Vec::new(),
        copies: Vec::new(),
        broken_bridges: Vec::new(),
        unplugged: Vec::new(),
    }
}
