//! The verbs, one file each: `Args` for clap and `run`.

pub mod common;
pub mod compare;
pub mod completions;
pub mod configure;
mod confirm;
pub mod console;
pub mod doctor;
pub mod down;
pub mod exec;
mod experiment;
pub mod export;
pub mod extend;
pub mod gc;
pub mod image;
mod leases;
pub mod list;
pub mod man;
pub mod mock;
pub mod nodeset;
pub mod output;
pub mod plan;
pub mod power;
pub mod pull;
pub mod push;
pub mod reaper;
pub mod report;
pub mod results;
pub mod run;
pub mod runs;
pub mod scale;
pub mod schema;
pub mod ssh;
pub mod status;
pub mod test;
mod tty;
pub mod up;
pub mod validate;

use crate::report::Format;

/// Global options, passed to every verb.
#[derive(Clone, Debug)]
pub struct Context {
    /// Format of the results.
    pub format: Format,
    /// Print only failures.
    pub quiet: bool,
    /// Print every stage of every node.
    pub verbose: bool,
    /// Set by the first SIGINT / SIGTERM.
    pub cancel: tokio_util::sync::CancellationToken,
}
