//! The two output streams. A reader that is gone (`vcluster list | head -1`) is no error, but a full disk is: the first
//! such failure is kept, and the command ends with it.
//!
//! Text for people carries its styles up to here; they are removed where colours are off.

use std::borrow::Cow;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::style::plain;
use super::terminal::Terminal;

/// The pause before a stream that takes no data is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// What a pipe that poll(2) calls writable takes without blocking: `PIPE_BUF`, see pipe(7).
const PIECE: usize = 4096;

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
pub(super) fn bytes_read(bytes: &[u8]) -> bool {
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

/// Writes bytes to standard output as its reader takes them, and lets everything else go on meanwhile: a pager that shows
/// its first page takes no more for as long as somebody reads it. Returns whether it still takes any.
pub async fn paced(bytes: &[u8]) -> bool {
    for piece in bytes.chunks(PIECE) {
        room(io::stdout().as_fd()).await;
        if !bytes_read(piece) {
            return false;
        }
    }
    true
}

/// Writes a message to standard error once that takes it, and lets everything else go on meanwhile.
pub async fn paced_message(text: &str) {
    room(io::stderr().as_fd()).await;
    message(text);
}

/// Waits until a stream takes a piece.
async fn room(stream: BorrowedFd<'_>) {
    while !has_room(stream) {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether a stream takes a piece now, or reports at once why it does not.
fn has_room(stream: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(stream, PollFlags::POLLOUT)];
    !matches!(poll(&mut asked, PollTimeout::ZERO), Ok(0))
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

    #[tokio::test]
    async fn a_pipe_that_nobody_reads_has_room_again_once_it_is_read() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        while has_room(writer.as_fd()) {
            writer.write_all(&[0; PIECE]).unwrap();
        }
        let waiting = room(writer.as_fd());
        let reading = async {
            tokio::time::sleep(PAUSE * 3).await;
            assert!(!has_room(writer.as_fd()));
            io::Read::read_exact(&mut reader, &mut [0; PIECE]).unwrap();
        };
        tokio::join!(waiting, reading);
        assert!(has_room(writer.as_fd()));
    }

    #[test]
    fn a_pipe_without_a_reader_and_a_file_have_room() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        assert!(has_room(writer.as_fd()));
        assert!(has_room(tempfile::tempfile().unwrap().as_fd()));
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let error = write(&mut full, b"abc").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
