//! Why a step is being ended, and how long its node is waited for then.

use std::time::Duration;

use tokio::time::Instant;

use crate::base::patience::patience;

/// How long an unreachable node is tried again, and how long a user who interrupts waits for a node.
const RETRIES: Duration = Duration::from_secs(10);

/// How long a slow node is waited for at most: a login and a short answer take minutes under overload.
pub const ANSWER: Duration = Duration::from_mins(5);

/// Why a step is being ended, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    TimedOut,
    Interrupted,
    Barrier,
    /// This command only ends it.
    Stopped,
    /// An earlier command ended it.
    Before,
}

/// The limits of ending a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Until when a connection that failed is tried again.
    retries: Instant,
    /// Until when a login, or an answer over an open connection, is waited for.
    pub(super) last: Instant,
}

impl Limits {
    /// A slow node has as much time as for a login, because only its answer says how the step ended. A user who
    /// interrupts does not wait for that.
    pub(super) fn of(ending: Ending, login: Duration) -> Self {
        let (now, retries) = (Instant::now(), patience(RETRIES));
        let last = match ending {
            Ending::Interrupted => retries,
            _ => login.min(patience(ANSWER)).max(retries),
        };
        Self {
            retries: now + retries,
            last: now + last,
        }
    }

    /// Waits for nothing.
    pub(super) fn none() -> Self {
        let now = Instant::now();
        Self {
            retries: now,
            last: now,
        }
    }

    /// Tries again for as long as at first: a connection that had been good for a while was lost.
    pub(super) fn renew(&mut self) {
        self.retries = (Instant::now() + patience(RETRIES)).min(self.last);
    }

    /// Whether no further attempt is made.
    pub(super) fn are_over(self) -> bool {
        Instant::now() >= self.retries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_end_soon_but_an_answer_has_as_much_time_as_a_login() {
        let second = Duration::from_secs(1);
        for (ending, login, last) in [
            (Ending::TimedOut, 60 * second, 60 * second),
            (Ending::Stopped, 3600 * second, ANSWER),
            (Ending::Barrier, second, RETRIES),
            (Ending::Interrupted, 60 * second, RETRIES),
        ] {
            let limits = Limits::of(ending, login);
            assert_eq!(
                limits.last - limits.retries,
                last.saturating_sub(RETRIES),
                "{ending:?}"
            );
            assert!(!limits.are_over());
        }
    }

    #[test]
    fn further_attempts_never_exceed_the_last_moment() {
        let mut limits = Limits::none();
        assert!(limits.are_over());
        limits.renew();
        assert!(limits.are_over());
        limits.last += Duration::from_mins(1);
        limits.renew();
        assert!(!limits.are_over() && limits.retries < limits.last);
    }
}
