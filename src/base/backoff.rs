//! Pauses between attempts.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Between half and all of a pause.
pub(crate) fn jitter(pause: Duration) -> Duration {
    // The standard library's hash seeds are random enough for this.
    let draw = RandomState::new().build_hasher().finish() % 1000;
    pause / 2 + pause / 2 * u32::try_from(draw).unwrap_or(0) / 1000
}
