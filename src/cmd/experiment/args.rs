//! Options that `test` and `scale` have in common.

use std::path::PathBuf;
use std::time::Duration;

use super::varied::Label;
use crate::cmd::common::HostArgs;

/// Options of an experiment.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExperimentArgs {
    /// Keep the cluster at the end
    #[arg(long)]
    pub(super) keep: bool,
    /// Keep the cluster if a run fails, to look at it
    #[arg(long)]
    pub(super) keep_on_failure: bool,
    /// Label of all runs; can be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = Label::parse)]
    pub(super) labels: Vec<Label>,
    /// Write a JUnit XML report
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Directory for results, with a subdirectory for every run [default: the cluster's own]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cmd) out: Option<PathBuf>,
    /// Time for one guest to boot and accept the login
    #[arg(long, env = "VCLUSTER_BOOT_TIMEOUT", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub(super) boot_timeout: Duration,
    /// Guests that boot at once on one machine [default: chosen by its CPUs]
    #[arg(long, env = "VCLUSTER_BOOTS", value_name = "N")]
    pub(super) boots: Option<usize>,
    /// Timeout for all nodes to reach a barrier
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(super) barrier_timeout: Duration,
    #[command(flatten)]
    pub(super) hosts: HostArgs,
}
