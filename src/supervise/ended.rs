//! How a step ended, or why its end is unknown.

use std::time::Duration;

use crate::ssh::{Ended, SshError};

/// The end of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// How it ended.
    pub ended: Ended,
    /// How long it ran, by its node's clock.
    pub took: Duration,
    /// Output that did not arrive.
    pub lost: Lost,
}

/// Bytes of output that the node discarded before a controller stored them: a controller was killed, or the step
/// ran without a supervisor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Of standard output.
    pub stdout: u64,
    /// Of standard error.
    pub stderr: u64,
}

/// Why the end of a step is unknown, or was forced.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The user's timeout expired. The step was ended if the node could be reached.
    #[error("did not end within {}", humantime::format_duration(*after))]
    TimedOut {
        /// The timeout.
        after: Duration,
        /// What its processes were doing, one line each; `None` if the node did not answer.
        doing: Option<String>,
    },
    /// No login within the user's timeout.
    #[error("no login within {}", humantime::format_duration(*after))]
    NoLogin {
        /// The timeout.
        after: Duration,
        /// The last error, if there was one.
        last: Option<String>,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
    /// Other nodes did not reach the barrier.
    #[error("the barrier did not open")]
    Barrier,
    /// The host reports that the node no longer runs.
    #[error("{0}")]
    Dead(String),
    /// The node rebooted while the step ran.
    #[error("the node rebooted during the step")]
    Rebooted,
    /// The node runs but no longer has the step.
    #[error("the step's supervisor no longer runs on the node (killed, or out of memory?)")]
    Gone,
    /// The step could not be started.
    #[error("{0}")]
    NotStarted(String),
    /// The connection ended, and the step ran without a supervisor.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The node sent bytes that no supervisor sends.
    #[error("the node did not send a supervisor's answer: {0}")]
    Nonsense(String),
    /// The output could not be stored.
    #[error("failed to write results: {0}")]
    Sink(#[from] std::io::Error),
    /// SSH failed in a way that a retry does not fix.
    #[error(transparent)]
    Ssh(SshError),
}
