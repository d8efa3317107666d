//! SSH with russh: one connection per bare-metal host, one per node, all channels through these.
//! Checks host keys on both hops. Does not depend on plans or topologies.

mod any_shell;
mod backlog;
mod channel;
mod command;
mod config;
mod cuttable;
mod dial;
mod ended;
mod error;
pub mod fanout;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod host;
mod input;
mod keys;
mod known_hosts;
mod lines;
mod load;
mod login;
mod monitor;
mod node;
mod pattern;
mod pieces;
mod pool;
mod proxy;
mod reason;
mod request;
mod route;
mod session;
mod settings;
mod shell;
mod slow;
mod spool;
mod stock;
mod tokens;
pub mod transfer;
mod transport;
mod tunnel;
mod turns;
mod way;

pub use config::SshConfig;
pub use ended::Ended;
pub use error::SshError;
pub use input::Input;
pub use known_hosts::{HostKeyError, KnownHosts, Strictness, fingerprint};
pub use load::Load;
pub use node::{LoginRetry, login_with_retry};
pub use pieces::pieces;
pub use pool::{Evidence, Nodes, Reach, SlowNodes};
pub use reason::{LoginNote, Requested, UnsupportedSetting};
pub use request::{ByteStream, Bytes, CommandShell, ExecEvent, ExecRequest, HostTarget, NodeTarget, Output};
pub use session::Session;
pub use settings::{AddressFamily, HostSettings};
pub use shell::{Shell, ShellRequest};
pub use slow::Waits;
pub use spool::{Spool, SpoolFailure};
pub use stock::hop;
pub use turns::{FANOUT, Turn};
pub use way::{HostWay, Via};

/// Raises the soft limit of open files to the hard one: each node reached directly is one socket.
/// Best effort; call it once at the start.
pub fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("cannot raise the limit of open files above {soft}: {error}");
    }
}
