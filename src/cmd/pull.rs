//! `vcluster pull`: files and directories of nodes. The fetching is `ssh::transfer`.

use std::path::PathBuf;
use std::time::Duration;

use crate::ssh::fanout::DEFAULT_FANOUT;

/// Fetches files and directories of nodes into DESTINATION/NODE/.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Nodes to fetch from, as a node set; all of the cluster if not given.
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
    /// Do not compare digests with the node's (for files that are being written).
    #[arg(long)]
    pub no_verify: bool,
    /// Files and directories of the nodes.
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// A directory of this machine; made if need be.
    #[arg(required = true, value_name = "DESTINATION")]
    pub destination: PathBuf,
}
