//! Rendering: the only place (with the error printer) that writes to the terminal.
//! stdout is for data, stderr for messages. It decides nothing and contacts no host.
//!
//! [`spawn`] reads the engine's events. They are counted once (`tally.rs`) and shown by one of three
//! renderers: bars on a terminal, plain lines without one, JSON lines for programs.

mod bars;
pub mod charset;
pub mod comparison;
pub mod criteria;
pub mod doctor;
pub mod error;
pub mod experiment;
mod failures;
pub mod gather;
pub mod growth;
pub mod json;
mod lines;
mod out;
mod phrases;
pub mod plan;
mod render;
mod run;
pub mod runs;
pub mod statistics;
pub mod strip;
mod style;
mod summary;
pub mod table;
mod tally;
pub mod terminal;

pub use error::error;
pub use failures::FailureGroup;
pub use out::{data, data_read, failure, message, paced, paced_message, show};
pub use render::ReportOptions;
pub use run::{spawn, spawn_waits};
pub use statistics::Timing;
pub use summary::{SUMMARY_VERSION, StageSummary, Summary};
pub use terminal::Terminal;

pub use crate::verdict::junit;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// JSON, or JSON lines where output is streamed.
    Json,
}
