//! Lines for `/etc/hosts`.

use std::collections::BTreeMap;

use super::{ExportFormat, ExportedCluster, pretty};
use crate::report::Format;

/// Names and addresses of the nodes.
pub struct HostsFile;

impl ExportFormat for HostsFile {
    fn render(&self, cluster: &ExportedCluster<'_>, format: Format) -> anyhow::Result<String> {
        let nodes = cluster.nodes.iter().map(|node| node.node);
        if format == Format::Json {
            let hosts: BTreeMap<&str, String> = nodes
                .map(|node| (node.name.as_str(), node.spec.address.to_string()))
                .collect();
            return Ok(pretty(&serde_json::to_value(hosts)?));
        }
        // With all nodes, the output is a complete `/etc/hosts`.
        let first = if cluster.whole {
            "127.0.0.1 localhost\n"
        } else {
            ""
        };
        let lines: String = nodes
            .map(|node| format!("{} {}\n", node.spec.address, node.name))
            .collect();
        Ok(format!("{first}{lines}"))
    }
}
