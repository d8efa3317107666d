//! What failed in earlier rounds of an `up`, and what the next plan concludes from it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{KnownFailures, Plan};
use crate::base::event::ActionKind;
use crate::base::failure::Failure;
use crate::base::failure_kind::FailureKind;
use crate::base::name::{HostName, NodeName};

/// What failed so far.
#[derive(Debug, Default)]
pub struct RetryState {
    /// The hosts that are unreachable, and why, on one line.
    pub lost: BTreeMap<HostName, String>,
    /// What the next plan takes into account.
    pub known_failures: KnownFailures,
    /// Hosts whose connection was lost and reopened once.
    reopened: BTreeSet<HostName>,
    /// How often a node failed by itself.
    strikes: BTreeMap<NodeName, u32>,
}

/// The planned nodes that failed, and why. If a host failed, all its nodes did.
pub fn failed_nodes<'a>(plan: &Plan, failures: &'a [Failure]) -> BTreeMap<NodeName, &'a Failure> {
    let mut failed = BTreeMap::new();
    for node in &plan.nodes {
        let of_host = failures
            .iter()
            .find(|failure| failure.node.is_none() && failure.host.as_ref() == Some(&node.host));
        let of_node = failures
            .iter()
            .find(|failure| failure.node.as_ref() == Some(&node.name));
        if let Some(failure) = of_node.or(of_host) {
            failed.insert(node.name.clone(), failure);
        }
    }
    failed
}

impl RetryState {
    /// What is known before the first round.
    pub fn new(lost: BTreeMap<HostName, String>, known_failures: KnownFailures) -> Self {
        Self {
            lost,
            known_failures,
            ..Self::default()
        }
    }

    /// How many nodes are not retried.
    pub fn given_up(&self) -> usize {
        let failed = self.known_failures.failed.values();
        failed.filter(|failed| failed.given_up).count()
    }

    /// Derives from the failures of a round, of hosts and nodes, what the next plan takes into account. `back` are hosts
    /// whose connection was lost and reopened: the first time the same is retried there, unless `is_over`.
    pub fn record_round(
        &mut self,
        plan: &Plan,
        failures: &[Failure],
        back: &BTreeSet<HostName>,
        is_over: bool,
    ) {
        let back: BTreeSet<HostName> = back.difference(&self.reopened).cloned().collect();
        self.reopened.extend(back.iter().cloned());
        let failed = failed_nodes(plan, failures);
        // Forget earlier failures of nodes that are up now, and what was due to them.
        for node in &plan.nodes {
            if !failed.contains_key(&node.name) {
                self.known_failures.failed.remove(&node.name);
                self.known_failures.due.remove(&node.name);
            }
        }
        let hosts_that_failed: BTreeSet<&HostName> = failures
            .iter()
            .filter(|failure| failure.node.is_none())
            .filter_map(|failure| failure.host.as_ref())
            .filter(|host| !self.lost.contains_key(*host) && !back.contains(*host))
            .collect();
        self.known_failures
            .closed
            .extend(hosts_that_failed.iter().map(|host| (*host).clone()));
        let kept: BTreeSet<&NodeName> = plan
            .actions
            .iter()
            .filter(|action| matches!(action.kind, ActionKind::Keep | ActionKind::Configure))
            .map(|action| &action.node)
            .collect();
        for node in &plan.nodes {
            let Some(failure) = failed.get(&node.name) else {
                continue;
            };
            let gone = self.lost.get(&node.host);
            let by_host = hosts_that_failed.contains(&node.host);
            let kept = kept.contains(&node.name);
            // Recreated elsewhere, or retried where it is. A node that runs on a reachable host stays
            // there: the failed step may be one that only new nodes need.
            if !is_over && (gone.is_some() || back.contains(&node.host) || (by_host && kept)) {
                continue;
            }
            let entry = self.known_failures.failed.entry(node.name.clone()).or_default();
            entry.why = match gone {
                Some(why) => format!("its host {} is unreachable: {why}", node.host),
                None => failure.summary(),
            };
            if !by_host {
                *self.strikes.entry(node.name.clone()).or_default() += 1;
            }
            let strikes = self.strikes.get(&node.name).copied().unwrap_or(0);
            // A step of the configuration that failed here would fail elsewhere, unless it was the node that failed, and so
            // would the image.
            let by_itself = matches!(failure.kind(), FailureKind::Unreachable | FailureKind::GuestDied);
            let by_step = failure.is_of_configuration() && !by_itself;
            let anywhere = by_step || failure.kind() == FailureKind::Image;
            entry.given_up = is_over || strikes > 1 || (anywhere && gone.is_none());
            // A node that ran before this command is recreated in place.
            if !kept {
                entry.on.insert(node.host.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::event::NodeStage;
    use crate::base::exit::ExitCode;
    use crate::base::failure::UserError;

    /// Nodes `1` and `2` on `a`, `3` on `b`, with the action for each.
    fn plan(actions: [&str; 3]) -> Plan {
        let places = [("n1", "a"), ("n2", "a"), ("n3", "b")];
        let spec = json!({
            "image": "micro", "image_key": "", "vcpus": 1, "memory": 96, "disk": null, "address": "10.77.0.1",
            "mac": "52:54:00:00:00:01", "mtu": 1500, "gateway": null, "dns": [], "client_key": "",
        });
        let id = uuid::Uuid::from_u128(1);
        let nodes = places.map(|(node, host)| {
            json!({
                "name": node, "group": "n", "index": 0, "host": host, "domain": node, "uuid": id, "spec": spec,
            })
        });
        let actions: Vec<_> = places
            .iter()
            .zip(actions)
            .map(|((node, host), kind)| json!({ "node": node, "host": host, "kind": kind, "reason": "" }))
            .collect();
        let network = json!({
            "subnet": "10.77.0.0/16", "bridge": "b", "own_bridge": true, "vxlan": null, "mtu": 1500, "nat": false,
            "gateway": null, "dns": [],
        });
        serde_json::from_value(json!({
            "version": 1, "cluster": "t", "cluster_id": id, "network": network, "hosts": [], "nodes": nodes,
            "actions": actions,
        }))
        .unwrap()
    }

    const NEW: [&str; 3] = ["create"; 3];

    fn lost(failures: &[(&str, Option<&str>)]) -> Vec<Failure> {
        let failures = failures.iter().map(|(host, node)| {
            let error = UserError::new(ExitCode::ApplyFailed, "broke");
            Failure {
                node: node.map(|node| node.parse().unwrap()),
                console: Some("oops".into()),
                ..Failure::of_host(host.parse().unwrap(), error)
            }
        });
        failures.collect()
    }

    /// `NODE: HOSTS WHY` of all that failed, `!` for those that are given up.
    fn described(state: &RetryState) -> Vec<String> {
        let failed = state.known_failures.failed.iter();
        failed
            .map(|(node, failed)| {
                let mark = if failed.given_up { "!" } else { "" };
                format!(
                    "{node}{mark}: {} {}",
                    crate::nodeset::fold(&failed.on),
                    failed.why
                )
            })
            .collect()
    }

    fn names(names: &[&str]) -> BTreeSet<HostName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_node_that_fails_twice_is_given_up_and_one_that_comes_up_is_forgiven() {
        let mut state = RetryState::default();
        state.record_round(
            &plan(NEW),
            &lost(&[("a", Some("n1")), ("a", Some("n2"))]),
            &names(&[]),
            false,
        );
        assert_eq!(described(&state), ["n1: a broke", "n2: a broke"]);
        state.record_round(&plan(NEW), &lost(&[("a", Some("n2"))]), &names(&[]), false);
        assert_eq!(described(&state), ["n2!: a broke"]);
        assert_eq!(state.given_up(), 1);
        assert!(state.known_failures.closed.is_empty());
    }

    #[test]
    fn an_unreachable_host_does_not_fail_its_nodes_before_the_last_round() {
        let mut state = RetryState::default();
        state.lost.insert("a".parse().unwrap(), "no answer".into());
        let failures = lost(&[("a", None), ("a", Some("n1"))]);
        state.record_round(&plan(NEW), &failures, &names(&[]), false);
        assert_eq!(described(&state), Vec::<String>::new());
        state.record_round(&plan(NEW), &failures, &names(&[]), true);
        assert_eq!(
            described(&state),
            [
                "n1!: a its host a is unreachable: no answer",
                "n2!: a its host a is unreachable: no answer"
            ]
        );
    }

    #[test]
    fn a_connection_that_is_reopened_is_forgiven_once() {
        let mut state = RetryState::default();
        state.record_round(&plan(NEW), &lost(&[("a", None)]), &names(&["a"]), false);
        assert!(described(&state).is_empty() && state.known_failures.closed.is_empty());
        state.record_round(&plan(NEW), &lost(&[("a", None)]), &names(&["a"]), false);
        assert_eq!(described(&state), ["n1: a broke", "n2: a broke"]);
        assert_eq!(state.known_failures.closed, names(&["a"]));
    }

    #[test]
    fn a_reachable_host_that_fails_gets_no_new_nodes_and_keeps_running_ones() {
        let mut state = RetryState::default();
        state.record_round(
            &plan(["keep", "create", "create"]),
            &lost(&[("a", None)]),
            &names(&[]),
            false,
        );
        assert_eq!(described(&state), ["n2: a broke"]);
        assert_eq!(state.known_failures.closed, names(&["a"]));
        // A node that ran but accepted no login is recreated in place.
        state.record_round(
            &plan(["keep", "keep", "keep"]),
            &lost(&[("b", Some("n3"))]),
            &names(&[]),
            false,
        );
        assert_eq!(described(&state), ["n3:  broke"]);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cloud-init failed")]
    struct ImageFault;

    impl crate::base::failure::UserFacing for ImageFault {
        fn exit_code(&self) -> ExitCode {
            ExitCode::ApplyFailed
        }

        fn kind(&self) -> FailureKind {
            FailureKind::Image
        }
    }

    #[test]
    fn what_is_the_fault_of_the_image_is_not_tried_elsewhere() {
        let mut state = RetryState::default();
        let failure = Failure::of_node("n3".parse().unwrap(), "b".parse().unwrap(), ImageFault);
        state.record_round(&plan(NEW), &[failure], &names(&[]), false);
        assert_eq!(described(&state), ["n3!: b cloud-init failed"]);
    }

    #[test]
    fn a_failed_configuration_is_not_tried_elsewhere() {
        let mut state = RetryState::default();
        let lost: Vec<Failure> = lost(&[("b", Some("n3"))])
            .into_iter()
            .map(|failure| failure.at(NodeStage::Configure))
            .collect();
        state.record_round(&plan(NEW), &lost, &names(&[]), false);
        assert_eq!(described(&state), ["n3!: b broke"]);
    }
}
