//! Why SSH failed, with hints how to fix it. Contains no logic beyond text.

use std::io;
use std::time::Duration;

use super::known_hosts::HostKeyError;
use super::reason::{LoginNote, Requested, UnsupportedSetting};
use super::request::Output;
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::failure_kind::FailureKind;
use crate::inventory::NotRunning;

/// The cause in [`SshError::Channel`] if the remote side could not connect to the requested address.
pub(super) const CONNECT_FAILED: &str = "the connection failed there";

/// Why SSH failed.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The user's `ssh` cannot be run.
    #[error("cannot run `ssh`: {0}")]
    NoClient(io::Error),
    /// The user's `ssh` does not accept the host or its config.
    #[error("cannot find out how `ssh` reaches {target}: {message}")]
    Config {
        /// The target.
        target: String,
        /// What `ssh` printed, or what is wrong with it.
        message: String,
    },
    /// The ssh config uses something that vcluster does not support.
    #[error("the ssh config of {target} uses {what}, which is not supported")]
    Unsupported {
        /// The target.
        target: String,
        /// What it uses.
        what: UnsupportedSetting,
    },
    /// The address does not resolve, or the connection failed.
    #[error("cannot connect to {target}: {source}")]
    Connect {
        /// The target.
        target: String,
        /// The cause.
        source: io::Error,
    },
    /// Connection and login took too long.
    #[error("login to {target} timed out after {}", rounded(*after))]
    Timeout {
        /// The target.
        target: String,
        /// The time allowed.
        after: Duration,
    },
    /// The remote side closed the connection, or failed in the protocol, before the login.
    #[error("the SSH handshake with {target} failed: {message}")]
    Handshake {
        /// The target.
        target: String,
        /// The cause.
        message: String,
        /// Whether it looks like a temporary refusal (`MaxStartups`, a server that is starting).
        transient: bool,
    },
    /// The host key is not the expected one.
    #[error(transparent)]
    HostKey(Box<HostKeyError>),
    /// No key was accepted.
    #[error("{target} rejected all keys for the user `{user}` ({tried})", tried = tried_words(tried, notes))]
    Login {
        /// The target.
        target: String,
        /// Login user.
        user: String,
        /// What was offered.
        tried: Vec<String>,
        /// What could not be offered, and why.
        notes: Vec<LoginNote>,
    },
    /// The remote side refused a channel.
    #[error("{target} refused {what}: {message}")]
    Channel {
        /// The target.
        target: String,
        /// What was requested.
        what: Requested,
        /// The cause.
        message: String,
    },
    /// A command timed out. It and its children were killed if possible.
    #[error("`{command}` on {target} ran longer than {}", humantime::format_duration(*after))]
    CommandTimeout {
        /// Where.
        target: String,
        /// The command, shortened.
        command: String,
        /// The time allowed.
        after: Duration,
        /// Its output until then.
        output: Box<Output>,
    },
    /// The connection ended.
    #[error("lost the connection to {target}: {reason}")]
    Lost {
        /// The target.
        target: String,
        /// The cause.
        reason: String,
    },
    /// The host of a node could not be reached when the command started.
    #[error("lost the connection to its host {host}: {reason}")]
    Unreachable {
        /// The host.
        host: String,
        /// The cause.
        reason: String,
    },
    /// The host of a node reports that it does not run.
    #[error("{0}")]
    NotRunning(NotRunning),
    /// The caller's check ended the attempts.
    #[error("{0}")]
    Stopped(String),
    /// A defect of vcluster: a task or the runtime has ended, or a node has no entry.
    #[error("{0}")]
    Other(String),
}

impl From<HostKeyError> for SshError {
    fn from(error: HostKeyError) -> Self {
        Self::HostKey(Box::new(error))
    }
}

fn tried_words(tried: &[String], notes: &[LoginNote]) -> String {
    let mut words = if tried.is_empty() {
        "no key to offer".to_owned()
    } else {
        format!("offered: {}", tried.join(", "))
    };
    for note in notes {
        words.push_str("; ");
        words.push_str(&note.to_string());
    }
    words
}

impl UserFacing for SshError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::HostKey(error) => error.hint(),
            Self::NoClient(_) => Some("install the OpenSSH client (on Debian: `apt-get install openssh-client`)".into()),
            Self::Config { .. } => Some(
                "correct the ssh config: `ssh -G HOST` checks it (with `-F` for the file of VCLUSTER_SSH_CONFIG)"
                    .into(),
            ),
            Self::NotRunning(why) => why.hint.clone(),
            Self::Unsupported {
                what: UnsupportedSetting::ProxyUseFdpass,
                ..
            } => Some("remove it: a ProxyCommand then passes on the bytes, as `nc HOST PORT` does".into()),
            Self::Login { notes, .. } if notes.contains(&LoginNote::TooMany) => Some(
                "offer fewer keys: name the right one with `identity:` in the topology, or with `IdentityFile` and \
                 `IdentitiesOnly yes` in ~/.ssh/config"
                    .into(),
            ),
            Self::Login { notes, .. } if notes.iter().any(|note| matches!(note, LoginNote::Encrypted(_))) => {
                Some("start an agent and run `ssh-add` on the encrypted key".into())
            }
            Self::Login { user, .. } => Some(format!(
                "load the right key with `ssh-add`, or set it with `IdentityFile` in ~/.ssh/config; its public \
                 half belongs in ~{user}/.ssh/authorized_keys there"
            )),
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                Some("check that sshd runs there and that the port is right".into())
            }
            Self::Channel {
                what: Requested::Session,
                ..
            } => Some("its MaxSessions is used up: check what is still running there".into()),
            Self::Channel {
                what: Requested::Address(_) | Requested::Socket(_),
                ..
            } => Some(
                "check that something listens there, and AllowTcpForwarding / AllowStreamLocalForwarding in its \
                 sshd_config"
                    .into(),
            ),
            _ => None,
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::CommandTimeout { .. } => ExitCode::Timeout,
            Self::Other(_) => ExitCode::Unexpected,
            _ => ExitCode::ApplyFailed,
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Connect { .. }
            | Self::Handshake { .. }
            | Self::Lost { .. }
            | Self::Unreachable { .. }
            | Self::Channel {
                what: Requested::Address(_) | Requested::Socket(_),
                ..
            } => FailureKind::Unreachable,
            Self::Timeout { .. } | Self::CommandTimeout { .. } => FailureKind::Timeout,
            Self::HostKey(_) | Self::Login { .. } => FailureKind::LoginRefused,
            Self::NotRunning(_) | Self::Stopped(_) => FailureKind::GuestDied,
            Self::NoClient(_)
            | Self::Config { .. }
            | Self::Unsupported { .. }
            | Self::Channel {
                what: Requested::Session,
                ..
            }
            | Self::Other(_) => FailureKind::Other,
        }
    }
}

impl SshError {
    /// Whether a later retry may succeed without a fix.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkDown
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::TimedOut
            ),
            Self::Handshake { transient, .. } => *transient,
            Self::Timeout { .. } | Self::Channel { .. } | Self::Lost { .. } => true,
            _ => false,
        }
    }

    /// Whether the machine at the address accepts no connection at this port: nothing listens there, or nothing has the
    /// address.
    pub fn is_no_server(&self) -> bool {
        match self {
            Self::Connect { source, .. } => source.kind() == io::ErrorKind::ConnectionRefused,
            Self::Channel { what, message, .. } => {
                matches!(what, Requested::Address(_)) && message == CONNECT_FAILED
            }
            _ => false,
        }
    }

    /// Whether the remote side is another one than it was, or rejects the login: waiting does not help. For a machine
    /// that was reached before, every other error may be a network or a name service that has failed for a while.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::HostKey(_) | Self::Login { .. })
    }
}
/// Rounds to whole seconds: the timeout of a last attempt is the rest of the total time.
fn rounded(after: Duration) -> humantime::FormattedDuration {
    let seconds = after.as_secs_f64().round();
    humantime::format_duration(if seconds >= 1.0 {
        Duration::from_secs_f64(seconds)
    } else {
        after
    })
}
