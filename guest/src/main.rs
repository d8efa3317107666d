//! The supervisor of a step on a node. `run` starts a command in its own session and passes on its output. The
//! command continues when the connection ends, and `attach` continues the output where the last connection stopped.
//!
//! vcluster copies this program to the node when needed. It depends only on the kernel: it needs no C library and
//! nothing installed. The protocol is in `wire.rs`, its other end in `src/supervise` of vcluster.
#![no_std]
#![no_main]

mod channel;
mod client;
mod measure;
mod processes;
mod ring;
mod say;
mod start;
mod step;
mod supervisor;
mod sys;
mod text;
mod watched;
mod wire;

use sys::Arguments;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(70)
}

const USAGE: &[u8] = b"usage: vcluster-guest run ID OWNER LIMIT_MS FLAGS watch=[NAME,...] COMMAND | \
    attach ID OWNER OUT ERR\n";

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
