//! The two output streams. A reader that is gone (`vcluster list | head -1`) is no error.
//!
//! Text for people carries its styles up to here. `anstream` decides whether a stream shows them: `NO_COLOR`,
//! `CLICOLOR_FORCE`, `CLICOLOR`, whether it is a terminal, `TERM`.

use std::borrow::Cow;
use std::io::Write;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};

use super::style::plain;

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
    data(&fitting(text, &std::io::stdout()));
}

/// Writes a message to standard error.
pub fn talk(text: &str) {
    let mut err = std::io::stderr().lock();
    let text = fitting(text, &err);
    let _ = writeln!(err, "{text}");
}

/// Whether standard error shows styles.
pub(super) fn talk_is_styled() -> bool {
    is_styled(&std::io::stderr())
}

fn is_styled(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// The text as the stream can show it. Not written through `AutoStream`, which would split a message into
/// several writes.
fn fitting<'a>(text: &'a str, stream: &impl RawStream) -> Cow<'a, str> {
    if is_styled(stream) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(plain(text))
    }
}
