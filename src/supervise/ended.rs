//! How a step came to its end, or did not.

use std::time::Duration;

use crate::ssh::SshError;

/// The end of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// How it ended.
    pub ended: Ended,
    /// How long it ran, by the clock of its node.
    pub took: Duration,
    /// What did not arrive.
    pub lost: Lost,
}

/// How a step ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Exit(u32),
    /// By this signal (without SIG).
    Signal(String),
}

/// Bytes of output that the node had given away before somebody could keep them: a controller was killed in
/// the middle, or the step ran without a supervisor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Of standard output.
    pub stdout: u64,
    /// Of standard error.
    pub stderr: u64,
}

impl Lost {
    /// Whether anything is missing.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// Why the end of a step is not known, or was forced.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The user's time was over. The step was ended where the node could be reached.
    #[error("did not end within {}", humantime::format_duration(*after))]
    TimedOut {
        /// The time allowed.
        after: Duration,
        /// What its processes did then, a line each; `None` when the node gave no answer.
        doing: Option<String>,
    },
    /// No login within the user's time.
    #[error("no login within {}", humantime::format_duration(*after))]
    NoLogin {
        /// The time allowed.
        after: Duration,
        /// The last error, if there was one.
        last: Option<String>,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
    /// Other nodes did not come to the barrier.
    #[error("the barrier did not open")]
    Barrier,
    /// The host says that the node does not run any more.
    #[error("{0}")]
    Dead(String),
    /// The node was started again while the step ran.
    #[error("the node was started again during the step")]
    Rebooted,
    /// The node runs and knows nothing of the step any more.
    #[error("the supervisor of the step is gone from the node (killed, or out of memory?)")]
    Gone,
    /// The step could not be started.
    #[error("{0}")]
    NotStarted(String),
    /// The connection ended, and the step ran without a supervisor.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The node says what no supervisor says.
    #[error("the node sent something else than a supervisor's answer: {0}")]
    Nonsense(String),
    /// The output could not be kept.
    #[error("failed to write results: {0}")]
    Sink(#[from] std::io::Error),
    /// SSH failed in a way that a retry does not fix.
    #[error(transparent)]
    Ssh(SshError),
}
