//! Failures in a round of `up`: hosts that dropped out of it, and nodes. A host that drops out fails only its own
//! nodes; the others continue.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::failure::Failure;
use crate::base::name::HostName;

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

    /// Records failures of hosts: these drop out. Only the first failure of a host is reported.
    pub(super) fn hosts(&self, failures: impl IntoIterator<Item = Failure>) {
        let mut inner = self.inner();
        for failure in failures {
            if let Some(host) = failure.host.clone() {
                inner.hosts.entry(host).or_insert(failure);
            }
        }
    }

    /// Records failures of nodes.
    pub(super) fn nodes(&self, failures: impl IntoIterator<Item = Failure>) {
        self.inner().nodes.extend(failures);
    }

    /// Whether a host has dropped out.
    pub(super) fn has_host(&self, host: &HostName) -> bool {
        self.inner().hosts.contains_key(host)
    }

    /// Whether a node has failed already.
    pub(super) fn has_node(&self, node: &crate::base::name::NodeName) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::exit::ExitCode;
    use crate::base::failure::UserError;

    #[test]
    fn only_the_first_failure_of_a_host_is_reported() {
        let losses = Losses::default();
        let of = |error: &str| {
            let error = UserError::new(ExitCode::ApplyFailed, error);
            Failure::of_host("a".parse().unwrap(), error)
        };
        losses.hosts([of("first"), of("second")]);
        assert!(losses.has_host(&"a".parse().unwrap()));
        let taken = losses.take();
        let errors: Vec<String> = taken.iter().map(Failure::error).collect();
        assert_eq!(errors, ["first"]);
    }
}
