//! Reads a file line by line with one buffer of bounded size.

use std::io::{self, BufRead, Read as _};

use super::limits;

/// A line that is not too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Its bytes, without the newline.
    pub(super) bytes: &'a [u8],
    /// Whether a newline follows; only the last line may have none.
    pub(super) ended: bool,
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line.
    Line(Line<'a>),
    /// A line that was skipped because it is too long.
    TooLong,
}

/// The lines of a file.
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            number: 0,
        }
    }

    /// Reads the next line; `None` at the end of the file.
    pub(super) fn read(&mut self) -> io::Result<Option<Next<'_>>> {
        const MOST: u64 = limits::LINE as u64 + 1;
        self.buffer.clear();
        let read = self
            .reader
            .by_ref()
            .take(MOST)
            .read_until(b'\n', &mut self.buffer)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let ended = self.buffer.last() == Some(&b'\n');
        if ended {
            self.buffer.pop();
        } else if read > limits::LINE {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(Next::TooLong));
        }
        Ok(Some(Next::Line(Line {
            number: self.number,
            bytes: &self.buffer,
            ended,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_the_last_may_have_no_end() {
        let mut lines = Lines::new(&b"a\n\nb"[..]);
        let line =
            |number: u64, bytes: &'static [u8], ended: bool| Some(Next::Line(Line { number, bytes, ended }));
        assert_eq!(lines.read().unwrap(), line(1, b"a", true));
        assert_eq!(lines.read().unwrap(), line(2, b"", true));
        assert_eq!(lines.read().unwrap(), line(3, b"b", false));
        assert_eq!(lines.read().unwrap(), None);
    }

    #[test]
    fn a_line_may_have_exactly_64_kib_and_a_longer_one_is_skipped() {
        let text = |length: usize| vec![b'x'; length];
        let content = [
            &text(65_536)[..],
            b"\n",
            &text(65_537),
            b"\n",
            b"y\n",
            &text(200_000),
        ]
        .concat();
        let mut lines = Lines::new(&content[..]);
        let Some(Next::Line(first)) = lines.read().unwrap() else {
            panic!("the first line is skipped");
        };
        assert_eq!((first.bytes.len(), first.ended), (65_536, true));
        assert_eq!(lines.read().unwrap(), Some(Next::TooLong));
        let line = Line {
            number: 3,
            bytes: b"y",
            ended: true,
        };
        assert_eq!(lines.read().unwrap(), Some(Next::Line(line)));
        assert_eq!(lines.read().unwrap(), Some(Next::TooLong));
        assert_eq!(lines.read().unwrap(), None);
        assert!(lines.buffer.capacity() <= 4 * 65_536);
    }
}
