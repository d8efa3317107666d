//! Rendering: the only place (with the error printer) that writes to the terminal.
//! stdout is for data, stderr for messages. It decides nothing and contacts no host.
//!
//! [`spawn`] reads the engine's events. They are counted once (`tally.rs`) and shown by one of three
//! renderers: bars on a terminal, plain lines without one, JSON lines for programs.

mod bars;
pub mod doctor;
pub mod error;
mod failures;
pub mod gather;
pub mod json;
pub mod junit;
mod lines;
mod out;
mod phrases;
pub mod plan;
mod render;
mod run;
pub mod statistics;
mod style;
mod summary;
pub mod table;
mod tally;
pub mod terminal;

pub use error::error;
pub use failures::FailureGroup;
pub use out::{bytes_read, data, data_read, failure, message, show};
pub use render::ReportOptions;
pub use run::{spawn, spawn_waits};
pub use statistics::Timing;
pub use summary::{SUMMARY_VERSION, StageSummary, Summary};
pub use terminal::Terminal;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// JSON, or JSON lines where output is streamed.
    Json,
}
