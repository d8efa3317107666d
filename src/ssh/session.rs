//! An authenticated connection and what can be done over it. How the channels are driven is in
//! `command`, `shell` and `tunnel`; how one comes to a connection in `host` and `node`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::client::Handle;
use russh::keys::{PrivateKey, PublicKey};
use russh::{ChannelOpenFailure, Disconnect};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};

use super::command::{self, Input};
use super::config::SshConfig;
use super::error::SshError;
use super::shell::{self, Shell, ShellRequest};
use super::transport::{Client, Shared};
use super::{host, node, tunnel};

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
    /// Time allowed for one attempt of connection and login; none is without limit, because a node that is slow is
    /// waited for.
    pub timeout: Option<Duration>,
}

/// A command to run.
#[derive(Clone, Debug, Default)]
pub struct ExecRequest {
    /// The command line, given to the remote shell.
    pub command: String,
    /// Its standard input; the end of input follows.
    pub stdin: Vec<u8>,
    /// Time allowed, opening included; none is without limit. A command with a limit gets a variable
    /// `VCLUSTER_EXEC` by which it and its children are found and killed when the time is up.
    pub timeout: Option<Duration>,
    /// The most bytes kept of each output stream; 0 is the default of 16 MiB. More is read and dropped.
    pub limit: usize,
    /// Whether the command looks after itself: it is neither marked nor killed when it is given up here.
    pub detached: bool,
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
    /// It ran out of time and was killed, as far as that was possible.
    TimedOut(Duration),
    /// The connection was lost before it ended.
    Lost(String),
}

/// The most session channels (commands, shells) open at once on a connection. The default
/// `MaxSessions` of sshd is 10; two are left for ending what ran out of time.
const SESSION_CHANNELS: u32 = 8;

fn session_channels(shared: &Shared) -> u32 {
    if shared.one_at_a_time() {
        1
    } else {
        SESSION_CHANNELS
    }
}

/// An authenticated connection. It ends when it is closed, or when it and all that was opened
/// over it are dropped.
pub struct Session {
    pub(super) inner: Arc<Inner>,
}

/// What the tasks of a session share.
pub(super) struct Inner {
    pub(super) handle: Handle<Client>,
    pub(super) shared: Arc<Shared>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) name: String,
    /// Whether the far side is known to have our program for supervised steps.
    pub(super) equipped: AtomicBool,
}

impl Session {
    pub(super) fn new(handle: Handle<Client>, shared: Arc<Shared>, name: String) -> Self {
        let count = session_channels(&shared) as usize;
        let slots = Arc::new(Semaphore::new(count));
        Self {
            inner: Arc::new(Inner {
                handle,
                shared,
                slots,
                name,
                equipped: AtomicBool::new(false),
            }),
        }
    }

    /// As [`Self::new`], for a bare-metal host: the path there is watched. `address` is asked when the host is silent.
    pub(super) fn watched(
        handle: Handle<Client>,
        shared: Arc<Shared>,
        name: String,
        address: Option<SocketAddr>,
    ) -> Self {
        let session = Self::new(handle, shared, name);
        super::monitor::watch(&session.inner, address);
        session
    }

    /// Connects to a bare-metal host: ssh config, agent, identity files, known hosts.
    pub async fn connect_host(target: &HostTarget) -> Result<Self, SshError> {
        host::connect(target).await
    }

    /// As [`Session::connect_host`], with another ssh config than the user's.
    pub async fn connect_host_with(target: &HostTarget, config: &SshConfig) -> Result<Self, SshError> {
        host::connect_with(target, config).await
    }

    /// Connects to a node, through a host's session (direct-tcpip) or directly with `None`.
    pub async fn connect_node(via: Option<&Self>, target: &NodeTarget) -> Result<Self, SshError> {
        node::connect(via, target).await
    }

    /// Runs a command to its end. An exit status other than 0 is no error here.
    pub async fn exec(&self, request: &ExecRequest) -> Result<Output, SshError> {
        command::run(&self.inner, request, Input::Bytes(request.stdin.clone())).await
    }

    /// As [`Session::exec`], with another standard input than `request.stdin`.
    pub async fn exec_with(&self, request: &ExecRequest, input: Input) -> Result<Output, SshError> {
        command::run(&self.inner, request, input).await
    }

    /// Runs a command and streams what it does; dropping the receiver closes the channel.
    ///
    /// Where the far side takes one command at a time (Dropbear), other commands wait for the end of this
    /// one. The receiver must be read: what piles up behind it stops the whole connection in the end.
    pub async fn stream(&self, request: &ExecRequest) -> Result<mpsc::Receiver<ExecEvent>, SshError> {
        let input = Input::Bytes(request.stdin.clone());
        command::start(&self.inner, request, input).await
    }

    /// As [`Session::stream`], with standard input that comes in pieces; its end is the end of the
    /// sender. `request.stdin` is not looked at.
    pub async fn stream_with_input(
        &self,
        request: &ExecRequest,
        input: mpsc::Receiver<Vec<u8>>,
    ) -> Result<mpsc::Receiver<ExecEvent>, SshError> {
        command::start(&self.inner, request, Input::Pieces(input)).await
    }

    /// Opens a terminal on the far side.
    pub async fn shell(&self, request: &ShellRequest) -> Result<Shell, SshError> {
        shell::open(&self.inner, request).await
    }

    /// Opens a TCP connection from the far side (direct-tcpip).
    pub async fn tcp(&self, address: SocketAddr) -> Result<ByteStream, SshError> {
        let what = format!("a connection to {address}");
        let (host, port) = (address.ip().to_string(), u32::from(address.port()));
        let open = self
            .inner
            .handle
            .channel_open_direct_tcpip(host, port, "127.0.0.1", 0);
        tunnel::stream(&self.inner, self.inner.opened(&what, open).await?)
    }

    /// As [`Session::tcp`], with a name that the far side looks up.
    pub(super) async fn tcp_by_name(&self, host: &str, port: u16) -> Result<ByteStream, SshError> {
        let what = format!("a connection to {host}:{port}");
        let open = self
            .inner
            .handle
            .channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
        tunnel::stream(&self.inner, self.inner.opened(&what, open).await?)
    }

    /// Opens a connection to a UNIX socket of the far side (direct-streamlocal@openssh.com).
    pub async fn unix(&self, path: &str) -> Result<ByteStream, SshError> {
        let what = format!("a connection to its socket {path}");
        let open = self.inner.handle.channel_open_direct_streamlocal(path);
        tunnel::stream(&self.inner, self.inner.opened(&what, open).await?)
    }

    /// Whom it leads to, for messages.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Waits for the end of what runs over its session channels, the killing of what was given up
    /// included; at most about as long as that may take.
    pub async fn settle(&self) {
        let count = session_channels(&self.inner.shared);
        let _ = tokio::time::timeout(Duration::from_secs(8), self.inner.slots.acquire_many(count)).await;
    }

    /// Asks for a sign of life, and waits for it; an error is the end of the connection.
    pub async fn ping(&self) -> Result<(), SshError> {
        let answer = self.inner.handle.send_ping().await;
        answer.map_err(|error| self.inner.lost(&error.to_string()))
    }

    /// Whether the far side has our program for supervised steps.
    pub fn is_equipped(&self) -> bool {
        self.inner.equipped.load(Ordering::Relaxed)
    }

    /// Notes whether it has.
    pub fn set_equipped(&self, equipped: bool) {
        self.inner.equipped.store(equipped, Ordering::Relaxed);
    }

    /// Why the connection ended, as an error.
    pub(super) fn lost(&self) -> SshError {
        self.inner.lost("the connection was closed")
    }

    /// Ends the connection at once, without a word: its far side is known to be gone.
    pub fn cut(&self) {
        self.inner.shared.cut.cancel();
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.inner.handle.is_closed()
    }

    /// Ends the connection politely.
    pub async fn close(&self) {
        let goodbye = self.inner.handle.disconnect(Disconnect::ByApplication, "", "");
        // A peer that no longer reads must not hold us up.
        let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
    }
}

impl Inner {
    /// Waits for a channel to open, for as long as the connection holds, and says what went wrong.
    pub(super) async fn opened<T>(
        &self,
        what: &str,
        open: impl Future<Output = Result<T, russh::Error>>,
    ) -> Result<T, SshError> {
        let refused = |message: &str| SshError::Channel {
            target: self.name.clone(),
            what: what.to_owned(),
            message: message.to_owned(),
        };
        match open.await {
            Ok(channel) => Ok(channel),
            Err(russh::Error::ChannelOpenFailure(reason)) => Err(refused(match reason {
                ChannelOpenFailure::AdministrativelyProhibited => "forbidden by its configuration",
                ChannelOpenFailure::ConnectFailed => "could not be opened there",
                ChannelOpenFailure::UnknownChannelType => "it does not know this kind of channel",
                _ => "it has no resources left",
            })),
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    /// The error for a connection that has ended, with its own reason where one is known.
    pub(super) fn lost(&self, otherwise: &str) -> SshError {
        SshError::Lost {
            target: self.name.clone(),
            reason: self.shared.reason().unwrap_or_else(|| otherwise.to_owned()),
        }
    }
}
