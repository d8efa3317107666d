//! The commands that have ended well, by node: what a command of ours has run once, it does not run again.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::NodeName;

/// Commands that ended with exit code 0, each by its position among the commands of the topology: steps need no name, so
/// two of them may be equal, and both run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoneCommands(BTreeMap<NodeName, BTreeSet<usize>>);

impl DoneCommands {
    /// Whether this command ended well on a node.
    pub(super) fn has(&self, node: &NodeName, command: usize) -> bool {
        self.0.get(node).is_some_and(|done| done.contains(&command))
    }

    /// Records that it did.
    pub(super) fn add(&mut self, node: &NodeName, command: usize) {
        self.0.entry(node.clone()).or_default().insert(command);
    }

    /// Forgets a node: it is created or started again, so its commands have to run again.
    pub fn forget(&mut self, node: &NodeName) {
        self.0.remove(node);
    }
}
