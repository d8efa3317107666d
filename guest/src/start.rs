//! The step's own process: how it is separated from the supervisor, and its environment.

use crate::step::Start;
use crate::sys::{self, Fd};

/// Sets how likely the kernel is to kill this process when memory runs out.
pub(crate) fn score_of_self(score: &[u8]) {
    if let Ok(fd) = sys::open(b"/proc/self/oom_score_adj\0", sys::WRITE_ONLY) {
        let _ = sys::write(fd, score);
        sys::close(fd);
    }
}

/// Waits for the order to start, and becomes the command. Never returns.
pub(crate) fn become_command(step: &Start, go: (Fd, Fd), output: [Fd; 2], score: &[u8]) -> ! {
    sys::new_session();
    sys::close(go.1);
    let mut byte = [0];
    let order = loop {
        match sys::read(go.0, &mut byte) {
            Err(sys::EINTR) => {}
            result => break result,
        }
    };
    if order != Ok(1) {
        sys::exit(143);
    }
    score_of_self(score);
    for signal in [sys::SIGHUP, sys::SIGINT, sys::SIGPIPE, sys::SIGTERM] {
        sys::ignore(signal, false);
    }
    sys::block_child_signal(false);
    if let Ok(null) = sys::open(b"/dev/null\0", sys::READ_ONLY) {
        sys::duplicate(null, 0);
    }
    sys::duplicate(output[0], 1);
    sys::duplicate(output[1], 2);
    let arguments = [
        c"sh".as_ptr().cast(),
        c"-c".as_ptr().cast(),
        step.command,
        core::ptr::null(),
    ];
    sys::execute(b"/bin/sh\0", &arguments, step.environment);
    let _ = sys::write_all(2, b"cannot run /bin/sh\n");
    sys::exit(126)
}
