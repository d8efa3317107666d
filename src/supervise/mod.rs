//! A step on a node that outlives its connection: it runs under a supervisor there (`guest/`), and a later
//! connection continues its output where the last one stopped. Chooses nothing and prints nothing.

mod connection;
mod ended;
mod ending;
mod follow;
mod frame;
mod guest;
mod measured;
mod plain;
mod positions;
mod stop;
mod way;

pub use ended::{End, Lost, StepError};
pub use ending::ANSWER;
pub use follow::follow;
pub use frame::{Frame, FrameError, Frames};
pub use measured::{Link, Measured, Watched};
pub use stop::stop;
pub use way::{Discard, Gate, Sink, Way};

pub use crate::ssh::Ended;

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::base::digest::hex;

/// A step on one node.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it belongs to.
    pub kind: Kind,
    /// Its ID on the node. The same ID is never started twice while the node keeps its supervisor.
    pub id: String,
    /// Its owner. A command with another owner takes it over while it runs, and starts it again once it has ended.
    pub owner: String,
    /// The command line, for `/bin/sh -c`, as root.
    pub command: String,
    /// The user's timeout for it, from its start.
    pub timeout: Duration,
    /// Names of the processes that its node watches: at most 16, each of 1 to 15 bytes without white space, comma or
    /// control character, as in `/proc/PID/comm`. None for configuration, which is not measured.
    pub watch: Vec<String>,
    /// Whether an earlier command may have started it.
    pub begun: bool,
    /// How much of standard output and standard error has arrived already; `None` if it was never started.
    pub arrived: Option<[u64; 2]>,
}

/// IDs of the steps of one run: the same parts give the same ID.
pub fn id(kind: Kind, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hex(&hash.finalize()[..12]);
    match kind {
        Kind::Configure => format!("c-{digest}"),
        Kind::Workload => format!("w-{digest}"),
    }
}

/// What a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Configuration: at most one of its steps runs on a node. Any other one is ended first.
    Configure,
    /// The workload: several runs may share the nodes.
    Workload,
}
