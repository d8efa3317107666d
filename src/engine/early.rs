//! What ends the wait for a login of a node early: the user's interrupt, or what is known of the guest.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::node_error::NodeError;
use super::watch::BootSignal;
use crate::ssh::SshError;

/// What ends the wait for a login early.
pub(super) struct Early<'a> {
    cancel: &'a CancellationToken,
    signal: Option<watch::Receiver<BootSignal>>,
    /// The last reason that was given: the error of a wait has only its text.
    reason: Mutex<Option<NodeError>>,
}

impl<'a> Early<'a> {
    pub(super) fn new(cancel: &'a CancellationToken, signal: Option<watch::Receiver<BootSignal>>) -> Self {
        Self {
            cancel,
            signal,
            reason: Mutex::default(),
        }
    }

    /// The reason to stop waiting, if there is one.
    pub(super) fn reason(&self) -> Option<String> {
        let reason = if self.cancel.is_cancelled() {
            NodeError::Interrupted
        } else {
            verdict(&self.signal.as_ref()?.borrow())?
        };
        let text = reason.to_string();
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        Some(text)
    }

    /// Whether the guest has reported on its console that it is ready.
    pub(super) fn is_ready(&self) -> bool {
        let signal = self.signal.as_ref();
        signal.is_some_and(|signal| signal.borrow().ready.is_some())
    }

    /// Whether a reason was given.
    pub(super) fn is_stopped(&self) -> bool {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.is_some()
    }

    /// The error of a wait: the reason for which it was ended, or what SSH reported.
    pub(super) fn error(&self, error: SshError) -> NodeError {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (error, reason) {
            (SshError::Stopped(_), Some(reason)) => reason,
            (error, _) => NodeError::Login(Box::new(error)),
        }
    }
}

/// Why a guest cannot become ready any more, if that is known.
pub(super) fn verdict(signal: &BootSignal) -> Option<NodeError> {
    if let Some(reason) = &signal.failed {
        return Some(NodeError::BootFailed(reason.clone()));
    }
    if signal.nothing_to_boot {
        return Some(NodeError::NothingToBoot);
    }
    if let Some(why) = &signal.lost {
        return Some(NodeError::HostLost(why.clone()));
    }
    signal.dead.then_some(NodeError::Died)
}
