//! One connection of a step: the orders that go, the frames that come, and the sign of life that is asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::ended::StepError;
use super::follow::Way;
use super::frame::Frames;
use super::guest;
use crate::patience::patience;
use crate::ssh::{Session, Waits};

/// How often a node whose step says nothing is asked for a sign of life. Its answer decides nothing: it shows who is
/// slow, and a node that was started again refuses the old connection.
const ASK: Duration = Duration::from_mins(1);

/// The most that is kept of what is said when a step cannot be started.
const COMPLAINT: usize = 4 << 10;

/// Asks the node for a sign of life now and then. Never returns.
pub(super) async fn ask(way: &Way<'_>, session: &Session) {
    loop {
        sleep(patience(ASK)).await;
        let _waits = way.nodes.waits(way.node);
        if session.ping().await.is_err() {
            // The output ends as well, and says why.
            std::future::pending::<()>().await;
        }
    }
}

pub(super) struct Connection {
    pub(super) orders: mpsc::Sender<Vec<u8>>,
    pub(super) frames: Frames,
    complaint: Vec<u8>,
    pub(super) greeted: bool,
    /// Bytes that come once more.
    pub(super) skip: [u64; 2],
    pub(super) brings: bool,
    pub(super) session: Arc<Session>,
    pub(super) waits: Option<Waits>,
}

impl Connection {
    pub(super) fn new(
        session: Arc<Session>,
        orders: mpsc::Sender<Vec<u8>>,
        brings: bool,
        waits: Waits,
    ) -> Self {
        Self {
            orders,
            frames: Frames::default(),
            complaint: Vec::new(),
            greeted: false,
            skip: [0; 2],
            brings,
            session,
            waits: Some(waits),
        }
    }

    pub(super) fn order(&self, letter: u8, positions: [u64; 2]) {
        // A connection that takes no orders has ended, which its output tells. One that is stuck must not stop us:
        // an order that does not fit is given again, or is not needed.
        let _ = self.orders.try_send(guest::order(letter, positions));
    }

    /// Takes in what is said when a step cannot be started.
    pub(super) fn complaint(&mut self, bytes: &[u8]) {
        let room = COMPLAINT.saturating_sub(self.complaint.len()).min(bytes.len());
        self.complaint.extend_from_slice(&bytes[..room]);
    }

    /// The error of a step that could not be started.
    pub(super) fn complains(&self, how: &str) -> StepError {
        let text = String::from_utf8_lossy(&self.complaint);
        let text = text.trim();
        StepError::NotStarted(match text {
            "" => format!("the step could not be started: {how}"),
            text => format!("the step could not be started: {how}: {text}"),
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
