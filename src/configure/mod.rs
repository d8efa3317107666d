//! Configuration over SSH: files with owner and mode, changed only where they differ, then commands,
//! step after step across all groups. Turns steps into scripts and runs them; makes no connection itself.

mod file;
mod run;
mod wave;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use file::parse_changed as fuzz_changed;
pub use file::{FileStep, files_script, parse_changed};
pub use run::{Configuration, NodeFault, StepFault};
pub use wave::{Wave, waves};
