//! The two output streams. A reader that is gone (`vcluster list | head -1`) is no error, but a full disk is: the first
//! such failure is kept, and the command ends with it.
//!
//! Text for people carries its styles up to here; they are removed where colours are off.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;

use super::style::plain;
use super::terminal::Terminal;

/// The pause before a non-blocking standard output that takes no data is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// Why standard output could not be written. Not set where its reader is gone.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Writes data to standard output, unchanged.
pub fn data(text: &str) {
    let _ = data_read(text);
}

/// Writes data to standard output, unchanged; returns whether it still has a reader.
pub fn data_read(text: &str) -> bool {
    bytes_read(text.as_bytes())
}

/// Writes bytes to standard output, unchanged; returns whether it still takes any.
pub fn bytes_read(bytes: &[u8]) -> bool {
    match write(&mut io::stdout().lock(), bytes) {
        Ok(()) => true,
        Err(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                let _ = FAILURE.set(error);
            }
            false
        }
    }
}

/// Why standard output is not complete: a full disk, for example. `None` also where its reader is gone.
pub fn failure() -> Option<&'static io::Error> {
    FAILURE.get()
}

/// Writes all of it. A pipe that another process has made non-blocking is waited for.
fn write(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    loop {
        let written = match rest {
            [] => out.flush().map(|()| 0),
            rest => out.write(rest),
        };
        match written {
            Ok(0) if rest.is_empty() => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
}

/// Writes text for people to standard output, such as a table. What is foreign in it is sanitized.
pub fn show(text: &str) {
    data(&fitting(text, Terminal::detect().stdout_colour));
}

/// Writes a message to standard error.
pub fn message(text: &str) {
    let text = fitting(text, Terminal::detect().colour);
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The text as a stream shows it, with its styles or without.
fn fitting(text: &str, is_styled: bool) -> Cow<'_, str> {
    if is_styled {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(plain(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a byte at a time, and nothing every other time.
    #[derive(Default)]
    struct Reluctant {
        taken: Vec<u8>,
        is_ready: bool,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.is_ready = !self.is_ready;
            if !self.is_ready {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.taken.push(bytes[0]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pipe_that_takes_nothing_now_gets_every_byte_once() {
        let mut out = Reluctant::default();
        write(&mut out, b"abc").unwrap();
        assert_eq!(out.taken, b"abc");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let error = write(&mut full, b"abc").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
