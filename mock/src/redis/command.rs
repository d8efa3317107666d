//! A command. It keeps its first [`KEPT_ARGUMENTS`] arguments and [`KEPT_BYTES`] bytes and counts the others.

use std::iter::Peekable;

use super::request::ProtocolError;

/// Bytes of the arguments that are kept.
pub(super) const KEPT_BYTES: usize = 64 * 1024;

/// Arguments that are kept.
pub(super) const KEPT_ARGUMENTS: usize = 1024;

/// A command with its arguments; the first one is its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// The kept arguments, one after another.
    bytes: Vec<u8>,
    /// Where each of them ends in `bytes`.
    ends: Vec<usize>,
    /// All arguments, kept or not.
    count: usize,
}

impl Command {
    /// The number of arguments, with the name.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// An argument. `None` if there is none, or if it was not kept.
    pub(super) fn argument(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let begin = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(begin..end)
    }

    /// The kept arguments from an index on.
    pub(super) fn arguments(&self, from: usize) -> impl Iterator<Item = &[u8]> {
        (from..self.ends.len()).filter_map(|index| self.argument(index))
    }

    /// The name in capital letters; at most 64 bytes of it.
    pub(super) fn name(&self) -> String {
        let name = self.argument(0).unwrap_or_default();
        String::from_utf8_lossy(&name[..name.len().min(64)]).to_ascii_uppercase()
    }

    /// Bytes that it has allocated.
    pub(super) fn allocated(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Forgets all arguments, for the next command.
    pub(super) fn clear(&mut self) {
        if self.allocated() > 4096 {
            *self = Self::default();
        }
        self.bytes.clear();
        self.ends.clear();
        self.count = 0;
    }

    /// Sets the number of arguments that follow.
    pub(super) fn begin(&mut self, count: usize) {
        self.count = count;
    }

    /// Whether an argument would be kept. After one that was not, none is, so that indices stay right.
    pub(super) fn keeps(&self, begun: usize, length: usize) -> bool {
        self.ends.len() == begun && begun < KEPT_ARGUMENTS && self.bytes.len() + length <= KEPT_BYTES
    }

    /// Keeps an argument.
    pub(super) fn push(&mut self, argument: &[u8]) {
        self.bytes.extend_from_slice(argument);
        self.ends.push(self.bytes.len());
    }

    /// Reads a line of words, which may be quoted (`sdssplitargs` in `sds.c` of Redis 7.2).
    pub(super) fn read_line(&mut self, line: &[u8]) -> Result<(), ProtocolError> {
        let mut bytes = line.iter().copied().peekable();
        loop {
            while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
            if bytes.peek().is_none() {
                return Ok(());
            }
            let mut word = Vec::new();
            while let Some(byte) = bytes.next_if(|byte| !byte.is_ascii_whitespace()) {
                match byte {
                    b'"' | b'\'' => {
                        quoted(byte, &mut bytes, &mut word)?;
                        // As in Redis, a word ends with its quotation mark.
                        if bytes.peek().is_some_and(|next| !next.is_ascii_whitespace()) {
                            return Err(ProtocolError::Quotes);
                        }
                    }
                    plain => word.push(plain),
                }
            }
            if self.keeps(self.count, word.len()) {
                self.push(&word);
            }
            self.count += 1;
        }
    }
}

/// Reads to the closing quotation mark. Between single ones, only such a mark can be escaped.
fn quoted(
    quote: u8,
    bytes: &mut Peekable<impl Iterator<Item = u8> + Clone>,
    word: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if quote == b'"' => match bytes.next().ok_or(ProtocolError::Quotes)? {
                b'n' => word.push(b'\n'),
                b'r' => word.push(b'\r'),
                b't' => word.push(b'\t'),
                b'b' => word.push(8),
                b'a' => word.push(7),
                b'x' => word.push(hexadecimal(bytes).unwrap_or(b'x')),
                other => word.push(other),
            },
            b'\\' => word.push(bytes.next_if_eq(&b'\'').unwrap_or(b'\\')),
            end if end == quote => return Ok(()),
            plain => word.push(plain),
        }
    }
    Err(ProtocolError::Quotes)
}

/// Takes two hexadecimal digits, if there are.
fn hexadecimal(bytes: &mut Peekable<impl Iterator<Item = u8> + Clone>) -> Option<u8> {
    let mut ahead = bytes.clone();
    let mut digit = || char::from(ahead.next()?).to_digit(16);
    let value = digit()? * 16 + digit()?;
    *bytes = ahead;
    u8::try_from(value).ok()
}
