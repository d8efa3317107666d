//! Targets for Prometheus: `file_sd`, one entry per node.

use serde_json::{Value, json};

use super::{ExportFormat, ExportedCluster, pretty};
use crate::report::Format;

/// The nodes as Prometheus targets.
pub struct Targets {
    /// Port of the exporter on every node.
    pub port: u16,
}

impl ExportFormat for Targets {
    fn render(&self, cluster: &ExportedCluster<'_>, _format: Format) -> anyhow::Result<String> {
        let nodes = cluster.nodes.iter().map(|node| node.node);
        let entries: Vec<Value> = nodes
            .map(|node| {
                json!({
                    "targets": [format!("{}:{}", node.spec.address, self.port)],
                    "labels": {
                        "vcluster": cluster.name, "group": node.group, "node": node.name, "host": node.host,
                    },
                })
            })
            .collect();
        Ok(pretty(&Value::from(entries)))
    }
}
