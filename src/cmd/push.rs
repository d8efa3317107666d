//! `vcluster push`: files and directories to nodes. The sending is `ssh::transfer`.

use std::path::PathBuf;
use std::time::Duration;

use crate::ssh::fanout::DEFAULT_FANOUT;

/// Sends files and directories to nodes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Nodes to send to, as a node set; all of the cluster if not given.
    #[arg(short = 'w', long = "nodes", value_name = "NODES")]
    pub nodes: Option<String>,
    /// Nodes to leave out.
    #[arg(short = 'x', long = "exclude", value_name = "NODES")]
    pub exclude: Option<String>,
    /// Nodes at once.
    #[arg(short = 'f', long, default_value_t = DEFAULT_FANOUT as u32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub fanout: u32,
    /// Time allowed on each node.
    #[arg(short = 't', long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// Files and directories of this machine.
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    /// Where to on the nodes: the new path of a single file, or a directory (say so with a `/` at the end).
    #[arg(required = true, value_name = "DESTINATION")]
    pub destination: String,
}
