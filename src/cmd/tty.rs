//! The local terminal while it shows a remote one: raw mode, keys, size.

use std::io::{ErrorKind, IsTerminal, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::termios::{self, SetArg, Termios};
use tokio::sync::mpsc;

/// The pause before a non-blocking input without data is read again.
const PAUSE: Duration = Duration::from_millis(20);

/// Raw mode until dropped.
pub(super) struct RawMode(Option<Termios>);

impl RawMode {
    /// Switches the terminal on stdin to raw mode; does nothing if there is none.
    pub(super) fn enter() -> std::io::Result<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self(None));
        }
        let before = termios::tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw)?;
        Ok(Self(Some(before)))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = termios::tcsetattr(std::io::stdin().as_fd(), SetArg::TCSADRAIN, before);
        }
    }
}

/// Width and height of the terminal; 80 x 24 where there is none.
pub(super) fn size() -> (u32, u32) {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.ok()
        .filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or((80, 24), |size| (u32::from(size.ws_col), u32::from(size.ws_row)))
}

/// Keyboard input. Read on a thread of its own: a read of stdin cannot be cancelled, and the process must not
/// wait for it at exit.
pub(super) fn keys() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let count = match std::io::stdin().lock().read(&mut buffer) {
                Ok(count @ 1..) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Another process has made it non-blocking: this is not its end.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                _ => break,
            };
            if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}
