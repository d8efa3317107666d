//! `vcluster status`: what the hosts and nodes of a cluster do right now.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures::StreamExt;
use serde::Serialize;

use super::cluster::{Cluster, nodes_of};
use super::common::{FANOUT, HostArgs};
use super::{Context, Format, leases};
use crate::engine::{Events, Failure, Fleet, HostStage, explain};
use crate::exit::ExitCode;
use crate::host::{Claim, DomainState};
use crate::name::HostName;
use crate::patience::patience;
use crate::plan::{MissingNode, NodePlan, Plan};
use crate::report;
use crate::ssh::{ExecRequest, Load, Nodes};
use crate::units::Moment;

/// Show every node: host, state, address, SSH and uptime
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cluster: its name or its topology file [default: the only one there is]
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
    ssh: Option<String>,
    uptime_seconds: Option<f64>,
    /// Why it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(args.cluster.as_deref(), context)?;
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
        .map(crate::state::HostRecord::to_host)
        .collect();
    let (events, _silent) = Events::channel();
    let (fleet, failures) = Fleet::connect(&hosts, &args.hosts.options(), &events).await;
    let claims = leases::claims(&cluster, &fleet).await;
    let states: HashMap<HostName, HashMap<String, DomainState>> = fleet
        .stage(HostStage::Probe, &events, |member| async move {
            Ok((false, member.host.states().await?))
        })
        .await
        .into_iter()
        .filter_map(|(host, states)| Some((host, states.ok()?)))
        .collect();
    let nodes = nodes_of(&cluster.plan, &cluster.record.users, &cluster.keys, &fleet)?;
    let stale = stale_copies(&cluster.plan, &states);
    let mut rows: Vec<Row> = futures::stream::iter(wanted)
        .map(|node| {
            let (states, nodes, args) = (&states, &nodes, &args);
            async move { row(node, states.get(&node.host), nodes, args).await }
        })
        .buffered(FANOUT)
        .collect()
        .await;
    nodes.close().await;
    fleet.close().await;
    if args.nodes.is_none() {
        rows.extend(cluster.plan.missing.iter().map(missing));
    }
    for failure in &failures {
        let host = failure.host.as_ref().map(HostName::as_str).unwrap_or_default();
        report::talk(&format!("warning: {host}: {}", report::sanitize(&failure.error)));
    }
    for text in &stale {
        report::talk(&format!("warning: {text}"));
    }
    // A host that is only feared to hold remains says nothing about the nodes.
    let needed = |failure: &Failure| {
        let nodes = &cluster.plan.nodes;
        nodes.iter().any(|node| failure.host.as_ref() == Some(&node.host))
    };
    let healthy = !failures.iter().any(needed)
        && stale.is_empty()
        && rows
            .iter()
            .all(|row| row.state == "running" && row.ssh.as_deref().is_none_or(|ssh| ssh == "ok"));
    show(&cluster, &rows, &claims, context);
    Ok(if healthy {
        ExitCode::Ok
    } else {
        ExitCode::Unexpected
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

/// A node that the cluster does without.
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

/// Copies of nodes on hosts where they are not any more: the host was silent when they were made anew.
fn stale_copies(plan: &Plan, states: &HashMap<HostName, HashMap<String, DomainState>>) -> Vec<String> {
    let mut stale: Vec<String> = states
        .iter()
        .flat_map(|(host, states)| {
            let elsewhere = plan.nodes.iter().filter(move |node| node.host != *host);
            elsewhere
                .filter(move |node| states.contains_key(&node.domain))
                .map(move |node| {
                    format!(
                        "{host} holds a stale copy of {}, which is on {} now: `vcluster up` removes it",
                        node.name, node.host
                    )
                })
        })
        .collect();
    stale.sort();
    stale
}

/// Time for an answer of a node whose host is at ease, and of one whose host is not.
const ANSWER: Duration = Duration::from_secs(30);
const SLOW_ANSWER: Duration = Duration::from_mins(5);

/// How often it is looked at whether a node may still be waited for.
const LOOK: Duration = Duration::from_secs(5);

/// Returns once a node has been waited for long enough, with what is known of it.
async fn silent(node: &NodePlan, nodes: &Nodes, allowed: Option<Duration>) -> String {
    if let Some(allowed) = allowed {
        tokio::time::sleep(allowed).await;
        return "no answer".into();
    }
    loop {
        tokio::time::sleep(patience(LOOK)).await;
        // Who waits for a turn is not waited for.
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
                None => format!("no answer for {waited} (nor of its host)"),
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
    // Where hosts differ, an extension did not reach them all.
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
                .map_or_else(|| "-".into(), |ssh| report::text::line(ssh.as_bytes())),
            uptime.unwrap_or_else(|| "-".into()),
        ]);
    }
    report::data(&report::table::render(
        &table,
        report::Terminal::detect().stdout_colour,
    ));
    for (reason, nodes) in report::plan::missing(&cluster.plan) {
        report::talk(&format!(
            "warning: missing {}: {}",
            crate::nodeset::fold(nodes),
            report::sanitize(reason)
        ));
    }
    let running = rows.iter().filter(|row| row.state == "running").count();
    report::talk(&format!(
        "cluster `{}`: {running} of {} nodes running{}",
        cluster.record.name,
        rows.len(),
        ends.iter()
            .map(|end| format!("; {}", leases::lease_words(*end)))
            .collect::<String>()
    ));
}
