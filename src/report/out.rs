//! The two output streams. A reader that is gone (`vcluster list | head -1`) is no error.

use std::io::Write;

/// Writes data to standard output.
pub fn data(text: &str) {
    let _ = data_read(text);
}

/// Writes data to standard output; returns whether it still has a reader.
pub fn data_read(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.is_ok()
}

/// Writes a message to standard error.
pub fn talk(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{text}");
}
