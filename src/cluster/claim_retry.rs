//! Retries of an `up` when other commands claim the same hosts at the same time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::base::backoff::random_up_to;
use crate::engine::ClaimError;

/// Maximum number of attempts.
const TRIES: u32 = 12;

/// Counts the attempts of an `up`.
#[derive(Debug, Default)]
pub(crate) struct ClaimRetry(u32);

impl ClaimRetry {
    /// Whether to try again, after a short random pause, so that colliding commands do not collide again.
    pub(crate) async fn again(&mut self, error: &ClaimError, cancel: &CancellationToken) -> bool {
        let tried = self.0;
        self.0 += 1;
        let passing = error.is_passing() || (error.is_of_hosts() && tried == 0);
        if !passing || self.0 >= TRIES || cancel.is_cancelled() {
            return false;
        }
        let most = Duration::from_millis(250) * self.0.min(8);
        let pause = Duration::from_millis(50) + random_up_to(most);
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = cancel.cancelled() => false,
        }
    }
}
