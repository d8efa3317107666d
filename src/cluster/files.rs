//! Files derived from a plan: the nodes' names and host keys.

use std::net::Ipv4Addr;

use crate::plan::{NodePlan, Plan};
use crate::state::ClusterKeys;

/// `/etc/hosts` of all nodes.
pub fn hosts_file(plan: &Plan) -> String {
    let mut text = String::from("127.0.0.1 localhost\n");
    for (name, address) in plan.nodes.iter().flat_map(host_names) {
        text.push_str(&format!("{address} {name}\n"));
    }
    text
}

/// The names of a node with their addresses: `osd001` in the network `cluster`, `osd001.storage` in `storage`.
pub fn host_names(node: &NodePlan) -> impl Iterator<Item = (String, Ipv4Addr)> {
    node.spec.addresses().map(move |(network, address)| {
        let name = if network.is_cluster() {
            node.name.to_string()
        } else {
            format!("{}.{network}", node.name)
        };
        (name, address)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_a_name_for_each_further_network() {
        let node: NodePlan = serde_json::from_value(serde_json::json!({
            "name": "osd001", "group": "osd", "index": 0, "host": "bm01", "domain": "demo.osd001",
            "uuid": "11111111-2222-5333-8444-000000000001", "user": "root",
            "spec": {
                "image": "micro", "image_key": "0123456789abcdef", "vcpus": 1, "memory": 96, "disk": null,
                "address": "10.77.0.3", "mac": "52:54:0a:4d:00:03", "mtu": 1450, "gateway": null, "dns": [],
                "client_key": "SHA256:none",
                "interfaces": [{
                    "network": "storage", "bridge": "vcb111111110000", "address": "10.78.0.3/16",
                    "mac": "52:54:0a:4e:00:03", "mtu": 1450,
                }],
            },
        }))
        .unwrap();
        let names: Vec<String> = host_names(&node)
            .map(|(name, address)| format!("{address} {name}"))
            .collect();
        assert_eq!(names, ["10.77.0.3 osd001", "10.78.0.3 osd001.storage"]);
    }
}
