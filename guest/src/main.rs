//! The supervisor of a step on a node. `run` starts a command in a session of its own and passes on what it
//! writes; the command goes on when the connection ends, and `attach` reads on where the last one was.
//!
//! vcluster brings this program to the node when it is needed. It uses the kernel only: no C library, nothing
//! that must be installed. The protocol is in `wire.rs`, its other end in `src/supervise` of vcluster.
#![no_std]
#![no_main]

mod channel;
mod client;
mod processes;
mod ring;
mod start;
mod supervisor;
mod sys;
mod text;
mod wire;

use sys::Arguments;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(70)
}

const USAGE: &[u8] = b"usage: vcluster-guest run ID OWNER LIMIT_MS FLAGS COMMAND | attach ID OWNER OUT ERR\n";

fn main(arguments: Arguments, environment: *const *const u8) -> i32 {
    let code = match arguments.get(1) {
        Some(b"run") => client::run(arguments, environment),
        Some(b"attach") => client::attach(arguments),
        _ => None,
    };
    code.unwrap_or_else(|| {
        let _ = sys::write_all(2, USAGE);
        64
    })
}
