//! The current state of a cluster: its nodes and why they are not as they were, its leases, and what is left of nodes on
//! other hosts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use super::Cluster;
use super::configured::{Configured, INCOMPLETE, REBOOTED};
use super::leases::claims;
use super::login_check::{Allowed, answer};
use super::nodes::{close, nodes_of};
use super::transfer::NODES_AT_ONCE;
use crate::base::event::{Events, HostStage};
use crate::base::failure::Failure;
use crate::base::name::HostName;
use crate::base::units::Moment;
use crate::engine::{Fleet, HOSTS_AT_ONCE, Pending};
use crate::host::Access;
use crate::inventory::{DomainState, HostEndpoint, NotRunning};
use crate::plan::{MissingNode, NodePlan, Plan};
use crate::ssh::Nodes;

/// What to find out.
#[derive(Clone, Debug)]
pub struct StatusOptions {
    /// Only these nodes (node set, `@group`); `None`: all of them, also those that are missing.
    pub nodes: Option<String>,
    /// Whether to log in to the nodes.
    pub login: bool,
    /// Time for a node to answer; `None`: chosen by the load of its host.
    pub answer_timeout: Option<Duration>,
    /// How to connect to hosts.
    pub access: Access,
}

/// The state of a node on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It runs.
    Running,
    /// It is paused.
    Paused,
    /// It is off.
    Off,
    /// It is off because the user stopped it.
    Stopped,
    /// It has crashed.
    Crashed,
    /// Its host does not have it.
    Missing,
    /// Its host cannot be reached.
    Unreachable,
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Off => "off",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Missing => "missing",
            Self::Unreachable => "unreachable",
        })
    }
}

/// Whether a node accepts a login.
#[derive(Clone, Debug, PartialEq)]
pub enum LoginState {
    /// That was not tried.
    NotTried,
    /// It does.
    Accepted {
        /// Seconds since it booted, if it reports them.
        uptime: Option<f64>,
    },
    /// It does not, or did not answer, for this reason.
    Failed(String),
}

/// The state of a node.
#[derive(Clone, Debug)]
pub struct NodeStatus<'a> {
    /// The node.
    pub node: &'a NodePlan,
    /// Its state on its host.
    pub state: NodeState,
    /// Whether it accepts a login.
    pub login: LoginState,
    /// Why it is not as it was configured, if it is known not to be.
    pub trouble: Option<Trouble>,
}

/// Why a node is not as it was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The reason, for people.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The state of a cluster.
#[derive(Debug)]
pub struct ClusterStatus<'a> {
    /// The selected nodes, in plan order.
    pub nodes: Vec<NodeStatus<'a>>,
    /// The nodes that the cluster does without, if all nodes are selected.
    pub missing: &'a [MissingNode],
    /// The ends of its leases; `None`: never. They differ if an extension did not reach all hosts.
    pub ends: BTreeSet<Option<Moment>>,
    /// Hosts that could not be reached.
    pub unreached: Vec<Failure>,
    /// Leftover domains of nodes, for people.
    pub leftovers: Vec<String>,
    /// Whether all selected nodes run and accept a login, as far as that was tried, none is missing, and nothing is left
    /// over.
    pub is_healthy: bool,
}

/// The states of the domains on each host that reported them, by domain name.
type States = HashMap<HostName, HashMap<String, DomainState>>;

/// Why domains do not run, by domain name, as far as their hosts reported it.
type Reasons = BTreeMap<String, NotRunning>;

/// Finds out the state of a cluster. Changes nothing.
pub async fn status<'a>(
    cluster: &'a Cluster,
    options: &StatusOptions,
    events: &Events,
) -> anyhow::Result<ClusterStatus<'a>> {
    let plan = &cluster.plan;
    let chosen = cluster.select(options.nodes.as_deref(), None)?;
    let wanted = plan.nodes.iter().filter(|node| chosen.contains(&node.name));
    let wanted: Vec<&NodePlan> = wanted.collect();
    let hosts = hosts(cluster, &wanted);
    let (fleet, unreached) = Fleet::connect(&hosts, &options.access, events).await;
    let claims = claims(cluster, &fleet, events).await;
    let states = states(&fleet, events).await;
    let reasons = reasons(&fleet, &wanted, &states, events).await;
    let configured = Configured::load(&cluster.dir)?;
    let sessions = nodes_of(plan, &cluster.keys, &fleet)?;
    let nodes = Pending::each(
        events,
        "an answer from",
        NODES_AT_ONCE,
        wanted,
        |node| &node.name,
        |node| {
            let state = node_state(node, &states, &configured);
            node_status(node, state, &configured, &reasons, &sessions, options)
        },
    )
    .await;
    close(&sessions, events).await;
    fleet.close().await;
    let missing: &[MissingNode] = match options.nodes {
        None => &plan.missing,
        Some(_) => &[],
    };
    let leftovers = leftovers(plan, &states);
    // A host that may only have leftovers does not affect the nodes.
    let needed = |failure: &Failure| {
        let mut nodes = plan.nodes.iter();
        nodes.any(|node| failure.host.as_ref() == Some(&node.host))
    };
    let is_healthy = !unreached.iter().any(needed)
        && leftovers.is_empty()
        && missing.is_empty()
        && nodes.iter().all(NodeStatus::is_well);
    Ok(ClusterStatus {
        nodes,
        missing,
        ends: claims.iter().map(|claim| claim.expires).collect(),
        unreached,
        leftovers,
        is_healthy,
    })
}

/// The hosts of these nodes, and those that may have leftovers.
fn hosts(cluster: &Cluster, wanted: &[&NodePlan]) -> Vec<HostEndpoint> {
    let record = &cluster.record;
    let hosts = record.hosts.iter().filter(|host| {
        wanted.iter().any(|node| node.host == host.name) || record.stranded.contains(&host.name)
    });
    hosts.cloned().collect()
}

async fn states(fleet: &Fleet, events: &Events) -> States {
    fleet
        .stage(HostStage::Probe, events, |member| async move {
            Ok((false, member.host.states().await?))
        })
        .await
        .into_iter()
        .filter_map(|(host, states)| Some((host, states.ok()?)))
        .collect()
}

/// Why the wanted nodes that do not run do not: hosts where all of them run are not asked.
async fn reasons(fleet: &Fleet, wanted: &[&NodePlan], states: &States, events: &Events) -> Reasons {
    let mut down: BTreeMap<&HostName, Vec<String>> = BTreeMap::new();
    for node in wanted {
        let state = states.get(&node.host).and_then(|states| states.get(&node.domain));
        if state.is_some_and(|state| *state != DomainState::Running) {
            down.entry(&node.host).or_default().push(node.domain.clone());
        }
    }
    let found = Pending::each(
        events,
        "the reason on",
        HOSTS_AT_ONCE,
        down,
        |(host, _)| *host,
        |(host, domains)| async move {
            let member = fleet.get(host)?;
            // Without a reason, the state alone is shown.
            member.host.not_running(&domains).await.ok()
        },
    )
    .await;
    found.into_iter().flatten().flatten().collect()
}

fn node_state(node: &NodePlan, states: &States, configured: &Configured) -> NodeState {
    match states.get(&node.host).map(|states| states.get(&node.domain)) {
        None => NodeState::Unreachable,
        Some(None) => NodeState::Missing,
        Some(Some(DomainState::Running)) => NodeState::Running,
        Some(Some(DomainState::Paused)) => NodeState::Paused,
        Some(Some(DomainState::Off)) if configured.stopped.contains(&node.name) => NodeState::Stopped,
        Some(Some(DomainState::Off)) => NodeState::Off,
        Some(Some(DomainState::Crashed)) => NodeState::Crashed,
    }
}

async fn node_status<'a>(
    node: &'a NodePlan,
    state: NodeState,
    configured: &Configured,
    reasons: &Reasons,
    sessions: &Nodes,
    options: &StatusOptions,
) -> NodeStatus<'a> {
    let mut trouble = match state {
        NodeState::Stopped => Some(Trouble {
            reason: "stopped by you".to_owned(),
            hint: Some("`vcluster start -w NODES` or `vcluster up` starts it again".to_owned()),
        }),
        _ => reasons.get(&node.domain).map(|why| Trouble {
            reason: why.reason.clone(),
            hint: why.hint.clone(),
        }),
    };
    // The same that `run` refuses.
    if state == NodeState::Running && trouble.is_none() && configured.is_incomplete(&node.name) {
        trouble = Some(Trouble {
            reason: INCOMPLETE.to_owned(),
            hint: Some("`vcluster up` configures it".to_owned()),
        });
    }
    let allowed = options.answer_timeout.map_or(Allowed::ByLoad, Allowed::Total);
    let login = if options.login && state == NodeState::Running {
        match answer(&node.name, sessions, allowed).await {
            Ok(answer) => {
                if configured.has_rebooted(&node.name, answer.boot) {
                    trouble = Some(Trouble {
                        reason: REBOOTED.to_owned(),
                        hint: Some("`vcluster up` configures it again".to_owned()),
                    });
                }
                LoginState::Accepted {
                    uptime: answer.uptime,
                }
            }
            Err(error) => LoginState::Failed(error.to_string()),
        }
    } else {
        LoginState::NotTried
    };
    NodeStatus {
        node,
        state,
        login,
        trouble,
    }
}

impl NodeStatus<'_> {
    fn is_well(&self) -> bool {
        self.state == NodeState::Running
            && self.trouble.is_none()
            && !matches!(self.login, LoginState::Failed(_))
    }
}

/// Leftover domains of nodes: their host did not respond when they were recreated elsewhere.
fn leftovers(plan: &Plan, states: &States) -> Vec<String> {
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
