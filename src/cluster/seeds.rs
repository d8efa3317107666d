//! The seed volume of every node of a plan.

use ipnet::Ipv4Net;

use super::files::hosts_file;
use crate::base::failure::explain;
use crate::plan::{NodePlan, Plan};
use crate::seed::{self, SeedInput};
use crate::state::ClusterKeys;
use crate::topology::Topology;

/// Creates seeds; what all nodes share is computed once.
pub(crate) struct Seeds<'a> {
    plan: &'a Plan,
    keys: &'a ClusterKeys,
    topology: &'a Topology,
    hosts_file: String,
    authorized: Vec<String>,
}

impl<'a> Seeds<'a> {
    pub(crate) fn new(plan: &'a Plan, keys: &'a ClusterKeys, topology: &'a Topology) -> Self {
        Self {
            plan,
            keys,
            topology,
            hosts_file: hosts_file(plan),
            authorized: vec![keys.authorized_key()],
        }
    }

    /// The seed volume of a node.
    pub(crate) fn volume(&self, node: &NodePlan) -> Result<Vec<u8>, String> {
        let network = &self.plan.network;
        let address = Ipv4Net::new(node.spec.address, network.subnet.prefix_len())
            .map_err(|error| error.to_string())?;
        let input = SeedInput {
            // A changed spec is a new instance: cloud-init then configures it from the start.
            instance_id: &format!("{}-{}", node.name, &node.uuid.simple().to_string()[..12]),
            hostname: &node.name,
            user: node.login_user()?,
            authorized_keys: &self.authorized,
            host_key: &self.keys.host_key(&node.name),
            address,
            mac: node.spec.mac,
            mtu: node.spec.mtu,
            gateway: node.spec.gateway,
            interfaces: &node.spec.interfaces,
            dns: &node.spec.dns,
            hosts_file: &self.hosts_file,
            user_data: &self.topology.user_data(&node.spec.image, &node.group),
        };
        let files = input.files().map_err(|error| explain(&error))?;
        seed::volume(&files).map_err(|error| explain(&error))
    }
}
