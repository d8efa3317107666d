//! The user's workload: steps that run on many nodes at once, behind a barrier where asked for, with
//! output and files of every node kept on the controller. Makes no choice of nodes and prints nothing.

mod barrier;
mod collect;
mod node;
mod record;
mod results;
mod run;
mod sink;
mod stop;

pub use record::{CutOff, Journal, Record, Running, cut_off};
pub use results::{NodeResult, Outcome, Results};
pub use run::{StepReport, Workload};
