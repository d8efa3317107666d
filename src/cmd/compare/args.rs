//! The arguments of `vcluster compare`.

use std::path::PathBuf;

use crate::cmd::results::ResultsArgs;

/// Compare stored runs, and judge whether something became worse
///
/// The exit code is 6 if a metric is worse by as much as counts.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The baseline: a run, runs with commas between them, an experiment, or a variant of one (EXPERIMENT:rev=old)
    #[arg(value_name = "A")]
    pub a: String,
    /// What is judged against it
    #[arg(value_name = "B", required_unless_present = "by", conflicts_with = "by")]
    pub b: Option<String>,
    /// Compare the variants of experiment A by this key: each value with the first one
    #[arg(long, value_name = "KEY")]
    pub by: Option<String>,
    /// Where the runs are.
    #[command(flatten)]
    pub place: ResultsArgs,
    /// Compare although this assumption differs: a key, or its beginning up to a dot
    #[arg(long, value_name = "KEY")]
    pub despite: Vec<String>,
    /// File of accepted regressions [default: accepted.yaml beside the topology]
    #[arg(long, value_name = "FILE")]
    pub accepted: Option<PathBuf>,
    /// Write a JUnit XML report, with a case per judged metric
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Show all metrics that are not judged, not only those that changed most
    #[arg(long)]
    pub all: bool,
    /// Fail also if the runs do not decide
    #[arg(long)]
    pub strict: bool,
}
