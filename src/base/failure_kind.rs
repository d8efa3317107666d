//! What a failure is about, in a word that programs can filter by.

use schemars::JsonSchema;
use serde::Serialize;

/// What a failure of a host or node is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// It could not be reached, or the connection to it was lost.
    Unreachable,
    /// It did not answer in time.
    Timeout,
    /// It refused the login, or its host key is not the expected one.
    LoginRefused,
    /// The login user lacks a right there.
    NotAllowed,
    /// The lock on the host expired.
    LockLost,
    /// The host has no disk space left.
    NoSpace,
    /// The host has too little memory.
    NoMemory,
    /// The guest stopped, or reported that it cannot boot.
    GuestDied,
    /// The guest runs, but was not ready or accepted no login in time.
    BootTimeout,
    /// The image is at fault: the node would fail on any host.
    Image,
    /// A step of the configuration failed.
    StepFailed,
    /// The user interrupted.
    Interrupted,
    /// Anything else.
    #[default]
    Other,
}
