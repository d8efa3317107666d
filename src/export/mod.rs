//! Cluster descriptions for other tools, one format per file. Rendered from the controller's state, without connecting
//! to any host.

mod ansible;
mod hosts;
mod ssh_config;
mod targets;

use std::path::PathBuf;

pub use ansible::Inventory;
pub use hosts::HostsFile;
pub use ssh_config::{SshConfigFile, config_path};
pub use targets::Targets;

use crate::base::name::{ClusterName, NodeName};
use crate::cluster::Cluster;
use crate::cluster::hosts::ssh_target;
use crate::cluster::nodes::login_user;
use crate::plan::NodePlan;
use crate::report::Format;
use crate::ssh::HostTarget;

/// A format to export a cluster in.
pub trait ExportFormat {
    /// Renders the cluster; `format` selects between the tool's own form and JSON where both exist.
    fn render(&self, cluster: &ExportedCluster<'_>, format: Format) -> anyhow::Result<String>;
}

/// The part of a cluster that is exported.
pub struct ExportedCluster<'a> {
    /// Its name.
    pub name: &'a ClusterName,
    /// The private key that its nodes accept.
    pub key: PathBuf,
    /// The file with the host keys of its nodes.
    pub known_hosts: PathBuf,
    /// The selected nodes, in plan order.
    pub nodes: Vec<ExportedNode<'a>>,
    /// Whether these are all nodes of the cluster.
    pub whole: bool,
}

/// How stock ssh reaches one node.
pub struct ExportedNode<'a> {
    /// The node.
    pub node: &'a NodePlan,
    /// Its login user.
    pub user: String,
    /// Its jump host in ssh syntax, `[user@]host[:port]`; `None` if it is reached directly.
    pub jump: Option<String>,
}

impl<'a> ExportedCluster<'a> {
    /// The selected nodes of a cluster.
    pub fn new(cluster: &'a Cluster, chosen: &[NodeName]) -> anyhow::Result<Self> {
        let mut nodes = Vec::new();
        for node in cluster
            .plan
            .nodes
            .iter()
            .filter(|node| chosen.contains(&node.name))
        {
            let mut hosts = cluster.record.hosts.iter();
            let target = match hosts.find(|host| host.name == node.host) {
                Some(host) => ssh_target(host)?,
                None => None,
            };
            let user = login_user(node)?;
            nodes.push(ExportedNode {
                node,
                user: user.to_owned(),
                jump: target.as_ref().map(jump),
            });
        }
        Ok(Self {
            name: &cluster.record.name,
            key: cluster.dir.join("keys/client"),
            known_hosts: cluster.dir.join("known_hosts"),
            whole: nodes.len() == cluster.plan.nodes.len(),
            nodes,
        })
    }
}

fn jump(target: &HostTarget) -> String {
    let user = target.user.as_ref();
    let user = user.map_or_else(String::new, |user| format!("{user}@"));
    let port = target.port.map_or_else(String::new, |port| format!(":{port}"));
    let host = if target.host.contains(':') {
        format!("[{}]", target.host)
    } else {
        target.host.clone()
    };
    format!("{user}{host}{port}")
}

/// Data as indented JSON with a newline at the end.
fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_host_is_written_as_ssh_reads_it() {
        let target = |user: Option<&str>, host: &str, port| HostTarget {
            host: host.into(),
            user: user.map(str::to_owned),
            port,
            identity: None,
            known_hosts: None,
            timeout: std::time::Duration::from_secs(1),
        };
        assert_eq!(jump(&target(None, "bm1", None)), "bm1");
        assert_eq!(jump(&target(Some("me"), "bm1", Some(22))), "me@bm1:22");
        assert_eq!(jump(&target(Some("me"), "fd00::1", Some(22))), "me@[fd00::1]:22");
    }
}
