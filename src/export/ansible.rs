//! An Ansible inventory: YAML, or JSON, which is YAML too.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::group_names::group_names;
use super::{ExportFormat, ExportedCluster, pretty};
use crate::base::shell::quote;
use crate::inventory::NodeSpec;
use crate::report::Format;

/// An Ansible inventory of the nodes.
pub struct Inventory;

impl ExportFormat for Inventory {
    fn render(&self, cluster: &ExportedCluster<'_>, format: Format) -> anyhow::Result<String> {
        let key = cluster.key.display().to_string();
        let known_hosts = cluster.known_hosts.display().to_string();
        // Ansible renders values as templates; the other values here are only names and addresses.
        let is_template = |text: &str| ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
        anyhow::ensure!(
            !is_template(&key),
            "the state directory {key:?} cannot be used in an inventory: Ansible would render it as a template"
        );
        let names = group_names(
            cluster.nodes.iter().map(|node| node.node.group.as_str()),
            cluster.nodes.iter().map(|node| node.node.name.as_str()),
        );
        let mut groups: Map<String, Value> = Map::new();
        for node in &cluster.nodes {
            // Ansible splits the arguments like a shell.
            let mut ssh_args = format!(
                "-o UserKnownHostsFile={} -o HostKeyAlias={} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
                quote(&known_hosts),
                node.node.name
            );
            if let Some(hop) = &node.hop {
                anyhow::ensure!(
                    !is_template(hop),
                    "`{hop}` cannot be used in an inventory: Ansible would render it as a template"
                );
                // Writing to a string cannot fail.
                let _ = write!(ssh_args, " -o {}", quote(&format!("ProxyCommand={hop}")));
            }
            let mut variables = json!({
                "ansible_host": node.node.spec.address,
                "ansible_port": 22,
                "ansible_user": node.user,
                "ansible_ssh_private_key_file": key,
                "ansible_ssh_common_args": ssh_args,
                // By default it has only address and user, which a node of another cluster may have too.
                "ansible_control_path": format!("%(directory)s/{}-%%r", node.socket()),
                "vcluster_host": node.node.host,
            });
            if !node.node.spec.interfaces.is_empty() {
                variables["vcluster_addresses"] = addresses(&node.node.spec);
            }
            let group = names.get(node.node.group.as_str()).cloned().unwrap_or_default();
            let group = groups.entry(group).or_insert_with(|| json!({ "hosts": {} }));
            if let Some(hosts) = group.get_mut("hosts").and_then(Value::as_object_mut) {
                hosts.insert(node.node.name.to_string(), variables);
            }
        }
        let inventory = json!({ "all": { "children": groups } });
        Ok(match format {
            Format::Json => pretty(&inventory),
            Format::Human => serde_saphyr::to_string(&inventory)?,
        })
    }
}

/// The addresses of a node by network.
fn addresses(spec: &NodeSpec) -> Value {
    let addresses = spec.addresses();
    addresses
        .map(|(network, address)| (String::from(network), address.to_string()))
        .collect()
}
