//! How a step ended, or why its end is unknown.

use std::time::Duration;

use super::measured::Measured;
use crate::inventory::NotRunning;
use crate::ssh::{Ended, SshError};

/// The end of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// How it ended.
    pub ended: Ended,
    /// How long it ran, by its node's clock.
    pub took: Duration,
    /// Output that did not arrive.
    pub lost: Lost,
    /// What the node measured meanwhile; `None` for configuration, and without a supervisor.
    pub measured: Option<Measured>,
}

/// Bytes of output that the node discarded before a controller stored them: a controller was killed, or the step
/// ran without a supervisor. The numbers are the node's: it may claim any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Of standard output.
    pub stdout: u64,
    /// Of standard error.
    pub stderr: u64,
}

impl Lost {
    /// Of both streams.
    pub fn bytes(self) -> u64 {
        self.stdout.saturating_add(self.stderr)
    }
}

/// Why the end of a step is unknown, or was forced.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The user's timeout expired, and the step was ended.
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
    /// The node did not confirm in time that the step, which was to be stopped, has ended.
    #[error("the node did not confirm the end of the step{}", because(last.as_deref()))]
    NoAnswer {
        /// The last error, if there was one.
        last: Option<String>,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
    /// It was ended because this command stops it.
    #[error("stopped")]
    Stopped,
    /// It was ended by an earlier command, at its timeout or by the user.
    #[error("an earlier command ended the step")]
    EndedBefore,
    /// Other nodes did not reach the barrier.
    #[error("the barrier did not open")]
    Barrier,
    /// The host reports that the node does not run.
    #[error("{0}")]
    Dead(NotRunning),
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
    /// One of the others, and the node did not confirm that the step has ended: it may still run.
    #[error(transparent)]
    Unconfirmed(Box<StepError>),
}

impl StepError {
    /// Whether it proves that nothing of the step runs on the node any more.
    pub(super) fn proves_the_end(&self) -> bool {
        match self {
            // A guest that is paused continues where it was.
            Self::Dead(why) => !why.may_continue,
            Self::Rebooted | Self::Gone => true,
            _ => false,
        }
    }
}

fn because(last: Option<&str>) -> String {
    last.map_or_else(String::new, |last| format!(": {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_may_claim_any_number_of_lost_bytes() {
        let lost = Lost {
            stdout: u64::MAX,
            stderr: 7,
        };
        assert_eq!(lost.bytes(), u64::MAX);
    }

    #[test]
    fn an_unconfirmed_end_is_described_by_its_cause() {
        let cause = StepError::NoAnswer {
            last: Some("no route".into()),
        };
        let error = StepError::Unconfirmed(Box::new(cause));
        assert_eq!(
            error.to_string(),
            "the node did not confirm the end of the step: no route"
        );
        assert!(!error.proves_the_end() && StepError::Gone.proves_the_end());
    }

    #[test]
    fn a_guest_that_is_off_has_ended_its_steps_and_one_that_is_paused_has_not() {
        let dead = |may_continue| {
            StepError::Dead(NotRunning {
                reason: "the guest is paused (ioerror) on bm01".into(),
                may_continue,
                hint: None,
            })
        };
        assert!(dead(false).proves_the_end());
        assert!(!dead(true).proves_the_end());
    }
}
