//! An authenticated connection and what can be done over it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

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
    /// User, where the URI names one.
    pub user: Option<String>,
    /// Port, where the URI names one.
    pub port: Option<u16>,
    /// Private key file, where the topology names one.
    pub identity: Option<PathBuf>,
    /// Known hosts file, where one is named; else as in the ssh config.
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
    /// The host key that we gave it: nothing else is accepted.
    pub host_key: PublicKey,
    /// Time allowed for connection and login.
    pub timeout: Duration,
}

/// A command to run.
#[derive(Clone, Debug, Default)]
pub struct ExecRequest {
    /// The command line, given to the remote shell.
    pub command: String,
    /// Its standard input; the end of input follows.
    pub stdin: Vec<u8>,
    /// Time allowed; none is without limit.
    pub timeout: Option<Duration>,
    /// The most bytes kept of each output stream; 0 is the default of 16 MiB. More is read and dropped.
    pub limit: usize,
}

/// What a command gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status; `None` when a signal ended it.
    pub status: Option<u32>,
    /// Name of the signal that ended it (without SIG).
    pub signal: Option<String>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Whether output was dropped for its size.
    pub truncated: bool,
}

/// Something a running command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEvent {
    /// Bytes of standard output.
    Stdout(Vec<u8>),
    /// Bytes of standard error.
    Stderr(Vec<u8>),
    /// It ended with this status.
    Exit(u32),
    /// A signal ended it.
    Signal(String),
    /// The connection was lost before it ended.
    Lost(String),
}

/// Why SSH failed.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// Being written.
    #[error("{0}")]
    Other(String),
}

/// An authenticated connection.
pub struct Session {}

impl Session {
    /// Connects to a bare-metal host: ssh config, agent, identity files, known hosts.
    pub async fn connect_host(_target: &HostTarget) -> Result<Self, SshError> {
        Err(SshError::Other("being written".into()))
    }

    /// Connects to a node, through a host's session (direct-tcpip) or directly with `None`.
    pub async fn connect_node(_via: Option<&Self>, _target: &NodeTarget) -> Result<Self, SshError> {
        Err(SshError::Other("being written".into()))
    }

    /// Runs a command to its end.
    pub async fn exec(&self, _request: &ExecRequest) -> Result<Output, SshError> {
        Err(SshError::Other("being written".into()))
    }

    /// Runs a command and streams what it does; dropping the receiver closes the channel.
    pub async fn stream(&self, _request: &ExecRequest) -> Result<mpsc::Receiver<ExecEvent>, SshError> {
        Err(SshError::Other("being written".into()))
    }

    /// Opens a TCP connection from the far side (direct-tcpip).
    pub async fn tcp(&self, _address: SocketAddr) -> Result<ByteStream, SshError> {
        Err(SshError::Other("being written".into()))
    }

    /// Opens a connection to a UNIX socket of the far side (direct-streamlocal@openssh.com).
    pub async fn unix(&self, _path: &str) -> Result<ByteStream, SshError> {
        Err(SshError::Other("being written".into()))
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        true
    }

    /// Ends the connection politely.
    pub async fn close(&self) {}
}
