//! Requests to a connection and their results: plain data.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use tokio::io::{AsyncRead, AsyncWrite};

use super::ended::Ended;

/// A two-way stream of bytes.
pub trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A boxed two-way stream.
pub type ByteStream = Box<dyn Bytes>;

/// How to reach a bare-metal host, before `~/.ssh/config` is applied to it.
#[derive(Clone, Debug)]
pub struct HostTarget {
    /// Host name or address as written in the URI.
    pub host: String,
    /// User, if the URI has one.
    pub user: Option<String>,
    /// Port, if the URI has one.
    pub port: Option<u16>,
    /// Private key file, if the topology names one.
    pub identity: Option<PathBuf>,
    /// Known hosts file, if set; else as in the ssh config.
    pub known_hosts: Option<PathBuf>,
    /// Time allowed for connection and login.
    pub timeout: Duration,
}

/// How to reach a node.
#[derive(Clone, Debug)]
pub struct NodeTarget {
    /// Its name, for messages.
    pub name: String,
    /// Its address.
    pub address: SocketAddr,
    /// Login user.
    pub user: String,
    /// The cluster's client key.
    pub key: Arc<PrivateKey>,
    /// The host key that we generated for it; no other is accepted.
    pub host_key: PublicKey,
    /// Time allowed for one attempt of connection and login; `None`: no limit, for nodes that may be slow.
    pub timeout: Option<Duration>,
}

/// Which shell reads a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommandShell {
    /// The login shell, as with `ssh HOST COMMAND`.
    #[default]
    Login,
    /// `sh`, whatever the login shell is; what that prints itself is not part of the output.
    Sh,
}

/// A command to run.
#[derive(Clone, Debug, Default)]
pub struct ExecRequest {
    /// The command line.
    pub command: String,
    /// The shell that reads it.
    pub shell: CommandShell,
    /// Its standard input; the end of input follows.
    pub stdin: Vec<u8>,
    /// Time allowed, opening included; `None`: no limit. A command with a limit gets a variable
    /// `VCLUSTER_EXEC` by which it and its children are found and killed at the timeout.
    pub timeout: Option<Duration>,
    /// The most bytes kept of each output stream; 0 means the default of 16 MiB. The rest is dropped.
    pub limit: usize,
    /// Whether the command is independent: it is neither marked nor killed when it is abandoned here.
    pub detached: bool,
}

/// The result of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// How it ended; `None` if that is unknown: it timed out or was cut off, or a signal ended it on this machine.
    pub ended: Option<Ended>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Whether output was dropped because of its size.
    pub truncated: bool,
}

impl Output {
    /// Whether it ended with exit code 0.
    pub fn is_success(&self) -> bool {
        self.ended.as_ref().is_some_and(Ended::is_success)
    }

    /// The exit code, if it ended with one.
    pub fn code(&self) -> Option<u32> {
        self.ended.as_ref().and_then(Ended::code)
    }
}

/// An event of a running command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEvent {
    /// Bytes of standard output.
    Stdout(Vec<u8>),
    /// Bytes of standard error.
    Stderr(Vec<u8>),
    /// It ended on its own.
    Ended(Ended),
    /// It timed out and was killed, as far as possible.
    TimedOut(Duration),
    /// The connection was lost before it ended.
    Lost(String),
}
