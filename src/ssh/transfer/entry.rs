//! What a node sends, entry by entry, and why it is not written.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Directories above an entry: each costs a file system access.
const DEPTH_LIMIT: usize = 256;

/// Limits on what one node may send.
#[derive(Clone, Copy, Debug)]
pub struct PullLimits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files, directories and links together.
    pub entries: usize,
}

impl Default for PullLimits {
    fn default() -> Self {
        Self {
            bytes: 8 << 30,
            entries: 1_000_000,
        }
    }
}

/// Why what a node sends is not written.
#[derive(Debug)]
pub(super) enum UnpackError {
    Refused {
        entry: String,
        reason: String,
    },
    Local {
        path: PathBuf,
        source: io::Error,
    },
    Stream(io::Error),
    /// A file has more bytes than it may.
    TooLarge {
        entry: String,
    },
}

pub(super) fn refused(entry: &str, reason: &str) -> UnpackError {
    UnpackError::Refused {
        entry: entry.to_owned(),
        reason: reason.to_owned(),
    }
}

/// An entry that a node has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A whole file.
    File(Sent, Content),
    /// A file whose content was cut off.
    Broken(Sent),
    /// Anything else, skipped entries included.
    Other,
}

/// What was announced of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
}

/// The content of a file that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) digest: String,
    pub(super) length: u64,
    pub(super) ends_in_zero: bool,
}

/// A checked name.
pub(super) struct Place {
    /// Below the destination.
    pub(super) path: PathBuf,
    /// For messages.
    pub(super) shown: String,
}

impl Place {
    /// Whether it has too many parts.
    pub(super) fn is_too_deep(&self) -> bool {
        self.path.components().count() > DEPTH_LIMIT
    }

    /// The name in the form of all lists.
    pub(super) fn name(&self) -> Vec<u8> {
        self.path.clone().into_os_string().into_vec()
    }
}
