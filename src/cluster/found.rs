//! The hosts of a cluster that is to be changed, and what the unreachable ones among them mean: an error, nodes that the
//! cluster does without, or nothing, because the command concerns none of their nodes.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::event::Events;
use crate::base::failure::Failure;
use crate::base::name::HostName;
use crate::engine::{EngineError, Fleet};
use crate::host::Access;
use crate::inventory::{HostEndpoint, ObservedHost};
use crate::plan::{Plan, Scope};
use crate::topology::Topology;

/// What a command needs of the hosts.
pub(super) struct Search<'a> {
    pub(super) topology: &'a Topology,
    /// The last plan.
    pub(super) before: Option<&'a Plan>,
    /// The nodes that the command is limited to.
    pub(super) scope: Option<&'a Scope>,
    pub(super) access: &'a Access,
    pub(super) events: &'a Events,
}

/// The hosts.
pub(super) struct Found {
    /// Those that are connected.
    pub(super) fleet: Fleet,
    /// What they have.
    pub(super) observed: Vec<ObservedHost>,
    /// Those that are left out, with the reason.
    pub(super) lost: BTreeMap<HostName, String>,
    /// Unreachable ones without nodes of the scope.
    pub(super) idle: BTreeSet<HostName>,
}

impl Search<'_> {
    /// Connects to the hosts and observes them.
    pub(super) async fn run(&self, hosts: &[HostEndpoint]) -> Result<Found, EngineError> {
        let (fleet, failures) = Fleet::connect(hosts, self.access, self.events).await;
        let answer = fleet.members().len();
        let mut found = Found {
            fleet,
            observed: Vec::new(),
            lost: BTreeMap::new(),
            idle: BTreeSet::new(),
        };
        self.leave_out("failed to reach the hosts", failures, answer, &mut found)?;
        let (observed, failures) = found.fleet.observe(self.events).await;
        let answer = observed.len();
        self.leave_out("failed to inspect the hosts", failures, answer, &mut found)?;
        found.observed = observed;
        let Found {
            fleet, lost, idle, ..
        } = &mut found;
        fleet
            .retain(|name| !lost.contains_key(name) && !idle.contains(name))
            .await;
        Ok(found)
    }

    /// Whether the command changes no node of a host.
    fn is_idle(&self, host: &HostName) -> bool {
        let (Some(scope), Some(before)) = (self.scope, self.before) else {
            return false;
        };
        let mut nodes = before.nodes.iter().filter(|node| node.host == *host);
        !nodes.any(|node| scope.nodes.contains(&node.name))
    }

    /// Leaves unreachable hosts out, if the command does not need them or the topology allows missing nodes; otherwise
    /// they are an error.
    fn leave_out(
        &self,
        what: &str,
        failures: Vec<Failure>,
        answer: usize,
        found: &mut Found,
    ) -> Result<(), EngineError> {
        let mut needed = Vec::new();
        for failure in failures {
            match &failure.host {
                Some(host) if self.is_idle(host) => {
                    let error = failure.error();
                    self.events.warn(format!(
                        "{host} is unreachable, and its nodes stay as they are: {error}"
                    ));
                    found.idle.insert(host.clone());
                }
                _ => needed.push(failure),
            }
        }
        let nodes = self.topology.nodes.len();
        if self.topology.min_ready.of(nodes) == nodes || answer == 0 {
            if let Some(failure) = needed.first_mut() {
                let other = "a `min_ready` below 100% lets `up` continue without unreachable hosts";
                let hint = failure.hint.take();
                failure.hint = Some(hint.map_or_else(|| other.to_owned(), |hint| format!("{hint}; {other}")));
            }
            return EngineError::from_failures(what, needed);
        }
        for failure in needed {
            if let Some(host) = &failure.host {
                self.events
                    .warn(format!("{host} is left out: {}", failure.error()));
                found.lost.insert(host.clone(), failure.summary());
            }
        }
        Ok(())
    }
}
