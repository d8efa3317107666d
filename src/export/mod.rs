//! Cluster descriptions for other tools, one format per file. Rendered from the controller's state, without connecting
//! to any host.

mod ansible;
mod group_names;
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
use crate::ssh::{HostTarget, SshConfig};

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
    /// The `ProxyCommand` that leads to it through its host; `None` if it is reached directly.
    pub hop: Option<String>,
}

impl ExportedNode<'_> {
    /// A name for the socket of a shared connection to it: no other node of any cluster has it, and it is short.
    pub fn socket(&self) -> String {
        // The last 12 of 32 digits: the whole path may not have more than about 100 characters.
        self.node.uuid.simple().to_string().split_off(20)
    }
}

impl<'a> ExportedCluster<'a> {
    /// The selected nodes of a cluster.
    pub fn new(cluster: &'a Cluster, chosen: &[NodeName]) -> anyhow::Result<Self> {
        let mut nodes = Vec::new();
        let config = SshConfig::of_the_user();
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
                hop: target.as_ref().map(|target| hop(target, &config)).transpose()?,
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

/// The hop through a host, if a file can contain it.
fn hop(target: &HostTarget, config: &SshConfig) -> anyhow::Result<String> {
    let hop = crate::ssh::hop(target, config);
    anyhow::ensure!(
        !hop.chars().any(char::is_control),
        "the way to the host {:?} cannot be used in an ssh config: a path contains a control character",
        target.host
    );
    Ok(hop)
}

/// Data as indented JSON with a newline at the end.
fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_that_no_file_can_contain_is_refused() {
        let config = SshConfig::new(None, "/home/me".into(), "me");
        let mut target = HostTarget {
            host: "bm1".into(),
            user: None,
            port: None,
            identity: Some("/k".into()),
            known_hosts: None,
            timeout: std::time::Duration::from_secs(1),
        };
        assert!(hop(&target, &config).unwrap().ends_with("-W %h:%p bm1"));
        target.identity = Some("/k\n  LocalCommand x".into());
        assert!(hop(&target, &config).is_err());
    }
}
