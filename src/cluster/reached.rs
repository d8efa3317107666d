//! The hosts that a command connected to, and those that it could not connect to or observe.

use crate::base::failure::Failure;
use crate::engine::{self, EngineError, Fleet};

/// Hosts that a removal works on.
pub struct Reached {
    pub(super) fleet: Fleet,
    pub(super) failures: Vec<Failure>,
}

impl Reached {
    /// How many hosts were observed.
    pub fn hosts(&self) -> usize {
        self.fleet.members().len()
    }

    /// An error if hosts could not be observed: their objects are unknown.
    pub fn unreached(&self) -> Result<(), EngineError> {
        engine::check_leftovers(engine::unknown(&self.failures))
    }

    /// Closes the connections to the hosts.
    pub async fn close(&self) {
        self.fleet.close().await;
    }
}
