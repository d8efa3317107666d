//! The state that the tasks of a connection share, and opening channels over it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::error::{CONNECT_FAILED, SshError};
use super::reason::Requested;
use super::transport::{Client, Shared};
use crate::base::backoff::Pauses;

/// The most session channels (commands, shells) open at once on a connection. The default
/// `MaxSessions` of sshd is 10; two are reserved for killing commands that timed out.
const SESSION_CHANNELS: u32 = 8;

/// How long a refused session channel is retried.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

pub(super) fn session_channels(shared: &Shared) -> u32 {
    if shared.one_at_a_time() {
        1
    } else {
        SESSION_CHANNELS
    }
}

/// The state that the tasks of a session share.
pub(super) struct Inner {
    pub(super) handle: Handle<Client>,
    pub(super) shared: Arc<Shared>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) name: String,
    /// Whether our program for supervised steps is known to be installed on the remote side.
    pub(super) equipped: AtomicBool,
}

impl Inner {
    /// Waits until a channel opens, fails, or the connection ends; returns a typed error.
    pub(super) async fn opened<T>(
        &self,
        what: Requested,
        open: impl Future<Output = Result<T, russh::Error>>,
    ) -> Result<T, SshError> {
        let refused = |message: &str| SshError::Channel {
            target: self.name.clone(),
            what,
            message: message.to_owned(),
        };
        match open.await {
            Ok(channel) => Ok(channel),
            Err(russh::Error::ChannelOpenFailure(reason)) => Err(refused(match reason {
                ChannelOpenFailure::AdministrativelyProhibited => "forbidden by its configuration",
                ChannelOpenFailure::ConnectFailed => CONNECT_FAILED,
                ChannelOpenFailure::UnknownChannelType => "this kind of channel is not supported",
                _ => "out of resources",
            })),
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    /// The error for a connection that has ended, with its reason if known.
    pub(super) fn lost(&self, otherwise: &str) -> SshError {
        SshError::Lost {
            target: self.name.clone(),
            reason: self.shared.reason().unwrap_or_else(|| otherwise.to_owned()),
        }
    }
}

/// Opens a session channel. After a channel was closed early, the remote side keeps its slot until the
/// process has ended, so a refusal may be temporary: it is retried for a while.
pub(super) async fn session_channel(
    session: &Arc<Inner>,
    patience: Duration,
) -> Result<Channel<Msg>, SshError> {
    let end = Instant::now() + patience;
    let mut pauses = Pauses::new(Duration::from_millis(50), Duration::from_secs(1), 200);
    loop {
        let opened = session
            .opened(Requested::Session, session.handle.channel_open_session())
            .await;
        match &opened {
            Err(SshError::Channel { .. }) => {
                let pause = pauses.next();
                if Instant::now() + pause >= end {
                    return opened;
                }
                sleep(pause).await;
            }
            _ => return opened,
        }
    }
}
