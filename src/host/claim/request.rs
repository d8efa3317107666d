//! Requests for a lock and a claim, and the host's answers.

use std::time::Duration;

use crate::inventory::{Claim, ClusterRef};

/// Heartbeat interval of a lock's holder.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(20);
/// Lock timeout: how long a host waits for a heartbeat before it frees the lock.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_mins(2);

/// How a cluster is locked on a host while a command works on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Exclusively, by one command that changes it.
    Exclusive,
    /// By any number of commands that need it to stay.
    Shared,
}

/// A request to a host.
#[derive(Clone, Debug)]
pub struct LockRequest<'a> {
    /// The cluster.
    pub cluster: &'a ClusterRef,
    /// The command that works on it.
    pub verb: &'a str,
    /// How to lock it.
    pub how: LockMode,
    /// A claim to write, and the host's [token](crate::inventory::ObservedHost::token) that the plan is based on.
    pub claim: Option<(&'a Claim, &'a str)>,
}

/// A host's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockState {
    /// The cluster is locked.
    Held {
        /// Whether its directory was created for that.
        made: bool,
        /// Its current claim.
        claim: Option<Claim>,
    },
    /// The host has nothing of it to lock.
    Nothing,
    /// Another command holds the lock.
    Busy {
        /// Which command and since when, as it wrote it into the lock file.
        holder: String,
    },
    /// The claims on the host changed after the plan was made.
    Changed {
        /// The cluster that claimed last, as shown to the user.
        by: Option<String>,
    },
}
