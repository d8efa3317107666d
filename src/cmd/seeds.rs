//! The seed volume of every node of a plan.

use std::collections::HashMap;

use ipnet::Ipv4Net;

use super::common;
use crate::engine::explain;
use crate::name::HostName;
use crate::plan::{NodePlan, Plan};
use crate::seed::{self, SeedInput};
use crate::state::ClusterKeys;
use crate::topology::Topology;

/// Makes seeds; what all nodes share is made once.
pub(super) struct Seeds<'a> {
    plan: &'a Plan,
    topology: &'a Topology,
    keys: &'a ClusterKeys,
    hosts_file: String,
    authorized: Vec<String>,
    gateways: HashMap<HostName, std::net::Ipv4Addr>,
}

impl<'a> Seeds<'a> {
    pub(super) fn new(plan: &'a Plan, topology: &'a Topology, keys: &'a ClusterKeys) -> Self {
        // With NAT the way out is the node's own host.
        let gateways = plan
            .hosts
            .iter()
            .filter(|_| plan.network.nat)
            .filter_map(|host| Some((host.name.clone(), host.bridge_address?)))
            .collect();
        Self {
            plan,
            topology,
            keys,
            hosts_file: common::hosts_file(plan),
            authorized: vec![keys.authorized_key()],
            gateways,
        }
    }

    /// The volume of a node, or why there is none.
    pub(super) fn volume(&self, node: &NodePlan) -> Result<Vec<u8>, String> {
        let network = &self.plan.network;
        let address = Ipv4Net::new(node.spec.address, network.subnet.prefix_len())
            .map_err(|error| error.to_string())?;
        let image = self.topology.images.get(&node.spec.image);
        let user = image.map_or("root", crate::topology::Image::login_user);
        let gateway = network.gateway.or_else(|| self.gateways.get(&node.host).copied());
        let input = SeedInput {
            // Another spec is another machine: cloud-init then configures from the start.
            instance_id: &format!("{}-{}", node.name, &node.uuid.simple().to_string()[..12]),
            hostname: &node.name,
            fqdn: None,
            user,
            authorized_keys: &self.authorized,
            host_key: &self.keys.host_key(&node.name),
            address,
            mac: node.spec.mac,
            mtu: network.mtu,
            gateway,
            dns: &network.dns,
            hosts_file: &self.hosts_file,
            files: &[],
        };
        let files = input.files().map_err(|error| explain(&error))?;
        seed::volume(&files).map_err(|error| explain(&error))
    }
}
