//! The lines of a recording, with their places and with limits.

use std::io::{BufRead, Read as _};
use std::path::Path;

use super::{MAX_ENTRIES, RecordingError};

/// Longest line of a recording in bytes.
const MAX_LINE: usize = 64 * 1024;

/// Most bytes of a recording: 5 million lines of an access log have less.
pub(crate) const MAX_BYTES: u64 = 4 << 30;

/// The lines of a recording, with their places.
pub(crate) struct Lines<'a, R> {
    reader: R,
    path: &'a Path,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
    is_terminated: bool,
}

impl<'a, R: BufRead> Lines<'a, R> {
    pub(crate) fn new(reader: R, path: &'a Path) -> Self {
        Self {
            reader,
            path,
            line: Vec::new(),
            number: 0,
            bytes: 0,
            is_terminated: true,
        }
    }

    /// Reads the next line, without its end; `false` at the end of the recording.
    pub(crate) fn advance(&mut self) -> Result<bool, RecordingError> {
        self.line.clear();
        let mut limited = (&mut self.reader).take(MAX_LINE as u64 + 1);
        let count = limited.read_until(b'\n', &mut self.line);
        let count = count.map_err(|source| RecordingError::Unreadable {
            path: self.path.to_owned(),
            source,
        })?;
        if count == 0 {
            return Ok(false);
        }
        self.number += 1;
        self.bytes += count as u64;
        self.is_terminated = self.line.last() == Some(&b'\n');
        if !self.is_terminated && count > MAX_LINE {
            let message = format!("the line has more than {MAX_LINE} bytes");
            return Err(self.malformed(
                MAX_LINE,
                message,
                "pass a recording with one request in each line",
            ));
        }
        if self.bytes > MAX_BYTES {
            return Err(RecordingError::too_large(self.path, format!("{MAX_BYTES} bytes")));
        }
        while self.line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.pop();
        }
        Ok(true)
    }

    /// The line, without its end.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Whether the line ends with a line break. The last one of a recorder that was killed does not.
    pub(crate) fn is_terminated(&self) -> bool {
        self.is_terminated
    }

    /// A mistake in this line, at a byte of it.
    pub(crate) fn malformed(&self, at: usize, message: String, hint: &'static str) -> RecordingError {
        RecordingError::Malformed {
            path: self.path.to_owned(),
            line: self.number,
            column: at as u64 + 1,
            message,
            hint,
        }
    }

    /// The recording has more requests than are kept.
    pub(crate) fn full(&self) -> RecordingError {
        RecordingError::too_large(self.path, format!("{MAX_ENTRIES} requests"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_an_error_with_its_place() {
        let text = format!("short\r\n{}", "x".repeat(MAX_LINE * 2));
        let mut lines = Lines::new(text.as_bytes(), Path::new("a.log"));
        assert!(lines.advance().unwrap());
        assert_eq!(lines.line(), b"short");
        assert!(lines.is_terminated());
        let error = lines.advance().unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.log:2:65537: the line has more than 65536 bytes"
        );
    }
}
