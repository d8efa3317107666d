//! Which of the running nodes are no longer what they were, as they answer themselves: those that booted since they were
//! configured, and those that accept no login any more. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::configured::{Configured, REBOOTED};
use super::login_check::{Allowed, Answer, NoAnswer, answer};
use super::nodes::{close, nodes_of};
use super::options::PlanOptions;
use super::transfer::NODES_AT_ONCE;
use crate::base::event::{ActionKind, Events};
use crate::base::failure::explain;
use crate::base::name::NodeName;
use crate::base::patience::patience;
use crate::engine::{Fleet, Pending};
use crate::inventory::ObservedHost;
use crate::plan::{Due, NodePlan, Plan};
use crate::ssh::{Nodes, SshError};
use crate::state::{ClusterDir, ClusterKeys};
use crate::topology::{ImageSource, Topology};

/// The pause before a node that refused is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Logs in to the nodes that a plan keeps.
pub(crate) struct Look<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) dir: &'a ClusterDir,
    pub(crate) keys: &'a ClusterKeys,
    pub(crate) fleet: &'a Fleet,
    pub(crate) observed: &'a [ObservedHost],
    pub(crate) options: &'a PlanOptions,
}

impl Look<'_> {
    /// What is due to the nodes that the plan keeps, where that is anything. Nodes that were never configured are left
    /// out: `up` logs in to them anyway.
    pub(crate) async fn due(&self, plan: &Plan, events: &Events) -> anyhow::Result<BTreeMap<NodeName, Due>> {
        let configured = Configured::load(self.dir)?;
        let kept: BTreeSet<&NodeName> = plan
            .actions
            .iter()
            .filter(|action| action.kind == ActionKind::Keep && configured.nodes.contains_key(&action.node))
            .map(|action| &action.node)
            .collect();
        let planned = plan.nodes.iter().filter(|node| kept.contains(&node.name));
        let planned: Vec<&NodePlan> = planned.filter(|node| self.has_networks(plan, node)).collect();
        if planned.is_empty() {
            return Ok(BTreeMap::new());
        }
        let nodes = nodes_of(plan, self.keys, self.fleet)?;
        let due = Pending::each(
            events,
            "an answer from",
            NODES_AT_ONCE,
            planned,
            |node| &node.name,
            |node| self.of_node(node, &nodes, &configured, events),
        )
        .await;
        close(&nodes, events).await;
        Ok(due.into_iter().flatten().collect())
    }

    /// Whether the networks of a node work on its host. Where one does not, the node may not answer, and `up` repairs
    /// it. A login uses only the bridge of the node's own host: the VXLAN and the NAT do not matter.
    fn has_networks(&self, plan: &Plan, node: &NodePlan) -> bool {
        let Some(host) = self.observed.iter().find(|host| host.name == node.host) else {
            return false;
        };
        let own = plan.all_networks().filter(|network| network.own_bridge);
        let mut joined = own.filter_map(|network| Some((network, node.spec.end_in(&network.name)?)));
        joined.all(|(network, (_, mac))| {
            let mut objects = host.objects.iter();
            let is_there = objects.any(|object| object.kind == "bridge" && object.name == network.bridge);
            is_there && !host.broken_bridges.contains(&network.bridge) && !host.unplugged.contains(&mac)
        })
    }

    async fn of_node(
        &self,
        node: &NodePlan,
        nodes: &Nodes,
        configured: &Configured,
        events: &Events,
    ) -> Option<(NodeName, Due)> {
        let (kind, why) = match self.answer(node, nodes).await {
            Ok(Answer { boot, .. }) => {
                let due = self.options.configure && configured.has_rebooted(&node.name, boot);
                due.then(|| (ActionKind::Configure, REBOOTED.to_owned()))?
            }
            Err(NoAnswer::Silent(text)) if self.options.answer_timeout.is_some() => {
                (ActionKind::Recreate, format!("does not answer SSH ({text})"))
            }
            Err(NoAnswer::Failed(error)) if is_of_node(&error) => (ActionKind::Recreate, described(&error)),
            // The host or the path to it may have failed, or the guest has just ended: the next stages show that.
            Err(NoAnswer::Failed(
                SshError::NotRunning(_) | SshError::Lost { .. } | SshError::Unreachable { .. },
            )) => return None,
            Err(error) => {
                events.warn(format!("{}: {error}", node.name));
                return None;
            }
        };
        Some((node.name.clone(), Due { kind, why }))
    }

    /// The answer of a node. A node with a disk that refuses may be booting, and has the user's whole time for that: what
    /// is on the disk would be lost. The built-in image has no disk, and listens before it is slow.
    async fn answer(&self, node: &NodePlan, nodes: &Nodes) -> Result<Answer, NoAnswer> {
        let allowed = self
            .options
            .answer_timeout
            .map_or(Allowed::ByLoad, Allowed::Answer);
        let image = self.topology.images.get(&node.spec.image);
        let has_disk = image.is_none_or(|image| image.source != ImageSource::Micro)
            || node.spec.disk.is_some()
            || !node.spec.disks.is_empty();
        let began = Instant::now();
        loop {
            let answered = answer(&node.name, nodes, allowed).await;
            let refused = matches!(&answered, Err(NoAnswer::Failed(error)) if is_of_node(error));
            let limit = self.options.answer_timeout.filter(|_| refused && has_disk);
            if limit.is_none_or(|limit| began.elapsed() >= limit) {
                return answered;
            }
            sleep(patience(PAUSE)).await;
        }
    }
}

/// Whether the node itself is the cause, and not its host, the path to it, or another machine with its address.
fn is_of_node(error: &SshError) -> bool {
    match error {
        SshError::Connect { source, .. } if source.kind() == std::io::ErrorKind::ConnectionReset => true,
        SshError::Handshake { .. } | SshError::Login { .. } | SshError::Timeout { .. } => true,
        other => other.is_no_server(),
    }
}

/// Why such a node is created again, without its name, so that equal reasons fold.
fn described(error: &SshError) -> String {
    match error {
        SshError::Login { user, .. } => format!("rejects the login of `{user}`"),
        error if error.is_no_server() => "does not answer SSH (port 22 accepts no connection)".to_owned(),
        SshError::Connect { source, .. } => format!("does not answer SSH ({source})"),
        SshError::Handshake { message, .. } => format!("does not answer SSH ({message})"),
        error => format!("does not answer SSH ({})", explain(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::Requested;

    #[test]
    fn only_what_the_node_itself_refuses_makes_it_be_created_again() {
        let channel = |what: Requested, message: &str| SshError::Channel {
            target: "bm01".into(),
            what,
            message: message.into(),
        };
        let address = || Requested::Address("10.77.0.1:22".into());
        let of_node = [
            channel(address(), "the connection failed there"),
            SshError::Connect {
                target: "n1".into(),
                source: std::io::ErrorKind::ConnectionRefused.into(),
            },
        ];
        for error in of_node {
            assert!(is_of_node(&error), "{error}");
            assert_eq!(
                described(&error),
                "does not answer SSH (port 22 accepts no connection)"
            );
        }
        let others = [
            channel(address(), "forbidden by its configuration"),
            channel(Requested::Session, "out of resources"),
            SshError::Lost {
                target: "bm01".into(),
                reason: "reset".into(),
            },
        ];
        for error in others {
            assert!(!is_of_node(&error), "{error}");
        }
    }
}
