//! What failed in earlier rounds of this `up`, and what the planner is told of it. Asks no host.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Failure;
use crate::name::{HostName, NodeName};
use crate::plan::{ActionKind, Plan, Trouble};

/// What failed in a round.
pub(super) struct Lost {
    pub(super) failures: Vec<Failure>,
    /// Whether it was the configuration that failed: that is not tried again elsewhere.
    pub(super) configuring: bool,
}

/// What failed so far.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The hosts that do not answer, and why.
    pub(super) lost: BTreeMap<HostName, String>,
    /// What the planner is told.
    pub(super) trouble: Trouble,
    /// Hosts whose connection was lost once and could be made anew.
    reopened: BTreeSet<HostName>,
    /// How often a node failed by itself.
    strikes: BTreeMap<NodeName, u32>,
}

/// The planned nodes that failed, with the host and why. A host that failed stands for all its nodes.
pub(super) fn failed_nodes(plan: &Plan, failures: &[Failure]) -> BTreeMap<NodeName, String> {
    let mut failed = BTreeMap::new();
    for node in &plan.nodes {
        let of_host = failures
            .iter()
            .find(|failure| failure.node.is_none() && failure.host.as_ref() == Some(&node.host));
        let of_node = failures
            .iter()
            .find(|failure| failure.node.as_ref() == Some(&node.name));
        if let Some(failure) = of_node.or(of_host) {
            failed.insert(node.name.clone(), brief(&failure.error));
        }
    }
    failed
}

/// The error without what a guest wrote, on one line.
fn brief(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    let line = line.split("; the last of its console").next().unwrap_or_default();
    line.trim_end_matches(':').to_owned()
}

impl Past {
    /// What is known before the first round.
    pub(super) fn new(lost: BTreeMap<HostName, String>, trouble: Trouble) -> Self {
        Self {
            lost,
            trouble,
            ..Self::default()
        }
    }

    /// How many nodes are not tried again.
    pub(super) fn given_up(&self) -> usize {
        let failed = self.trouble.failed.values();
        failed.filter(|failed| failed.given_up).count()
    }

    /// Draws the planner's conclusions from what failed in a round. `back` are hosts whose connection was
    /// lost and is a new one: the first time the same is tried again there, unless that `is_over`.
    pub(super) fn judge(&mut self, plan: &Plan, lost: &Lost, back: &BTreeSet<HostName>, is_over: bool) {
        let back: BTreeSet<HostName> = back.difference(&self.reopened).cloned().collect();
        self.reopened.extend(back.iter().cloned());
        let failed = failed_nodes(plan, &lost.failures);
        // Who came up (at last) has no past.
        for node in &plan.nodes {
            if !failed.contains_key(&node.name) {
                self.trouble.failed.remove(&node.name);
            }
        }
        let hosts_that_failed: BTreeSet<&HostName> = lost
            .failures
            .iter()
            .filter(|failure| failure.node.is_none())
            .filter_map(|failure| failure.host.as_ref())
            .filter(|host| !self.lost.contains_key(*host) && !back.contains(*host))
            .collect();
        self.trouble
            .closed
            .extend(hosts_that_failed.iter().map(|host| (*host).clone()));
        let kept: BTreeSet<&NodeName> = plan
            .actions
            .iter()
            .filter(|action| action.kind == ActionKind::Keep)
            .map(|action| &action.node)
            .collect();
        for node in &plan.nodes {
            let Some(why) = failed.get(&node.name) else {
                continue;
            };
            let gone = self.lost.get(&node.host);
            let by_host = hosts_that_failed.contains(&node.host);
            let kept = kept.contains(&node.name);
            // Made anew elsewhere, or tried again where it is. A node that runs on a host that answers is
            // not taken away from there: what failed may be what only new nodes need.
            if !is_over && (gone.is_some() || back.contains(&node.host) || (by_host && kept)) {
                continue;
            }
            let entry = self.trouble.failed.entry(node.name.clone()).or_default();
            entry.why = match gone {
                Some(why) => format!("its host {} is lost: {}", node.host, brief(why)),
                None => why.clone(),
            };
            if !by_host {
                *self.strikes.entry(node.name.clone()).or_default() += 1;
            }
            let strikes = self.strikes.get(&node.name).copied().unwrap_or(0);
            entry.given_up = is_over || strikes > 1 || (lost.configuring && gone.is_none());
            // One that ran before this command is made anew where it is; it may have been half-made.
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

    /// Nodes `1` and `2` on `a`, `3` on `b`: with what is done to each.
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

    fn lost(failures: &[(&str, Option<&str>)]) -> Lost {
        let failures = failures.iter().map(|(host, node)| Failure {
            host: Some(host.parse().unwrap()),
            node: node.map(|node| node.parse().unwrap()),
            error: "broke; the last of its console:\n | oops".into(),
            hint: None,
        });
        Lost {
            failures: failures.collect(),
            configuring: false,
        }
    }

    /// `NODE: HOSTS WHY` of all that failed, `!` for those given up.
    fn told(past: &Past) -> Vec<String> {
        let failed = past.trouble.failed.iter();
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
    fn a_node_that_fails_twice_is_given_up_and_one_that_came_up_has_no_past() {
        let mut past = Past::default();
        past.judge(
            &plan(NEW),
            &lost(&[("a", Some("n1")), ("a", Some("n2"))]),
            &names(&[]),
            false,
        );
        assert_eq!(told(&past), ["n1: a broke", "n2: a broke"]);
        past.judge(&plan(NEW), &lost(&[("a", Some("n2"))]), &names(&[]), false);
        assert_eq!(told(&past), ["n2!: a broke"]);
        assert_eq!(past.given_up(), 1);
        assert!(past.trouble.closed.is_empty());
    }

    #[test]
    fn a_lost_host_gives_its_nodes_no_bad_name_until_it_is_over() {
        let mut past = Past::default();
        past.lost.insert("a".parse().unwrap(), "no answer".into());
        let failures = lost(&[("a", None), ("a", Some("n1"))]);
        past.judge(&plan(NEW), &failures, &names(&[]), false);
        assert_eq!(told(&past), Vec::<String>::new());
        past.judge(&plan(NEW), &failures, &names(&[]), true);
        assert_eq!(
            told(&past),
            [
                "n1!: a its host a is lost: no answer",
                "n2!: a its host a is lost: no answer"
            ]
        );
    }

    #[test]
    fn a_connection_that_is_made_anew_is_forgiven_once() {
        let mut past = Past::default();
        past.judge(&plan(NEW), &lost(&[("a", None)]), &names(&["a"]), false);
        assert!(told(&past).is_empty() && past.trouble.closed.is_empty());
        past.judge(&plan(NEW), &lost(&[("a", None)]), &names(&["a"]), false);
        assert_eq!(told(&past), ["n1: a broke", "n2: a broke"]);
        assert_eq!(past.trouble.closed, names(&["a"]));
    }

    #[test]
    fn a_host_that_fails_though_it_answers_gets_no_new_nodes_and_keeps_those_that_run() {
        let mut past = Past::default();
        past.judge(
            &plan(["keep", "create", "create"]),
            &lost(&[("a", None)]),
            &names(&[]),
            false,
        );
        assert_eq!(told(&past), ["n2: a broke"]);
        assert_eq!(past.trouble.closed, names(&["a"]));
        // One that ran but let nobody in is made anew where it is.
        past.judge(
            &plan(["keep", "keep", "keep"]),
            &lost(&[("b", Some("n3"))]),
            &names(&[]),
            false,
        );
        assert_eq!(told(&past), ["n3:  broke"]);
    }

    #[test]
    fn a_failed_configuration_is_not_tried_elsewhere() {
        let mut past = Past::default();
        let mut lost = lost(&[("b", Some("n3"))]);
        lost.configuring = true;
        past.judge(&plan(NEW), &lost, &names(&[]), false);
        assert_eq!(told(&past), ["n3!: b broke"]);
    }
}
