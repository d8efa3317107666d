//! Configuration over SSH: files with owner and mode, changed only where they differ, and commands,
//! step by step across all groups. Turns steps into scripts and runs them; makes no connection itself.

mod attempts;
mod context;
mod done;
mod fault;
mod file;
mod files;
mod job;
mod run;
mod source;
mod tail;
mod wave;

pub use context::context;
pub use done::DoneCommands;
pub use fault::{NodeFault, StepFault};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use file::parse_report as fuzz_report;
pub use job::Configuration;
pub use wave::{Wave, waves};
