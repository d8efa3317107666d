//! One connection of a step: outgoing orders and incoming frames.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::ended::StepError;
use super::frame::Frames;
use super::guest;
use crate::ssh::{Session, Waits};

/// How much error output is kept when a step cannot be started, in bytes.
const ERRORS_KEPT: usize = 4 << 10;

pub(super) struct Connection {
    pub(super) orders: mpsc::Sender<Vec<u8>>,
    pub(super) frames: Frames,
    errors: Vec<u8>,
    /// What was asked for: to attach to the step, and to install the program first.
    pub(super) attaches: bool,
    pub(super) brings: bool,
    /// Whether something of the step may have run before this connection.
    pub(super) may_have_run: bool,
    pub(super) greeted: bool,
    /// Bytes that will arrive a second time.
    pub(super) skip: [u64; 2],
    pub(super) session: Arc<Session>,
    pub(super) waits: Option<Waits>,
}

impl Connection {
    pub(super) fn new(
        session: Arc<Session>,
        orders: mpsc::Sender<Vec<u8>>,
        (attaches, brings): (bool, bool),
        may_have_run: bool,
        waits: Waits,
    ) -> Self {
        Self {
            orders,
            frames: Frames::default(),
            errors: Vec::new(),
            attaches,
            brings,
            may_have_run,
            greeted: false,
            skip: [0; 2],
            session,
            waits: Some(waits),
        }
    }

    pub(super) fn order(&self, letter: u8, positions: [u64; 2]) {
        // If the connection has ended, its output shows that. A stuck connection must not block us: an order that
        // does not fit is sent again or is not needed.
        let _ = self.orders.try_send(guest::order(letter, positions));
    }

    /// Collects error output for the case that the step cannot be started.
    pub(super) fn keep_errors(&mut self, bytes: &[u8]) {
        let room = ERRORS_KEPT.saturating_sub(self.errors.len()).min(bytes.len());
        self.errors.extend_from_slice(&bytes[..room]);
    }

    /// The error of a step that could not be started, or whose supervisor could not be reached.
    pub(super) fn start_error(&self, how: &str) -> StepError {
        let text = String::from_utf8_lossy(&self.errors);
        let what = if self.attaches {
            "the supervisor of the step could not be reached"
        } else {
            "the step could not be started"
        };
        StepError::NotStarted(match text.trim() {
            "" => format!("{what}: {how}"),
            text => format!("{what}: {how}: {text}"),
        })
    }
}

/// The name of a signal without SIG.
pub(super) fn signal_name(number: u32) -> String {
    let number = i32::try_from(number).unwrap_or_default();
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().trim_start_matches("SIG").to_owned(),
        Err(_) => number.to_string(),
    }
}
