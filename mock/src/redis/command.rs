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
                    b'"' | b'\'' => quoted(byte, &mut bytes, &mut word)?,
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

/// Reads to the closing quotation mark. Escapes of letters are for double quotation marks only.
fn quoted(
    quote: u8,
    bytes: &mut Peekable<impl Iterator<Item = u8>>,
    word: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next().ok_or(ProtocolError::Quotes)? {
                b'n' if quote == b'"' => word.push(b'\n'),
                b'r' if quote == b'"' => word.push(b'\r'),
                b't' if quote == b'"' => word.push(b'\t'),
                other => word.push(other),
            },
            end if end == quote => return Ok(()),
            plain => word.push(plain),
        }
    }
    Err(ProtocolError::Quotes)
}
