//! What failed in a round of `up`: hosts that dropped out of it, and nodes.
//! A host that drops out takes its own nodes with it; the others go on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::failure::Failure;
use crate::name::HostName;

/// Everything that failed so far.
#[derive(Debug, Default)]
pub(super) struct Losses(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    hosts: BTreeMap<HostName, Failure>,
    nodes: Vec<Failure>,
}

impl Losses {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of failures of hosts: these drop out. The first failure of a host is the one that is told.
    pub(super) fn hosts(&self, failures: impl IntoIterator<Item = Failure>) {
        let mut inner = self.inner();
        for failure in failures {
            if let Some(host) = failure.host.clone() {
                inner.hosts.entry(host).or_insert(failure);
            }
        }
    }

    /// Takes note of failures of nodes.
    pub(super) fn nodes(&self, failures: impl IntoIterator<Item = Failure>) {
        self.inner().nodes.extend(failures);
    }

    /// Whether a host has dropped out.
    pub(super) fn has_host(&self, host: &HostName) -> bool {
        self.inner().hosts.contains_key(host)
    }

    /// Whether a node has failed already.
    pub(super) fn has_node(&self, node: &crate::name::NodeName) -> bool {
        self.inner()
            .nodes
            .iter()
            .any(|failure| failure.node.as_ref() == Some(node))
    }

    /// All of them: hosts first, both by name.
    pub(super) fn take(&self) -> Vec<Failure> {
        let inner = std::mem::take(&mut *self.inner());
        let mut nodes = inner.nodes;
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        inner.hosts.into_values().chain(nodes).collect()
    }
}

/// Which hosts drop out when some do not reach others. One end of every broken way must go: again
/// and again the host with the most of them, of equals the later one in the plan.
pub(super) fn cut_off(order: &[HostName], broken: &[(HostName, HostName)]) -> Vec<(HostName, Vec<HostName>)> {
    let mut broken: Vec<&(HostName, HostName)> = broken.iter().collect();
    let mut out = Vec::new();
    while !broken.is_empty() {
        let ways = |host: &HostName| broken.iter().filter(|(a, b)| a == host || b == host).count();
        // `max_by_key` gives the last of equals.
        let Some(worst) = order
            .iter()
            .max_by_key(|host| ways(host))
            .filter(|host| ways(host) > 0)
        else {
            break;
        };
        let mut others: Vec<HostName> = broken
            .iter()
            .filter_map(|(a, b)| {
                let other = if a == worst {
                    Some(b)
                } else {
                    Some(a).filter(|_| b == worst)
                };
                other.cloned()
            })
            .collect();
        others.sort();
        others.dedup();
        broken.retain(|(a, b)| a != worst && b != worst);
        out.push((worst.clone(), others));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<HostName> {
        text.split(' ').map(|name| name.parse().unwrap()).collect()
    }

    fn out(broken: &[&str]) -> Vec<String> {
        let broken: Vec<_> = broken
            .iter()
            .map(|pair| {
                let ends = names(pair);
                (ends[0].clone(), ends[1].clone())
            })
            .collect();
        let out = cut_off(&names("a b c d"), &broken);
        out.iter()
            .map(|(host, others)| format!("{host}: {}", crate::nodeset::fold(others)))
            .collect()
    }

    #[test]
    fn the_host_that_nobody_reaches_drops_out_and_no_other() {
        assert_eq!(out(&["a b", "b c", "d b", "b d"]), ["b: a,c,d"]);
    }

    #[test]
    fn of_two_that_do_not_reach_each_other_the_later_one_drops_out() {
        assert_eq!(out(&["a c"]), ["c: a"]);
        assert_eq!(out(&["a b", "c d"]), ["d: c", "b: a"]);
        assert_eq!(out(&[]), Vec::<String>::new());
    }

    #[test]
    fn the_first_failure_of_a_host_is_the_one_that_is_told() {
        let losses = Losses::default();
        let of = |error: &str| Failure {
            host: Some("a".parse().unwrap()),
            node: None,
            error: error.into(),
            hint: None,
        };
        losses.hosts([of("first"), of("second")]);
        assert!(losses.has_host(&"a".parse().unwrap()));
        assert_eq!(losses.take(), [of("first")]);
    }
}
