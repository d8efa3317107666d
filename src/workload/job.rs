//! A workload and what it needs to run.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::observe::Observe;
use super::record::Journal;
use super::results::Results;
use crate::base::event::Events;
use crate::ssh::Nodes;
use crate::template::Shared;

/// Everything that running a workload needs.
pub struct Workload<'a> {
    /// Renders commands.
    pub renderer: &'a Shared,
    /// Sessions of the nodes.
    pub nodes: &'a Nodes,
    /// Where events go.
    pub events: &'a Events,
    /// Set when the user interrupts.
    pub cancel: &'a CancellationToken,
    /// ID of the run.
    pub run: &'a str,
    /// Where results go.
    pub results: &'a Results,
    /// Which nodes ended which steps.
    pub journal: &'a Journal,
    /// Whether lines of output become events as they arrive.
    pub live: bool,
    /// The user's limit on nodes at once for steps without a barrier, if any. Without it, the load of the nodes' machines
    /// limits them.
    pub fanout: Option<usize>,
    /// Time for all nodes to arrive at a barrier.
    pub barrier_timeout: Duration,
    /// Whether steps that were not started before are started now.
    pub starts: bool,
    /// Who watches the steps and their output.
    pub watcher: Option<&'a dyn Observe>,
}
