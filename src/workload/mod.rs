//! The user's workload: steps that run on many nodes at once, optionally behind a barrier, with the
//! output and files of every node kept on the controller. Does not choose nodes and prints nothing.

mod barrier;
mod collect;
mod head;
mod interrupted;
mod job;
mod node;
mod observe;
mod record;
mod results;
mod run;
mod running;
mod samples;
mod sink;
mod stop;

pub use head::{doing_words, output_head};
pub use interrupted::{InterruptedRun, interrupted_runs};
pub use job::Workload;
pub use observe::Observe;
pub use record::{Journal, Record, Verdict};
pub use results::{NodeResult, Outcome, Results, StepReport, Unfetched, read_reports};
pub use running::Running;
pub use samples::{measured_samples, watch_metric};

pub use crate::supervise::{Link, Measured, Watched};
