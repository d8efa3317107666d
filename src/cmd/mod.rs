//! The verbs, one file each: `Args` for clap and `run`. Only here errors become `anyhow` and exit codes.

pub mod cluster;
pub mod common;
pub mod completions;
pub mod configure;
pub mod configured;
pub mod console;
pub mod doctor;
pub mod down;
pub mod exec;
pub mod export;
pub mod extend;
pub mod gc;
mod gc_plan;
mod holds;
pub mod image;
mod leases;
pub mod list;
pub mod man;
pub mod nodeset;
pub mod plan;
pub mod pull;
pub mod push;
pub mod reaper;
pub mod run;
pub mod schema;
mod seeds;
pub mod ssh;
pub mod status;
pub mod talk;
mod tty;
mod undo;
pub mod up;
pub mod validate;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use export::config_path;

/// What every verb is given.
#[derive(Clone, Debug)]
pub struct Context {
    /// How results are printed.
    pub format: Format,
    /// Less talk.
    pub quiet: bool,
    /// More talk.
    pub verbose: bool,
    /// Set by the first SIGINT / SIGTERM.
    pub cancel: tokio_util::sync::CancellationToken,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// JSON, or JSON lines for what streams.
    Json,
}
