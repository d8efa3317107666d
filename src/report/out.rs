//! The two output streams. A reader that is gone (`vcluster list | head -1`) is no error.
//!
//! Text for people carries its styles up to here; they are removed where colours are off.

use std::borrow::Cow;
use std::io::Write;

use super::style::plain;
use super::terminal::Terminal;

/// Writes data to standard output, unchanged.
pub fn data(text: &str) {
    let _ = data_read(text);
}

/// Writes data to standard output, unchanged; returns whether it still has a reader.
pub fn data_read(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.is_ok()
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
