//! Why SSH failed, with hints how to fix it. Contains no logic beyond text.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::known_hosts::HostKeyError;
use super::reason::{LoginNote, Requested, UnsupportedSetting};
use super::request::Output;
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::failure_kind::FailureKind;
use crate::inventory::NotRunning;

/// Why SSH failed.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// A file of the ssh config cannot be used.
    #[error("{}:{line}: {message}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Line, from 1; 0 is the file as a whole.
        line: usize,
        /// What is wrong.
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
            Self::Unsupported {
                what: UnsupportedSetting::ProxyCommand(_),
                ..
            } => Some("use ProxyJump with one host instead".into()),
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
            Self::Config { .. }
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
