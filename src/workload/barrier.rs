//! The barrier: nobody starts before everybody is ready to, and one that fails to come lets the
//! others go on only as a failure.

use tokio::sync::watch;

/// What the nodes that wait are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Not everyone is here yet.
    Wait,
    /// Everyone is here.
    Go,
    /// Someone will never come.
    Broken,
}

/// A barrier for a known number of nodes.
#[derive(Debug)]
pub(super) struct Barrier {
    state: watch::Sender<(usize, Signal)>,
    wanted: usize,
}

impl Barrier {
    /// A barrier that opens when so many have arrived.
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            state: watch::Sender::new((0, if wanted == 0 { Signal::Go } else { Signal::Wait })),
            wanted,
        }
    }

    /// Arrives, and waits for all others. `false`: it will never open.
    pub(super) async fn arrive(&self) -> bool {
        let mut receiver = self.state.subscribe();
        self.state.send_modify(|(arrived, signal)| {
            *arrived += 1;
            if *arrived == self.wanted && *signal == Signal::Wait {
                *signal = Signal::Go;
            }
        });
        let signal = receiver.wait_for(|(_, signal)| *signal != Signal::Wait).await;
        signal.is_ok_and(|state| state.1 == Signal::Go)
    }

    /// Says that somebody will never arrive.
    pub(super) fn break_up(&self) {
        self.state.send_if_modified(|(_, signal)| {
            let waiting = *signal == Signal::Wait;
            if waiting {
                *signal = Signal::Broken;
            }
            waiting
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn nobody_passes_before_the_last_one_arrives() {
        let barrier = Arc::new(Barrier::new(2));
        let first = tokio::spawn({
            let barrier = Arc::clone(&barrier);
            async move { barrier.arrive().await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!first.is_finished());
        assert!(barrier.arrive().await);
        assert!(first.await.unwrap());
    }

    #[tokio::test]
    async fn a_broken_barrier_lets_nobody_wait_for_ever() {
        let barrier = Arc::new(Barrier::new(2));
        let first = tokio::spawn({
            let barrier = Arc::clone(&barrier);
            async move { barrier.arrive().await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        barrier.break_up();
        assert!(!first.await.unwrap());
    }
}
