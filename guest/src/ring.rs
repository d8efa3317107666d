//! One output stream of the step: what the controller has not confirmed yet, in memory of bounded size.
//! Positions count bytes from the beginning of the stream.

use crate::sys::{self, Fd};

/// The most bytes that wait. When they do, the step waits as well, as it would on a pipe that nobody reads.
pub(crate) const CAPACITY: usize = 4 << 20;

/// Unconfirmed bytes above which memory is given back once they are confirmed.
const WORTH_IT: usize = 256 << 10;

/// Bytes of a stream.
pub(crate) struct Ring {
    memory: *mut u8,
    /// Written by the step so far.
    written: u64,
    /// Sent to who is attached now.
    pub(crate) sent: u64,
    /// Confirmed by the controller: never asked for again.
    confirmed: u64,
    touched: usize,
}

impl Ring {
    pub(crate) fn new() -> sys::Result<Self> {
        Ok(Self {
            memory: sys::memory(CAPACITY)?,
            written: 0,
            sent: 0,
            confirmed: 0,
            touched: 0,
        })
    }

    pub(crate) fn has_room(&self) -> bool {
        self.written - self.confirmed < CAPACITY as u64
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.sent == self.written
    }

    /// Takes in what a pipe holds. `Ok(0)` is its end.
    pub(crate) fn fill(&mut self, from: Fd) -> sys::Result<usize> {
        let at = (self.written % CAPACITY as u64) as usize;
        let free = CAPACITY - (self.written - self.confirmed) as usize;
        let room = free.min(CAPACITY - at);
        // SAFETY: `at + room` is within the memory, which nobody else holds.
        let into = unsafe { core::slice::from_raw_parts_mut(self.memory.add(at), room) };
        let count = sys::read(from, into)?;
        self.written += count as u64;
        self.touched = self.touched.max(at + count);
        Ok(count)
    }

    /// The next bytes to send, as far as they lie in one piece.
    pub(crate) fn next(&self, most: usize) -> &'static [u8] {
        let at = (self.sent % CAPACITY as u64) as usize;
        let count = ((self.written - self.sent) as usize).min(CAPACITY - at).min(most);
        // SAFETY: these bytes were written, and are not written again before they are confirmed, which is after
        // they were sent; the memory lives as long as the process.
        unsafe { core::slice::from_raw_parts(self.memory.add(at), count) }
    }

    /// Everything up to this position has arrived.
    pub(crate) fn confirm(&mut self, position: u64) {
        if position <= self.confirmed || position > self.sent {
            return;
        }
        self.confirmed = position;
        if self.confirmed == self.written && self.touched > WORTH_IT {
            sys::give_back(self.memory, CAPACITY);
            self.touched = 0;
        }
    }

    /// Somebody attaches who has everything up to this position. Says from where on it is sent: what is not there
    /// any more cannot be sent again.
    pub(crate) fn resume(&mut self, position: u64) -> u64 {
        self.sent = position.clamp(self.confirmed, self.written);
        self.confirm(self.sent);
        self.sent
    }
}
