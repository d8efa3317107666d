//! Divides a stream of HTTP/1.x messages into heads and ends of bodies, without keeping bodies.

use std::time::Duration;

use super::NotUnderstood;

/// Most bytes of a head, and of the trailers.
const MAX_HEAD: usize = 64 * 1024;

/// Most bytes of the line before a chunk.
const MAX_LINE: usize = 4 * 1024;

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, and perhaps trailers.
    Chunked,
    /// Everything until the connection is closed.
    UntilClose,
}

/// Something that was found in the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A head, with the empty line. [`Messages::body`] must follow.
    Head(Vec<u8>),
    /// The end of a message whose body had so many bytes.
    End(u64),
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// Bytes of the body that are still to come.
    Length(u64),
    ChunkSize,
    /// Bytes of a chunk that are still to come, with the line break after it.
    Chunk(u64),
    Trailer,
    UntilClose,
    Complete,
}

/// The messages of one direction.
#[derive(Debug, Default)]
pub(super) struct Messages {
    state: State,
    /// A head, or a line, of which the end is missing.
    partial: Vec<u8>,
    /// Bytes of the trailers.
    trailers: usize,
    /// Bytes of the body so far.
    size: u64,
    begun: Duration,
}

impl Messages {
    /// The next event in `rest`, which then begins after it. `None`: more bytes are needed.
    pub(super) fn next(&mut self, rest: &mut &[u8], now: Duration) -> Result<Option<Event>, NotUnderstood> {
        loop {
            match self.state {
                State::Complete => {
                    self.state = State::Head;
                    return Ok(Some(Event::End(std::mem::take(&mut self.size))));
                }
                State::Head => return Ok(self.head(rest, now)?.map(Event::Head)),
                State::Length(0) => self.state = State::Complete,
                State::Chunk(0) => self.state = State::ChunkSize,
                State::Length(left) => {
                    let Some(taken) = take(rest, left) else {
                        return Ok(None);
                    };
                    self.size = self.size.saturating_add(taken);
                    self.state = State::Length(left - taken);
                }
                State::Chunk(left) => {
                    let Some(taken) = take(rest, left) else {
                        return Ok(None);
                    };
                    self.state = State::Chunk(left - taken);
                }
                State::UntilClose => {
                    let Some(taken) = take(rest, u64::MAX) else {
                        return Ok(None);
                    };
                    self.size = self.size.saturating_add(taken);
                }
                State::ChunkSize => {
                    let Some(line) = self.line(rest)? else {
                        return Ok(None);
                    };
                    let size = chunk_size(&line)?;
                    self.size = self.size.saturating_add(size);
                    self.trailers = 0;
                    self.state = match size {
                        0 => State::Trailer,
                        // `chunk_size` leaves room for the line break.
                        size => State::Chunk(size + 2),
                    };
                }
                State::Trailer => {
                    let Some(line) = self.line(rest)? else {
                        return Ok(None);
                    };
                    self.trailers += line.len();
                    if line.is_empty() {
                        self.state = State::Complete;
                    } else if self.trailers > MAX_HEAD {
                        return Err(NotUnderstood);
                    }
                }
            }
        }
    }

    /// How the body of the head that was just found is framed.
    pub(super) fn body(&mut self, framing: Framing) {
        self.state = match framing {
            Framing::None => State::Complete,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
    }

    /// When the first byte of the last head arrived.
    pub(super) fn begun(&self) -> Duration {
        self.begun
    }

    /// Whether no message is being read.
    pub(super) fn is_between(&self) -> bool {
        self.state == State::Head && self.partial.is_empty()
    }

    /// The connection was closed: the size of a body that ends with it.
    pub(super) fn closed(&mut self) -> Option<u64> {
        (self.state == State::UntilClose).then(|| {
            self.state = State::Head;
            std::mem::take(&mut self.size)
        })
    }

    fn head(&mut self, rest: &mut &[u8], now: Duration) -> Result<Option<Vec<u8>>, NotUnderstood> {
        if self.partial.is_empty() {
            // Empty lines before a message are allowed (RFC 9112, section 2.2).
            let breaks = rest
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            *rest = &rest[breaks..];
            if rest.is_empty() {
                return Ok(None);
            }
            self.begun = now;
        }
        let before = self.partial.len();
        let room = MAX_HEAD.saturating_sub(before).min(rest.len());
        self.partial.extend_from_slice(&rest[..room]);
        let Some(end) = end_of_head(&self.partial, before.saturating_sub(2)) else {
            *rest = &rest[room..];
            // There may be more of the same read than there is room for.
            return if self.partial.len() >= MAX_HEAD {
                Err(NotUnderstood)
            } else {
                Ok(None)
            };
        };
        *rest = &rest[end.saturating_sub(before)..];
        self.partial.truncate(end);
        Ok(Some(std::mem::take(&mut self.partial)))
    }

    /// The next line, without its end.
    fn line(&mut self, rest: &mut &[u8]) -> Result<Option<Vec<u8>>, NotUnderstood> {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let part = &rest[..end.map_or(rest.len(), |end| end + 1)];
        if self.partial.len() + part.len() > MAX_LINE {
            return Err(NotUnderstood);
        }
        self.partial.extend_from_slice(part);
        *rest = &rest[part.len()..];
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.partial);
        while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            line.pop();
        }
        Ok(Some(line))
    }
}

/// Takes up to so many bytes; `None` if there are none.
fn take(rest: &mut &[u8], most: u64) -> Option<u64> {
    if rest.is_empty() {
        return None;
    }
    let count = usize::try_from(most).unwrap_or(usize::MAX).min(rest.len());
    *rest = &rest[count..];
    Some(count as u64)
}

/// The place after the empty line that ends a head, looked for from a line break at or after `from`.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find_map(|at| match bytes.get(at..)? {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// The size of a chunk; what follows `;` is an extension.
fn chunk_size(line: &[u8]) -> Result<u64, NotUnderstood> {
    let text = std::str::from_utf8(line).map_err(|_| NotUnderstood)?;
    let digits = text.split(';').next().unwrap_or_default().trim();
    // Not more than 2^56, so that nothing overflows. `from_str_radix` alone accepts a sign.
    if digits.len() > 14 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(NotUnderstood);
    }
    u64::from_str_radix(digits, 16).map_err(|_| NotUnderstood)
}
