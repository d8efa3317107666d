//! Hosts that a command for some nodes leaves alone: they are unreachable, and none of these nodes is there. They and
//! their nodes stay in the plan as they were.

use std::collections::BTreeSet;

use super::model::{HostPlan, NetworkPlan, Plan};
use super::network::overhead;
use crate::base::event::ActionKind;
use crate::base::name::HostName;
use crate::base::units::MiB;
use crate::inventory::{DomainState, HostFacts, ObservedHost, ObservedNode, ObservedObject, ShortId};

/// The reason of the nodes there.
const UNREACHABLE: &str = "not selected (its host is unreachable)";

/// More than any node needs: what a host has matters only for new nodes, and it gets none.
const PLENTY: u32 = u32::MAX;

/// What the previous plan has on a host, as if it had been observed; `None` if the host has no part in that plan.
pub(super) fn remembered(before: &Plan, host: &HostName) -> Option<ObservedHost> {
    let planned = before.hosts.iter().find(|planned| planned.name == *host)?;
    let own: Vec<&NetworkPlan> = before
        .all_networks()
        .filter(|network| network.own_bridge)
        .collect();
    let joined = own.iter().filter(|network| planned.joins(&network.name));
    let vxlans = joined.filter_map(|network| network.vxlan.as_ref());
    let objects = vxlans.clone().map(|vxlan| ObservedObject {
        kind: "vxlan".to_owned(),
        name: vxlan.device.clone(),
        cluster: before.cluster.clone(),
        short_id: ShortId::of(before.cluster_id),
    });
    let nodes = before.nodes.iter().filter(|node| node.host == *host);
    Some(ObservedHost {
        name: host.clone(),
        nodes: nodes
            .map(|node| ObservedNode {
                mark: before.mark(node),
                domain: node.domain.clone(),
                uuid: node.uuid,
                state: DomainState::Running,
            })
            .collect(),
        objects: objects.collect(),
        facts: facts(planned, &own, vxlans.map(|vxlan| vxlan.vni).collect()),
        foreign_memory: MiB(0),
        foreign_vcpus: 0,
        claims: Vec::new(),
        token: String::new(),
        unreadable: Vec::new(),
        copies: Vec::new(),
        broken_bridges: Vec::new(),
        unplugged: Vec::new(),
    })
}

/// Facts that allow everything that the previous plan has there, and change nothing elsewhere.
fn facts(planned: &HostPlan, own: &[&NetworkPlan], vnis: Vec<u32>) -> HostFacts {
    let widest = own.iter().map(|network| network.mtu).max();
    let around = planned.underlay.map_or(0, overhead);
    let plenty = MiB(u64::from(PLENTY));
    HostFacts {
        hostname: planned.name.to_string(),
        cpus: PLENTY,
        memory: plenty,
        memory_available: plenty,
        disk_free: plenty,
        libvirt_version: 0,
        qemu_version: 0,
        uefi: true,
        tsc_khz: None,
        underlay: planned.underlay,
        underlay_mtu: widest.map(|mtu| mtu.saturating_add(around)),
        routes: Vec::new(),
        addresses: Vec::new(),
        routers: Vec::new(),
        vnis,
        boot_id: None,
        kvm: None,
    }
}

/// Leaves these hosts and their nodes in a plan as they were in the previous one.
pub(super) fn leave(plan: &mut Plan, before: &Plan, idle: &BTreeSet<HostName>) {
    for action in plan
        .actions
        .iter_mut()
        .filter(|action| idle.contains(&action.host))
    {
        action.kind = ActionKind::Keep;
        UNREACHABLE.clone_into(&mut action.reason);
    }
    for host in plan.hosts.iter_mut().filter(|host| idle.contains(&host.name)) {
        let mut hosts = before.hosts.iter();
        if let Some(before) = hosts.find(|before| before.name == host.name) {
            *host = before.clone();
        }
    }
}
