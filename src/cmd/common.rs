//! Arguments that several verbs share.

use std::ffi::OsStr;
use std::time::Duration;

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};

use crate::base::event::Events;
use crate::base::name::NodeName;
use crate::cluster::Cluster;
use crate::cluster::transfer::TransferOptions;
use crate::engine::report_slow_logins;
use crate::host::{Access, ConnectOptions};
use crate::ssh::Nodes;

/// For counts where 0 makes no sense.
pub fn at_least_one() -> clap::builder::RangedU64ValueParser<usize> {
    clap::builder::RangedU64ValueParser::new().range(1..)
}

/// Reads the environment variable of a flag: `true` or `false`, `yes` or `no`, `on` or `off`, `1` or `0`. An empty one
/// counts as unset.
#[derive(Clone, Copy, Debug)]
pub struct FlagVariable;

impl TypedValueParser for FlagVariable {
    type Value = bool;

    fn parse_ref(
        &self,
        command: &clap::Command,
        flag: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<bool, clap::Error> {
        if value.is_empty() {
            return Ok(false);
        }
        let read = BoolishValueParser::new().parse_ref(command, flag, value);
        read.map_err(|mut error| {
            // On the command line, a flag has no value.
            if let Some(variable) = flag.and_then(clap::Arg::get_env) {
                let variable = variable.to_string_lossy().into_owned();
                error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
            }
            let tip = "use true or false, yes or no, on or off, 1 or 0";
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
            error
        })
    }
}

/// Options for reaching the hosts.
#[derive(Clone, Debug, clap::Args)]
pub struct HostArgs {
    /// Time to connect to a host and log in
    #[arg(long, env = "VCLUSTER_CONNECT_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    pub connect_timeout: Duration,
    /// Time for one libvirt call on a host
    #[arg(long, env = "VCLUSTER_CALL_TIMEOUT", value_name = "TIME", default_value = "120s", value_parser = humantime::parse_duration)]
    pub call_timeout: Duration,
}

impl HostArgs {
    /// Access to the hosts with these timeouts.
    pub fn access(&self) -> Access {
        Access::libvirt(self.options())
    }

    /// The timeouts.
    pub fn options(&self) -> ConnectOptions {
        ConnectOptions {
            timeout: self.connect_timeout,
            call_timeout: self.call_timeout,
        }
    }
}

/// The cluster of a verb.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArg {
    /// Cluster name or topology file [default: the only cluster]
    #[arg(
        short = 'c',
        long = "cluster",
        env = "VCLUSTER_NAME",
        value_name = "NAME|FILE"
    )]
    pub cluster: Option<String>,
}

/// The nodes to work on, and how to reach them.
#[derive(Clone, Debug, clap::Args)]
pub struct Selection {
    #[command(flatten)]
    cluster: ClusterArg,
    /// Nodes (node set, `@group`) [default: all]
    #[arg(short = 'w', long, value_name = "NODESET")]
    nodes: Option<String>,
    /// Exclude these nodes
    #[arg(short = 'x', long, value_name = "NODESET")]
    exclude: Option<String>,
    /// Maximum number of nodes in parallel [default: 150]
    #[arg(short = 'f', long, value_name = "N", value_parser = at_least_one())]
    pub fanout: Option<usize>,
    /// Time limit for each node
    #[arg(short = 't', long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    hosts: HostArgs,
}

impl Selection {
    /// Opens the cluster and selects its nodes.
    pub fn open(&self) -> anyhow::Result<(Cluster, Vec<NodeName>)> {
        let cluster = Cluster::open(self.cluster.cluster.as_deref())?;
        let chosen = cluster.select(self.nodes.as_deref(), self.exclude.as_deref())?;
        Ok((cluster, chosen))
    }

    /// Sessions to these nodes. The events say which hosts and nodes are waited for.
    pub async fn connect(
        &self,
        cluster: &Cluster,
        chosen: &[NodeName],
        events: &Events,
    ) -> anyhow::Result<Nodes> {
        let nodes = cluster.nodes(chosen, &self.hosts.access(), events).await?;
        nodes.keep(report_slow_logins(&nodes, events));
        Ok(nodes)
    }

    /// The limits of a transfer to or from these nodes.
    pub fn transfer(&self) -> TransferOptions {
        TransferOptions {
            fanout: self.fanout,
            timeout: self.timeout,
        }
    }
}
