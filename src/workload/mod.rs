//! The user's workload: steps that run on many nodes at once, behind a barrier where asked for, with
//! output and files of every node kept on the controller. Makes no choice of nodes and prints nothing.

mod barrier;
mod collect;
mod node;
mod results;
mod run;

pub use results::{NodeResult, Outcome, Results};
pub use run::{StepReport, Workload};
