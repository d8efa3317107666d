//! `vcluster status`: the current state of the hosts and nodes of a cluster.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use super::Context;
use super::common::HostArgs;
use super::output::waits;
use crate::base::exit::ExitCode;
use crate::base::group::grouped;
use crate::base::name::{HostName, NetworkName};
use crate::base::text::{self, plural, sanitize};
use crate::cluster::Cluster;
use crate::cluster::leases::lease_words;
use crate::cluster::status::{ClusterStatus, LoginState, NodeState, NodeStatus, StatusOptions, status};
use crate::plan::MissingNode;
use crate::report::{self, Format};

/// Show every node: host, state, address, SSH and uptime
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cluster name or topology file [default: the only cluster]
    #[arg(value_name = "NAME|FILE", env = "VCLUSTER_NAME")]
    pub cluster: Option<String>,
    /// Only these nodes (node set, `@group`)
    #[arg(short = 'w', long, value_name = "NODESET")]
    pub nodes: Option<String>,
    /// Do not log in to the nodes
    #[arg(long)]
    pub no_ssh: bool,
    /// Time for a node to answer [default: 30s, and up to 5m while its host is busy]
    #[arg(long, env = "VCLUSTER_SSH_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub ssh_timeout: Option<Duration>,
    #[command(flatten)]
    hosts: HostArgs,
}

/// A node in the table.
#[derive(Debug, Serialize)]
struct Row {
    node: String,
    group: String,
    host: String,
    state: String,
    address: String,
    /// Its addresses by network, if it joins several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    addresses: BTreeMap<NetworkName, Ipv4Addr>,
    ssh: Option<String>,
    uptime_seconds: Option<f64>,
    /// Why it is missing, or not as it was configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(args.cluster.as_deref())?;
    let options = StatusOptions {
        nodes: args.nodes,
        login: !args.no_ssh,
        answer_timeout: args.ssh_timeout,
        access: args.hosts.access(),
    };
    let status = status(&cluster, &options, &waits(context)).await?;
    for failure in &status.unreached {
        let host = failure.host.as_ref().map(HostName::as_str).unwrap_or_default();
        report::message(&format!("warning: {host}: {}", sanitize(&failure.error())));
    }
    for text in &status.leftovers {
        report::message(&format!("warning: {text}"));
    }
    let nodes = status.nodes.iter().map(present);
    let rows: Vec<Row> = nodes.chain(status.missing.iter().map(missing)).collect();
    match context.format {
        Format::Json => json(&cluster, &status, &rows),
        Format::Human => table(&cluster, &status, &rows),
    }
    Ok(if status.is_healthy {
        ExitCode::Ok
    } else {
        ExitCode::ApplyFailed
    })
}

/// The row of a node of the plan.
fn present(status: &NodeStatus<'_>) -> Row {
    let NodeStatus {
        node,
        state,
        login,
        trouble,
    } = status;
    let (ssh, uptime_seconds) = match login {
        LoginState::NotTried => (None, None),
        LoginState::Accepted { uptime } => (Some("ok".to_owned()), *uptime),
        LoginState::Failed(error) => (Some(error.clone()), None),
    };
    Row {
        node: node.name.to_string(),
        group: node.group.to_string(),
        host: node.host.to_string(),
        state: state.to_string(),
        address: node.spec.address.to_string(),
        addresses: if node.spec.interfaces.is_empty() {
            BTreeMap::new()
        } else {
            node.spec.addresses().collect()
        },
        ssh,
        uptime_seconds,
        reason: trouble.as_ref().map(|trouble| trouble.reason.clone()),
        hint: trouble.as_ref().and_then(|trouble| trouble.hint.clone()),
    }
}

/// The row of a missing node.
fn missing(node: &MissingNode) -> Row {
    Row {
        node: node.node.to_string(),
        group: node.group.to_string(),
        host: "-".to_owned(),
        state: NodeState::Missing.to_string(),
        address: "-".to_owned(),
        addresses: BTreeMap::new(),
        ssh: None,
        uptime_seconds: None,
        reason: Some(node.reason.clone()),
        hint: None,
    }
}

fn json(cluster: &Cluster, status: &ClusterStatus<'_>, rows: &[Row]) {
    let value = serde_json::json!({
        "version": 1, "cluster": cluster.record.name, "id": cluster.record.id,
        "created": cluster.record.created,
        "expires": status.ends.first().copied().flatten(), "nodes": rows,
    });
    report::data(&report::json::harmless(format!("{value:#}\n")));
}

fn table(cluster: &Cluster, status: &ClusterStatus<'_>, rows: &[Row]) {
    let mut table = report::table::new(&["NODE", "HOST", "STATE", "ADDRESS", "SSH", "UPTIME"]);
    for row in rows {
        let uptime = row
            .uptime_seconds
            .map(|seconds| humantime::format_duration(Duration::from_secs(seconds as u64)).to_string());
        table.add_row(vec![
            row.node.clone(),
            row.host.clone(),
            row.state.clone(),
            row.address.clone(),
            row.ssh
                .as_deref()
                .map_or_else(|| "-".into(), |ssh| text::line(ssh.as_bytes())),
            uptime.unwrap_or_else(|| "-".into()),
        ]);
    }
    report::show(&report::table::render(&table));
    for (reason, nodes) in cluster.plan.missing_by_reason() {
        report::message(&format!(
            "warning: missing {}: {}",
            crate::nodeset::fold(nodes),
            sanitize(reason)
        ));
    }
    troubles(status);
    let nodes = status.nodes.iter();
    let running = nodes.filter(|node| node.state == NodeState::Running).count();
    report::message(&format!(
        "cluster `{}`: {running} of {} running{}",
        cluster.record.name,
        plural(rows.len(), "node"),
        status
            .ends
            .iter()
            .map(|end| format!("; {}", lease_words(*end)))
            .collect::<String>()
    ));
}

/// The nodes that are not as they were configured, by reason, with what to do about it.
fn troubles(status: &ClusterStatus<'_>) {
    let troubled = status
        .nodes
        .iter()
        .filter_map(|node| Some((node.trouble.as_ref()?, &node.node.name)));
    for (trouble, nodes) in grouped(troubled.map(|(trouble, node)| ((&trouble.reason, &trouble.hint), node)))
    {
        let (reason, hint) = trouble;
        let mut text = format!("warning: {}: {}", crate::nodeset::fold(nodes), sanitize(reason));
        if let Some(hint) = hint {
            text.push_str("\n  hint: ");
            text.push_str(&sanitize(hint));
        }
        report::message(&text);
    }
}
