//! Divides a stream of RESP2 or RESP3 into values, without keeping them.

use super::NotUnderstood;

/// Most bytes of a line, which inline commands are as well.
const MAX_LINE: usize = 64 * 1024;

/// Most bytes of a string: `proto-max-bulk-len` of Redis.
const MAX_STRING: u64 = 512 << 20;

/// Most elements of a list.
const MAX_ELEMENTS: u64 = 1 << 24;

/// Deepest nesting of lists.
const MAX_DEPTH: usize = 32;

/// How much of the first two strings of a command is kept.
const KEPT: usize = 32;

/// Who sends the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Lists of strings, or lines of words.
    Client,
    /// Values of all types.
    Server,
}

/// A value of the top level.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Value {
    /// The character of its type.
    pub(super) kind: u8,
    /// Size of a string; `None` for other types.
    pub(super) size: Option<u64>,
    /// The beginnings of the first two strings of a command.
    pub(super) words: [Vec<u8>; 2],
}

/// The values of one direction.
#[derive(Debug)]
pub(super) struct Values {
    side: Side,
    line: Vec<u8>,
    /// Bytes of a string that are still to come, with the line break after it.
    left: u64,
    /// Elements of each open list that are still to come.
    open: Vec<u64>,
    /// Which word of the command is being read.
    word: usize,
    value: Value,
}

impl Values {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            line: Vec::new(),
            left: 0,
            open: Vec::new(),
            word: 0,
            value: Value::default(),
        }
    }

    /// The next value in `rest`, which then begins after it. `None`: more bytes are needed.
    pub(super) fn next(&mut self, rest: &mut &[u8]) -> Result<Option<Value>, NotUnderstood> {
        loop {
            let is_complete = if self.left > 0 {
                if rest.is_empty() {
                    return Ok(None);
                }
                self.take_string(rest);
                self.left == 0 && self.element_ended()
            } else {
                let Some(line) = self.take_line(rest)? else {
                    return Ok(None);
                };
                self.begin(&line)?
            };
            if is_complete {
                self.word = 0;
                return Ok(Some(std::mem::take(&mut self.value)));
            }
        }
    }

    fn take_string(&mut self, rest: &mut &[u8]) {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
        // The last two bytes are the line break.
        let content = usize::try_from(self.left.saturating_sub(2))
            .unwrap_or(usize::MAX)
            .min(count);
        if self.side == Side::Client
            && let Some(word) = self.value.words.get_mut(self.word)
        {
            let room = KEPT.saturating_sub(word.len()).min(content);
            word.extend_from_slice(&rest[..room]);
        }
        *rest = &rest[count..];
        self.left -= count as u64;
    }

    fn take_line(&mut self, rest: &mut &[u8]) -> Result<Option<Vec<u8>>, NotUnderstood> {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let part = &rest[..end.map_or(rest.len(), |end| end + 1)];
        if self.line.len() + part.len() > MAX_LINE {
            return Err(NotUnderstood);
        }
        self.line.extend_from_slice(part);
        *rest = &rest[part.len()..];
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            line.pop();
        }
        Ok(Some(line))
    }

    /// The line that a value begins with; whether a value of the top level is complete with it.
    fn begin(&mut self, line: &[u8]) -> Result<bool, NotUnderstood> {
        let is_top = self.open.is_empty();
        let Some((kind, text)) = line.split_first() else {
            // An empty line between inline commands.
            return if is_top && self.side == Side::Client {
                Ok(false)
            } else {
                Err(NotUnderstood)
            };
        };
        if self.side == Side::Client && is_top && *kind != b'*' {
            return self.inline(line);
        }
        if self.side == Side::Client && !is_top && *kind != b'$' {
            return Err(NotUnderstood);
        }
        if is_top {
            self.value.kind = *kind;
        }
        match kind {
            b'$' | b'!' | b'=' => match length(text, MAX_STRING)? {
                Some(size) => {
                    self.value.size = is_top.then_some(size);
                    self.left = size + 2;
                    Ok(false)
                }
                None => Ok(self.element_ended()),
            },
            b'*' | b'~' | b'>' | b'%' => {
                let count = length(text, MAX_ELEMENTS)?.unwrap_or(0);
                let count = if *kind == b'%' { count * 2 } else { count };
                if count == 0 {
                    // An empty list of a client gets no answer.
                    let is_nothing = is_top && self.side == Side::Client;
                    return Ok(!is_nothing && self.element_ended());
                }
                if self.open.len() >= MAX_DEPTH {
                    return Err(NotUnderstood);
                }
                self.open.push(count);
                Ok(false)
            }
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Ok(self.element_ended()),
            _ => Err(NotUnderstood),
        }
    }

    /// A command as a line of words.
    fn inline(&mut self, line: &[u8]) -> Result<bool, NotUnderstood> {
        let is_text = line.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
        if !is_text {
            return Err(NotUnderstood);
        }
        let words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let mut has_some = false;
        for (to, word) in self.value.words.iter_mut().zip(words) {
            to.extend_from_slice(&word[..word.len().min(KEPT)]);
            has_some = true;
        }
        Ok(has_some)
    }

    /// An element has ended; whether the value of the top level has ended with it.
    fn element_ended(&mut self) -> bool {
        self.word = self.word.saturating_add(1);
        while let Some(left) = self.open.last_mut() {
            *left = left.saturating_sub(1);
            if *left > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }
}

/// The number after the character of a type; `None` for -1, which stands for nothing.
fn length(text: &[u8], most: u64) -> Result<Option<u64>, NotUnderstood> {
    if text == b"-1" {
        return Ok(None);
    }
    let is_number = !text.is_empty() && text.len() <= 12 && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).map_err(|_| NotUnderstood)?;
    let number: u64 = text.parse().map_err(|_| NotUnderstood)?;
    if is_number && number <= most {
        Ok(Some(number))
    } else {
        Err(NotUnderstood)
    }
}
