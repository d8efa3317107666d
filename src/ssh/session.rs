//! An authenticated connection and its operations. The channels are driven in `command`, `shell` and `tunnel`; `host`
//! and `node` connect.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::Disconnect;
use russh::client::Handle;
use tokio::sync::{Semaphore, mpsc};

use super::channel::{Inner, session_channels};
use super::command;
use super::error::SshError;
use super::input::Input;
use super::reason::Requested;
use super::request::{ByteStream, ExecEvent, ExecRequest, Output};
use super::shell::{self, Shell, ShellRequest};
use super::transport::{Client, Shared};
use super::{monitor, tunnel};

/// Time for abandoned commands to be killed.
const SETTLING: Duration = Duration::from_secs(8);

/// Time to end a connection cleanly.
const GOODBYE: Duration = Duration::from_secs(2);

/// An authenticated connection. It ends when it is closed, or when it and everything that was
/// opened over it are dropped.
pub struct Session {
    pub(super) inner: Arc<Inner>,
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

    /// Like [`Self::new`], for a bare-metal host: monitors the path. If the host is silent, `address` is probed.
    pub(super) fn watched(
        handle: Handle<Client>,
        shared: Arc<Shared>,
        name: String,
        address: Option<SocketAddr>,
    ) -> Self {
        let session = Self::new(handle, shared, name);
        monitor::watch(&session.inner, address);
        session
    }

    /// Runs a command to its end. An exit status other than 0 is not an error here.
    pub async fn exec(&self, request: &ExecRequest) -> Result<Output, SshError> {
        command::run(&self.inner, request, Input::Bytes(request.stdin.clone())).await
    }

    /// Like [`Session::exec`], with another standard input than `request.stdin`.
    pub async fn exec_with(&self, request: &ExecRequest, input: Input) -> Result<Output, SshError> {
        command::run(&self.inner, request, input).await
    }

    /// Runs a command and streams its events; dropping the receiver closes the channel.
    ///
    /// If the remote side runs one command at a time (Dropbear), other commands wait for the end of this one.
    /// The receiver must be read: once some MiB wait, a node's connection does nothing else until they are taken.
    pub async fn stream(&self, request: &ExecRequest) -> Result<mpsc::Receiver<ExecEvent>, SshError> {
        let input = Input::Bytes(request.stdin.clone());
        command::start(&self.inner, request, input).await
    }

    /// Like [`Session::stream`], with standard input in pieces; dropping the sender ends it.
    /// `request.stdin` is ignored.
    pub async fn stream_with_input(
        &self,
        request: &ExecRequest,
        input: mpsc::Receiver<Vec<u8>>,
    ) -> Result<mpsc::Receiver<ExecEvent>, SshError> {
        command::start(&self.inner, request, Input::Pieces(input)).await
    }

    /// Opens a terminal on the remote side.
    pub async fn shell(&self, request: &ShellRequest) -> Result<Shell, SshError> {
        shell::open(&self.inner, request).await
    }

    /// Opens a TCP connection from the remote side (direct-tcpip).
    pub async fn tcp(&self, address: SocketAddr) -> Result<ByteStream, SshError> {
        let what = Requested::Address(address.to_string());
        let (host, port) = (address.ip().to_string(), u32::from(address.port()));
        let open = self
            .inner
            .handle
            .channel_open_direct_tcpip(host, port, "127.0.0.1", 0);
        tunnel::stream(&self.inner, self.inner.opened(what, open).await?)
    }

    /// Like [`Session::tcp`], with a name that the remote side resolves.
    pub(super) async fn tcp_by_name(&self, host: &str, port: u16) -> Result<ByteStream, SshError> {
        let what = Requested::Address(format!("{host}:{port}"));
        let open = self
            .inner
            .handle
            .channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
        tunnel::stream(&self.inner, self.inner.opened(what, open).await?)
    }

    /// Opens a connection to a UNIX socket on the remote side (direct-streamlocal@openssh.com).
    pub async fn unix(&self, path: &str) -> Result<ByteStream, SshError> {
        let what = Requested::Socket(path.to_owned());
        let open = self.inner.handle.channel_open_direct_streamlocal(path);
        tunnel::stream(&self.inner, self.inner.opened(what, open).await?)
    }

    /// The name of the remote side, for messages.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Waits for all commands and shells to end, including the killing of abandoned ones; at most about
    /// as long as that may take.
    pub async fn settle(&self) {
        let count = session_channels(&self.inner.shared);
        let _ = tokio::time::timeout(SETTLING, self.inner.slots.acquire_many(count)).await;
    }

    /// Sends a ping and waits for the response; an error means that the connection has ended.
    pub async fn ping(&self) -> Result<(), SshError> {
        let answer = self.inner.handle.send_ping().await;
        answer.map_err(|error| self.inner.lost(&error.to_string()))
    }

    /// Whether our program for supervised steps is installed on the remote side.
    pub fn is_equipped(&self) -> bool {
        self.inner.equipped.load(Ordering::Relaxed)
    }

    /// Sets that.
    pub fn set_equipped(&self, equipped: bool) {
        self.inner.equipped.store(equipped, Ordering::Relaxed);
    }

    /// Why the connection ended, as an error.
    pub(super) fn lost(&self) -> SshError {
        self.inner.lost("the connection was closed")
    }

    /// Ends the connection at once, without a disconnect message: the remote side is known to be gone.
    pub fn cut(&self) {
        self.inner.shared.cut.cancel();
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.inner.handle.is_closed()
    }

    /// Ends the connection cleanly.
    pub async fn close(&self) {
        let goodbye = self.inner.handle.disconnect(Disconnect::ByApplication, "", "");
        // A peer that no longer reads must not block us.
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
}
