//! One output stream of the step: the bytes that the controller has not confirmed yet, in bounded memory.
//! Positions count bytes from the beginning of the stream.

use crate::sys::{self, Fd};

/// Maximum of unconfirmed bytes. When it is reached, the step blocks, as on a full pipe.
pub(crate) const CAPACITY: usize = 4 << 20;

/// Memory use above which memory is freed once everything is confirmed.
const WORTH_IT: usize = 256 << 10;

/// The unconfirmed bytes of a stream.
pub(crate) struct Ring {
    memory: *mut u8,
    /// Written by the step so far.
    written: u64,
    /// Sent to the attached controller.
    pub(crate) sent: u64,
    /// Confirmed by the controller: never requested again.
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

    /// Reads from a pipe. `Ok(0)` is its end.
    pub(crate) fn fill(&mut self, from: Fd) -> sys::Result<usize> {
        let at = (self.written % CAPACITY as u64) as usize;
        let free = CAPACITY - (self.written - self.confirmed) as usize;
        let room = free.min(CAPACITY - at);
        // SAFETY: `at + room` is within the memory, and no other reference to this part exists.
        let into = unsafe { core::slice::from_raw_parts_mut(self.memory.add(at), room) };
        let count = sys::read(from, into)?;
        self.written += count as u64;
        self.touched = self.touched.max(at + count);
        Ok(count)
    }

    /// The next bytes to send, as far as they are contiguous.
    pub(crate) fn next(&self, most: usize) -> &'static [u8] {
        let at = (self.sent % CAPACITY as u64) as usize;
        let count = ((self.written - self.sent) as usize).min(CAPACITY - at).min(most);
        // SAFETY: these bytes are initialized and not overwritten before they are confirmed, which is after they were
        // sent; the memory lives as long as the process.
        unsafe { core::slice::from_raw_parts(self.memory.add(at), count) }
    }

    /// Records that everything up to this position has arrived.
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

    /// Prepares for a controller that has everything up to this position. Returns where output continues: freed
    /// bytes cannot be sent again.
    pub(crate) fn resume(&mut self, position: u64) -> u64 {
        self.sent = position.clamp(self.confirmed, self.written);
        self.confirm(self.sent);
        self.sent
    }
}
