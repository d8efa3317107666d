//! Files to and from nodes, as tar streams over a command: nodes need `tar`, `sha256sum`, `find`, `stat`, `xargs` and
//! `base64`, of GNU or busybox, and no SFTP. Data from a node is treated as hostile. Names contain any bytes.

mod entry;
mod exchange;
mod frames;
mod listing;
mod local;
mod names;
mod noted;
mod pack;
mod pull;
mod push;
mod recover;
mod tar_end;
mod tarfile;
mod unpack;
#[cfg(any(test, feature = "fuzzing"))]
mod unpack_fuzz;

pub use entry::PullLimits;
pub use noted::{Noted, changed_while_read};
pub use pack::Archive;
pub use pull::{Pulled, pull};
pub use push::push;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use unpack_fuzz::{lists as fuzz_lists, unpack as fuzz_unpack};

use std::io;
use std::path::{Path, PathBuf};

use super::error::SshError;
use super::request::Output;
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::failure_kind::FailureKind;

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The connection or the command failed.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// A file to send cannot be read on this machine.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another file on this machine cannot be read or written.
    #[error("{}: {source}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A source cannot be sent.
    #[error("{}: {message}", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// The cause.
        message: String,
    },
    /// The command on the node failed.
    #[error("{node}: {message}")]
    Remote {
        /// The node.
        node: String,
        /// Its error output.
        message: String,
    },
    /// A file system of the node is full.
    #[error("{node}: no space left: {message}")]
    NoSpace {
        /// The node.
        node: String,
        /// The error output of the command.
        message: String,
    },
    /// An entry that a node sent is rejected.
    #[error("{node} sent {entry}, which is rejected: {reason}")]
    Refused {
        /// The node.
        node: String,
        /// What it sent, escaped.
        entry: String,
        /// The cause.
        reason: String,
    },
    /// Digests differ after the transfer, although the files did not change.
    #[error("{node}: the content differs after the transfer: {}", names.join(", "))]
    Digest {
        /// The node.
        node: String,
        /// The files, at most ten.
        names: Vec<String>,
    },
}

impl UserFacing for TransferError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("relative paths are relative to the current directory".into())
            }
            Self::Local { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free disk space there, or choose another directory".into())
            }
            Self::Local { .. } => Some("check that you may write there, or choose another directory".into()),
            Self::NoSpace { node, .. } => Some(format!(
                "`vcluster exec -w {node} -- df -h` shows what is full; what has arrived is kept"
            )),
            _ => None,
        }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Ssh(error) => error.exit_code(),
            Self::Unreadable { .. } | Self::Source { .. } => ExitCode::Usage,
            Self::Local { .. } => ExitCode::Unexpected,
            Self::Remote { .. } | Self::NoSpace { .. } | Self::Refused { .. } | Self::Digest { .. } => {
                ExitCode::ApplyFailed
            }
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Ssh(error) => error.kind(),
            _ => FailureKind::Other,
        }
    }
}

impl TransferError {
    /// Whether other sources of the same node can still be fetched.
    pub fn is_about_one_source(&self) -> bool {
        matches!(
            self,
            Self::Source { .. } | Self::Remote { .. } | Self::Digest { .. }
        )
    }

    fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            source,
        }
    }

    fn local(path: &Path, source: io::Error) -> Self {
        Self::Local {
            path: path.to_owned(),
            source,
        }
    }
}

/// Accepts only status 0; otherwise the end of standard error is the cause.
fn checked(node: &str, output: Output) -> Result<Output, TransferError> {
    if output.is_success() {
        return Ok(output);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = errors.lines().rev().take(3).collect();
    let words = last.into_iter().rev().collect::<Vec<_>>().join("; ");
    let words: String = words.chars().filter(|c| !c.is_control()).take(300).collect();
    let status = match &output.ended {
        Some(ended) => ended.to_string(),
        None => "no status".to_owned(),
    };
    let message = if words.is_empty() {
        status
    } else {
        format!("{words} ({status})")
    };
    let node = node.to_owned();
    // The scripts make the tools write English.
    Err(if errors.contains("No space left on device") {
        TransferError::NoSpace { node, message }
    } else {
        TransferError::Remote { node, message }
    })
}
