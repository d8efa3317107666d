//! The user's workload: steps that run on many nodes at once, optionally behind a barrier, with the
//! output and files of every node kept on the controller. Does not choose nodes and prints nothing.

mod barrier;
mod collect;
mod job;
mod node;
mod record;
mod results;
mod run;
mod sink;
mod stop;

pub use job::Workload;
pub use record::{InterruptedRun, Journal, Record, Running, interrupted_runs};
pub use results::{NodeResult, Outcome, Results, StepReport};
