//! The channel to the attached controller: frames are sent as far as it accepts them, orders are received whole.

use crate::sys::{self, Fd, NONE};
use crate::wire::{ORDER, header};

/// A frame being sent.
pub(crate) struct Sending {
    header: [u8; 5],
    payload: &'static [u8],
    done: usize,
}

impl Sending {
    pub(crate) fn new(kind: u8, payload: &'static [u8]) -> Self {
        Self {
            header: header(kind, payload.len()),
            payload,
            done: 0,
        }
    }
}

/// The attached controller, or none.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says whether a frame was sent, and they do not depend on each other"
)]
pub(crate) struct Channel {
    pub(crate) input: Fd,
    pub(crate) output: Fd,
    /// Closing it ends the process that keeps the SSH channel open.
    pub(crate) holder: Fd,
    pub(crate) sending: Option<Sending>,
    order: [u8; ORDER],
    order_length: usize,
    pub(crate) greeted: bool,
    pub(crate) sent_report: bool,
    pub(crate) sent_measure: bool,
    pub(crate) sent_end: bool,
}

impl Channel {
    pub(crate) const fn none() -> Self {
        Self {
            input: NONE,
            output: NONE,
            holder: NONE,
            sending: None,
            order: [0; ORDER],
            order_length: 0,
            greeted: false,
            sent_report: false,
            sent_measure: false,
            sent_end: false,
        }
    }

    pub(crate) fn over(input: Fd, output: Fd, holder: Fd) -> Self {
        Self {
            input,
            output,
            holder,
            ..Self::none()
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.output != NONE
    }

    pub(crate) fn let_go(&mut self) {
        for fd in [self.input, self.output, self.holder] {
            sys::close(fd);
        }
        *self = Self::none();
    }

    /// Reads what is available. Returns a whole order, or `None` if there is none or the controller is gone.
    pub(crate) fn receive(&mut self) -> Option<[u8; ORDER]> {
        while self.is_there() {
            match sys::read(self.input, &mut self.order[self.order_length..]) {
                Err(sys::EINTR) => {}
                Err(sys::EAGAIN) => return None,
                Ok(0) | Err(_) => self.let_go(),
                Ok(count) => {
                    self.order_length += count;
                    if self.order_length == ORDER {
                        self.order_length = 0;
                        return Some(self.order);
                    }
                }
            }
        }
        None
    }

    /// Sends a frame as far as the channel accepts it. Returns whether it was sent completely; if not, it continues
    /// later or the controller is gone.
    pub(crate) fn send(&mut self, mut sending: Sending) -> bool {
        loop {
            let head = &sending.header[sending.done.min(5)..];
            let rest = &sending.payload[sending.done.saturating_sub(5)..];
            match sys::write_both(self.output, head, rest) {
                Ok(count) => sending.done += count,
                Err(sys::EINTR) => {}
                Err(sys::EAGAIN) => {
                    self.sending = Some(sending);
                    return false;
                }
                Err(_) => {
                    self.let_go();
                    return false;
                }
            }
            if sending.done == 5 + sending.payload.len() {
                return true;
            }
        }
    }
}
