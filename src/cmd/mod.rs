//! The verbs, one file each: `Args` for clap and `run`. Only here errors become `anyhow` and exit codes.

pub mod exec;
pub mod pull;
pub mod push;
pub mod ssh;

/// What every verb is given.
#[derive(Clone, Debug)]
pub struct Context {
    /// How results are printed.
    pub format: Format,
    /// Less talk.
    pub quiet: bool,
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
