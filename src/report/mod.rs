//! Rendering: the only place (with the error printer) that writes to the terminal.
//! stdout is data, stderr is talk. It decides nothing and touches no host.
//!
//! [`spawn`] reads the engine's events. They are counted once (`tally.rs`) and shown by one of three
//! renderers: bars on a terminal, plain lines without one, JSON lines for programs.

mod bars;
pub mod confirm;
pub mod doctor;
pub mod error;
mod failures;
pub mod gather;
pub mod json;
pub mod junit;
mod lines;
mod out;
pub mod plan;
mod run;
pub mod statistics;
mod summary;
pub mod table;
mod tally;
pub mod terminal;
pub mod text;
mod words;

pub use confirm::confirm;
pub use error::{Failure, error};
pub use failures::FailureGroup;
pub use out::{data, data_read, talk};
pub use run::{ReportOptions, spawn};
pub use statistics::Timing;
pub use summary::{SUMMARY_VERSION, StageSummary, Summary, plural};
pub use terminal::Terminal;
pub use text::{LineBuffer, sanitize};
