//! What other clusters are promised on a host, whether it exists yet or not; and what this plan promises.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use uuid::Uuid;

use super::model::Plan;
use super::needs::Needs;
use crate::base::name::HostName;
use crate::base::units::MiB;
use crate::inventory::{Claim, ClaimedNetwork, ObservedHost};

/// What a plan promises its cluster on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimedCapacity {
    /// Nodes.
    pub nodes: u32,
    /// Their memory.
    pub memory: MiB,
    /// Their vCPUs.
    pub vcpus: u32,
    /// Their disk.
    pub disk: MiB,
    /// The subnet of the network `cluster`, unless it is on an existing bridge.
    pub subnet: Option<Ipv4Net>,
    /// Its VXLAN identifier.
    pub vni: Option<u32>,
    /// The further networks of the cluster on this host.
    pub networks: Vec<ClaimedNetwork>,
}

impl Plan {
    /// What the plan promises on a host.
    pub fn claimed_capacity(&self, host: &HostName) -> ClaimedCapacity {
        let here = self.hosts.iter().find(|planned| planned.name == *host);
        let further = self.networks.iter();
        let further = further.filter(|network| here.is_some_and(|here| here.joins(&network.name)));
        ClaimedCapacity {
            nodes: here.map_or(0, |here| u32::try_from(here.nodes.len()).unwrap_or(u32::MAX)),
            memory: here.map_or(MiB(0), |here| here.memory),
            vcpus: here.map_or(0, |here| here.vcpus),
            disk: here.map_or(MiB(0), |here| here.disk),
            subnet: self.network.own_bridge.then_some(self.network.subnet),
            vni: self.network.vxlan.as_ref().map(|vxlan| vxlan.vni),
            networks: further
                .map(|network| ClaimedNetwork {
                    name: network.name.clone(),
                    subnet: network.own_bridge.then_some(network.subnet),
                    vni: network.vxlan.as_ref().map(|vxlan| vxlan.vni),
                })
                .collect(),
        }
    }
}

/// Claims of the other clusters.
pub(super) fn of_others(observed: &ObservedHost, cluster_id: Uuid) -> impl Iterator<Item = &Claim> {
    let claims = observed.claims.iter().map(|seen| &seen.claim);
    claims.filter(move |claim| claim.id != cluster_id)
}

/// The claim of this cluster.
pub(super) fn own(observed: &ObservedHost, cluster_id: Uuid) -> Option<&Claim> {
    let mut claims = observed.claims.iter().map(|seen| &seen.claim);
    claims.find(|claim| claim.id == cluster_id)
}

/// Node count and needs of each other cluster: the larger of what it claims and what it has, because it may be growing
/// to its claim or shrinking to it.
pub(super) fn taken(observed: &ObservedHost, cluster_id: Uuid) -> Vec<(u32, Needs)> {
    let mut taken: BTreeMap<Uuid, (u32, Needs)> = BTreeMap::new();
    for node in observed
        .nodes
        .iter()
        .filter(|node| node.mark.cluster_id != cluster_id)
    {
        let needs = Needs::of_spec(&node.mark.spec);
        let (nodes, sum) = taken.entry(node.mark.cluster_id).or_default();
        *nodes += 1;
        sum.memory = sum.memory.saturating_add(needs.memory);
        sum.vcpus = sum.vcpus.saturating_add(needs.vcpus);
        sum.disk = sum.disk.saturating_add(needs.disk);
    }
    for claim in of_others(observed, cluster_id) {
        let (nodes, sum) = taken.entry(claim.id).or_default();
        *nodes = claim.nodes.max(*nodes);
        sum.memory = claim.memory.0.max(sum.memory);
        sum.vcpus = claim.vcpus.max(sum.vcpus);
        sum.disk = claim.disk.0.max(sum.disk);
    }
    taken.into_values().collect()
}
