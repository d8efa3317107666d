//! Lines for `/etc/hosts`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{ExportFormat, ExportedCluster, pretty};
use crate::cluster::files::host_names;
use crate::report::Format;

/// Names and addresses of the nodes.
pub struct HostsFile;

impl ExportFormat for HostsFile {
    fn render(&self, cluster: &ExportedCluster<'_>, format: Format) -> anyhow::Result<String> {
        let names = cluster.nodes.iter().flat_map(|node| host_names(node.node));
        if format == Format::Json {
            let hosts: BTreeMap<String, Ipv4Addr> = names.collect();
            return Ok(pretty(&serde_json::to_value(hosts)?));
        }
        // With all nodes, the output is a complete `/etc/hosts`.
        let first = if cluster.whole {
            "127.0.0.1 localhost\n"
        } else {
            ""
        };
        let lines: String = names
            .map(|(name, address)| format!("{address} {name}\n"))
            .collect();
        Ok(format!("{first}{lines}"))
    }
}
