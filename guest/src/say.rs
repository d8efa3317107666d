//! What the supervisor sends about its step: the greeting, the report and the end. The frames are in `wire.rs`.

use crate::channel::Sending;
use crate::ring::Ring;
use crate::text::Text;
use crate::wire::boot_id;

const REPORT: usize = 16 << 10;

static mut REPORTED: Text<REPORT> = Text::new();
static mut WORDS: Text<256> = Text::new();

/// What the step's processes were doing before they were ended.
pub(crate) fn reported() -> &'static mut Text<REPORT> {
    let at = &raw mut REPORTED;
    // SAFETY: one thread; written once, before it is first sent.
    unsafe { &mut *at }
}

fn words() -> &'static mut Text<256> {
    let at = &raw mut WORDS;
    // SAFETY: one thread; a frame from this buffer is sent completely before the next one is built.
    unsafe { &mut *at }
}

/// The greeting: where the output continues, and how long the command has run, if it has started.
pub(crate) fn hello(rings: &[Ring; 2], ran: Option<u64>) -> Sending {
    let text = words();
    text.clear();
    text.push(b"1 ");
    boot_id(text);
    for ring in rings {
        text.push(b" ").number(ring.sent);
    }
    match ran {
        Some(ran) => text.push(b" started ").number(ran),
        None => text.push(b" waiting"),
    };
    Sending::new(b'h', words().bytes())
}

/// The end, with the wait status of the command.
pub(crate) fn end(status: i32, milliseconds: u64, limited: bool) -> Sending {
    let text = words();
    text.clear();
    let signal = status & 0x7f;
    if signal == 0 {
        text.push(b"exit ").number((status >> 8 & 0xff) as u64);
    } else {
        text.push(b"signal ").number(signal as u64);
    }
    text.push(b" ").number(milliseconds);
    if limited {
        text.push(b" limit");
    }
    Sending::new(b'x', words().bytes())
}
