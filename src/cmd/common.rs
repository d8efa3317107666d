//! What several verbs share: their arguments, the files that follow from a plan.

use std::time::Duration;

use super::Context;
use super::cluster::Cluster;
use crate::engine::watch_slowness;
use crate::host::ConnectOptions;
use crate::name::{ClusterName, NodeName};
use crate::plan::Plan;
use crate::report;
use crate::ssh::Nodes;
use crate::state::{ClusterKeys, StateRoot};
use crate::topology::Topology;

pub use crate::ssh::FANOUT;

/// For counts of which 0 makes no sense.
pub fn at_least_one() -> clap::builder::RangedU64ValueParser<usize> {
    clap::builder::RangedU64ValueParser::new().range(1..)
}

/// Options for reaching the hosts.
#[derive(Clone, Debug, clap::Args)]
pub struct HostArgs {
    /// Time to connect to a host and log in
    #[arg(long, env = "VCLUSTER_CONNECT_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    pub connect_timeout: Duration,
    /// Time for one call to libvirt on a host
    #[arg(long, env = "VCLUSTER_CALL_TIMEOUT", value_name = "TIME", default_value = "120s", value_parser = humantime::parse_duration)]
    pub call_timeout: Duration,
}

impl HostArgs {
    /// As the host module wants them.
    pub fn options(&self) -> ConnectOptions {
        ConnectOptions {
            timeout: self.connect_timeout,
            call_timeout: self.call_timeout,
        }
    }
}

/// Which cluster a verb is about.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArg {
    /// The cluster: its name or its topology file [default: the only one there is]
    #[arg(
        short = 'c',
        long = "cluster",
        env = "VCLUSTER_NAME",
        value_name = "NAME|FILE"
    )]
    pub cluster: Option<String>,
}

/// Which nodes of which cluster, and how they are reached.
#[derive(Clone, Debug, clap::Args)]
pub struct Selection {
    #[command(flatten)]
    cluster: ClusterArg,
    /// Nodes (node set, `@group`) [default: all]
    #[arg(short = 'w', long, value_name = "NODESET")]
    nodes: Option<String>,
    /// Without these nodes
    #[arg(short = 'x', long, value_name = "NODESET")]
    exclude: Option<String>,
    /// Nodes at once
    #[arg(short = 'f', long, value_name = "N", default_value_t = 150, value_parser = at_least_one())]
    pub fanout: usize,
    /// Time allowed on each node
    #[arg(short = 't', long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    hosts: HostArgs,
}

impl Selection {
    /// The cluster, and the nodes of it that are meant.
    pub fn open(&self, context: &Context) -> anyhow::Result<(Cluster, Vec<NodeName>)> {
        let cluster = Cluster::open(self.cluster.cluster.as_deref(), context)?;
        let chosen = cluster.select(self.nodes.as_deref(), self.exclude.as_deref())?;
        Ok((cluster, chosen))
    }

    /// Sessions of these nodes.
    pub async fn connect(&self, cluster: &Cluster, chosen: &[NodeName]) -> anyhow::Result<Nodes> {
        let nodes = cluster.nodes(chosen, &self.hosts.options()).await?;
        nodes.keep(watch_slowness(&nodes, |text| {
            report::talk(&format!("waiting: {}", report::sanitize(&text)));
        }));
        Ok(nodes)
    }
}

/// The name that an argument stands for: a name, or a topology file that holds one.
pub fn cluster_name(
    argument: Option<&str>,
    root: &StateRoot,
    context: &Context,
) -> anyhow::Result<ClusterName> {
    match argument {
        None => Ok(root.only()?),
        Some(text) if text == "-" || text.contains('/') || has_yaml_ending(text) => {
            Ok(load_topology(text, context)?.name)
        }
        Some(text) => Ok(text.parse::<ClusterName>()?),
    }
}

fn has_yaml_ending(text: &str) -> bool {
    let extension = std::path::Path::new(text).extension();
    extension.is_some_and(|end| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"))
}

/// Loads a topology; its mistakes become the error.
pub fn load_topology(file: &str, _context: &Context) -> anyhow::Result<Topology> {
    Ok(Topology::load(file)?)
}

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
