//! `vcluster status`: the current state of the hosts and nodes of a cluster.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde::Serialize;

use super::Context;
use super::common::HostArgs;
use super::output::waits;
use crate::base::event::HostStage;
use crate::base::exit::ExitCode;
use crate::base::failure::{Failure, explain};
use crate::base::name::HostName;
use crate::base::patience::patience;
use crate::base::text::{self, sanitize};
use crate::base::units::Moment;
use crate::cluster::Cluster;
use crate::cluster::leases::{claims, lease_words};
use crate::cluster::nodes::{close, nodes_of};
use crate::engine::{Fleet, Pending};
use crate::inventory::{Claim, DomainState};
use crate::plan::{MissingNode, NodePlan, Plan};
use crate::report::{self, Format};
use crate::ssh::{ExecRequest, Load, Nodes};

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

/// Nodes that are asked at once, as in `exec`.
const NODES_AT_ONCE: usize = 150;

/// A node in the table.
#[derive(Debug, Serialize)]
struct Row {
    node: String,
    group: String,
    host: String,
    state: String,
    address: String,
    ssh: Option<String>,
    uptime_seconds: Option<f64>,
    /// Why it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(args.cluster.as_deref())?;
    let chosen = cluster.select(args.nodes.as_deref(), None)?;
    let wanted: Vec<&NodePlan> = cluster
        .plan
        .nodes
        .iter()
        .filter(|node| chosen.contains(&node.name))
        .collect();
    let hosts: Vec<_> = cluster
        .record
        .hosts
        .iter()
        .filter(|host| {
            wanted.iter().any(|node| node.host == host.name) || cluster.record.stranded.contains(&host.name)
        })
        .cloned()
        .collect();
    let waits = waits(context);
    let (fleet, failures) = Fleet::connect(&hosts, &args.hosts.access(), &waits).await;
    let claims = claims(&cluster, &fleet, &waits).await;
    let states: HashMap<HostName, HashMap<String, DomainState>> = fleet
        .stage(HostStage::Probe, &waits, |member| async move {
            Ok((false, member.host.states().await?))
        })
        .await
        .into_iter()
        .filter_map(|(host, states)| Some((host, states.ok()?)))
        .collect();
    let nodes = nodes_of(&cluster.plan, &cluster.record.users, &cluster.keys, &fleet)?;
    let leftovers = leftover_domains(&cluster.plan, &states);
    let mut rows = Pending::each(
        &waits,
        "an answer from",
        NODES_AT_ONCE,
        wanted,
        |node| &node.name,
        |node| row(node, states.get(&node.host), &nodes, &args),
    )
    .await;
    close(&nodes, &waits).await;
    fleet.close().await;
    if args.nodes.is_none() {
        rows.extend(cluster.plan.missing.iter().map(missing));
    }
    for failure in &failures {
        let host = failure.host.as_ref().map(HostName::as_str).unwrap_or_default();
        report::talk(&format!("warning: {host}: {}", sanitize(&failure.error())));
    }
    for text in &leftovers {
        report::talk(&format!("warning: {text}"));
    }
    // A host that may only have leftovers does not affect the nodes.
    let needed = |failure: &Failure| {
        let nodes = &cluster.plan.nodes;
        nodes.iter().any(|node| failure.host.as_ref() == Some(&node.host))
    };
    let healthy = !failures.iter().any(needed)
        && leftovers.is_empty()
        && rows
            .iter()
            .all(|row| row.state == "running" && row.ssh.as_deref().is_none_or(|ssh| ssh == "ok"));
    show(&cluster, &rows, &claims, context);
    Ok(if healthy {
        ExitCode::Ok
    } else {
        ExitCode::ApplyFailed
    })
}

async fn row(
    node: &NodePlan,
    states: Option<&HashMap<String, DomainState>>,
    nodes: &Nodes,
    args: &Args,
) -> Row {
    let state = match states.map(|states| states.get(&node.domain)) {
        None => "unreachable",
        Some(None) => "missing",
        Some(Some(DomainState::Running)) => "running",
        Some(Some(DomainState::Paused)) => "paused",
        Some(Some(DomainState::Off)) => "off",
        Some(Some(DomainState::Crashed)) => "crashed",
    };
    let (ssh, uptime) = if args.no_ssh || state != "running" {
        (None, None)
    } else {
        match uptime(node, nodes, args.ssh_timeout).await {
            Ok(uptime) => (Some("ok".to_owned()), uptime),
            Err(error) => (Some(error), None),
        }
    };
    Row {
        node: node.name.to_string(),
        group: node.group.to_string(),
        host: node.host.to_string(),
        state: state.to_owned(),
        address: node.spec.address.to_string(),
        ssh,
        uptime_seconds: uptime,
        reason: None,
    }
}

/// The row of a missing node.
fn missing(node: &MissingNode) -> Row {
    Row {
        node: node.node.to_string(),
        group: node.group.to_string(),
        host: "-".to_owned(),
        state: "missing".to_owned(),
        address: "-".to_owned(),
        ssh: None,
        uptime_seconds: None,
        reason: Some(node.reason.clone()),
    }
}

/// Leftover domains of nodes: their host did not respond when they were recreated elsewhere.
fn leftover_domains(plan: &Plan, states: &HashMap<HostName, HashMap<String, DomainState>>) -> Vec<String> {
    let mut leftovers: Vec<String> = states
        .iter()
        .flat_map(|(host, states)| {
            let elsewhere = plan.nodes.iter().filter(move |node| node.host != *host);
            elsewhere
                .filter(move |node| states.contains_key(&node.domain))
                .map(move |node| {
                    format!(
                        "{host} holds a leftover domain of {}, which is on {} now: `vcluster up` removes it",
                        node.name, node.host
                    )
                })
        })
        .collect();
    leftovers.sort();
    leftovers
}

/// Response timeout of a node whose host is not busy, and of one whose host is.
const ANSWER: Duration = Duration::from_secs(30);
const SLOW_ANSWER: Duration = Duration::from_mins(5);

/// Interval between checks of these timeouts.
const LOOK: Duration = Duration::from_secs(5);

/// Waits for the timeout of a node, and returns the reason to show.
async fn silent(node: &NodePlan, nodes: &Nodes, allowed: Option<Duration>) -> String {
    if let Some(allowed) = allowed {
        tokio::time::sleep(allowed).await;
        return "no answer".into();
    }
    loop {
        tokio::time::sleep(patience(LOOK)).await;
        // The timeout does not run while the node waits for its turn.
        let Some((waited, load)) = nodes.waited_for(&node.name).await else {
            continue;
        };
        let busy = load.as_ref().is_some_and(Load::is_busy);
        if waited >= patience(if busy { SLOW_ANSWER } else { ANSWER }) {
            let waited = humantime::format_duration(Duration::from_secs(waited.as_secs()));
            return match load {
                Some(load) => format!(
                    "no answer for {waited} (load {:.1} on {} CPUs)",
                    load.average, load.cpus
                ),
                None => format!("no answer for {waited} (nor from its host)"),
            };
        }
    }
}

async fn uptime(node: &NodePlan, nodes: &Nodes, allowed: Option<Duration>) -> Result<Option<f64>, String> {
    let look = async {
        let session = nodes.session(&node.name).await.map_err(|error| explain(&error))?;
        let request = ExecRequest {
            command: "cat /proc/uptime".into(),
            limit: 256,
            ..ExecRequest::default()
        };
        let _waits = nodes.waits(&node.name);
        let output = session.exec(&request).await.map_err(|error| explain(&error))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text
            .split_whitespace()
            .next()
            .and_then(|seconds| seconds.parse().ok()))
    };
    tokio::select! {
        answer = look => answer,
        why = silent(node, nodes, allowed) => Err(why),
    }
}

fn show(cluster: &Cluster, rows: &[Row], claims: &[Claim], context: &Context) {
    // The ends differ if an extension did not reach all hosts.
    let ends: BTreeSet<Option<Moment>> = claims.iter().map(|claim| claim.expires).collect();
    if context.format == Format::Json {
        let value = serde_json::json!({
            "version": 1, "cluster": cluster.record.name, "id": cluster.record.id,
            "created": cluster.record.created,
            "expires": ends.first().copied().flatten(), "nodes": rows,
        });
        report::data(&report::json::harmless(format!("{value:#}\n")));
        return;
    }
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
        report::talk(&format!(
            "warning: missing {}: {}",
            crate::nodeset::fold(nodes),
            sanitize(reason)
        ));
    }
    let running = rows.iter().filter(|row| row.state == "running").count();
    report::talk(&format!(
        "cluster `{}`: {running} of {} nodes running{}",
        cluster.record.name,
        rows.len(),
        ends.iter()
            .map(|end| format!("; {}", lease_words(*end)))
            .collect::<String>()
    ));
}
