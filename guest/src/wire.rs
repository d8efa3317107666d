//! The protocol: frames and orders between controller and supervisor, requests on the supervisor's socket.
//!
//! The supervisor sends frames: one byte of kind, four bytes of length (big endian) and the payload:
//!
//! | kind | payload |
//! |---|---|
//! | `h` | hello, the first frame: `1 BOOT_ID OUT ERR STATE`; output follows from these positions; STATE is `waiting`, or `started MS` with the time that the command has run |
//! | `o` `e` | standard output, standard error |
//! | `r` | what the step's processes were doing before they were ended, one line each |
//! | `m` | what the node measured from the start of the command to its end, in lines: `cpu MS`, `memory BYTES`, `link NAME RX_BYTES RX_PACKETS TX_BYTES TX_PACKETS`, `watch NAME CPU_MS RSS_BYTES READ WRITTEN PROCESSES`, `more PROCESSES` |
//! | `x` | the end: `exit CODE MS` or `signal NUMBER MS`, then ` limit` if the supervisor's own limit ended it |
//! | `g` | gone, instead of all others: no such step; the payload is the boot ID |
//!
//! The controller sends orders of 17 bytes, a letter and two numbers (big endian): `a` confirms output up to two
//! positions, `g` starts a waiting step, `k` ends it, `q` confirms that everything has arrived.

use crate::sys;
use crate::text::Text;

/// The supervisor's answer when it takes over a channel.
pub(crate) const TAKEN: u8 = b'y';

/// Bytes of an order.
pub(crate) const ORDER: usize = 17;
/// Maximum length of an owner's name.
pub(crate) const OWNER: usize = 32;
/// Bytes of a request.
pub(crate) const REQUEST: usize = 1 + 16 + OWNER;

/// The requests to a supervisor over its socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Attach = b'A' as isize,
    End = b'E' as isize,
}

/// A request: its kind, two positions, and the owner.
pub(crate) fn request(order: Order, positions: [u64; 2], owner: &[u8]) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    bytes[0] = order as u8;
    bytes[1..9].copy_from_slice(&positions[0].to_be_bytes());
    bytes[9..17].copy_from_slice(&positions[1].to_be_bytes());
    let length = owner.len().min(OWNER);
    bytes[17..17 + length].copy_from_slice(&owner[..length]);
    bytes
}

/// Writes a frame to standard output.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> sys::Result<()> {
    sys::write_all(1, &header(kind, payload.len()))?;
    sys::write_all(1, payload)
}

pub(crate) fn header(kind: u8, length: usize) -> [u8; 5] {
    let length = (length as u32).to_be_bytes();
    [kind, length[0], length[1], length[2], length[3]]
}

pub(crate) fn boot_id<const N: usize>(into: &mut Text<N>) {
    let mut bytes = [0; 64];
    into.push(sys::file(b"/proc/sys/kernel/random/boot_id\0", &mut bytes).trim_ascii());
}

/// The two numbers of an order or a request.
pub(crate) fn positions(bytes: &[u8]) -> [u64; 2] {
    let number = |at: usize| {
        bytes[at..at + 8]
            .iter()
            .fold(0_u64, |n, byte| n << 8 | u64::from(*byte))
    };
    [number(0), number(8)]
}
