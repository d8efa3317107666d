//! Files derived from a plan: the nodes' names and host keys.

use crate::plan::Plan;
use crate::state::ClusterKeys;

/// `/etc/hosts` of all nodes.
pub fn hosts_file(plan: &Plan) -> String {
    let mut text = String::from("127.0.0.1 localhost\n");
    for node in &plan.nodes {
        text.push_str(&format!("{} {}\n", node.spec.address, node.name));
    }
    text
}

/// The nodes' host keys, for stock OpenSSH.
pub fn known_hosts(plan: &Plan, keys: &ClusterKeys) -> String {
    plan.nodes
        .iter()
        .map(|node| {
            let key = keys.host_public_key(&node.name).to_openssh().unwrap_or_default();
            let key: Vec<&str> = key.split(' ').take(2).collect();
            format!("{},{} {}\n", node.name, node.spec.address, key.join(" "))
        })
        .collect()
}
