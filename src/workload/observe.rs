//! Who watches a workload while it runs.

use crate::base::event::Stream;
use crate::base::name::NodeName;
use crate::topology::WorkloadStep;

/// Watches the steps of a workload and their output. Called where output arrives, so it must not take long.
pub trait Observe: Send + Sync {
    /// A step begins; every output until the next call is of it.
    fn step_begun(&self, step: &WorkloadStep);

    /// A piece of a node's output has arrived, and is in its file. What an earlier command received is not repeated,
    /// nor is the end of a line whose beginning it received.
    fn output(&self, node: &NodeName, stream: Stream, bytes: &[u8]);

    /// The step has passed on all its nodes, and another one follows unless this returns why the run ends here.
    fn step_ended(&self) -> Option<String>;
}
