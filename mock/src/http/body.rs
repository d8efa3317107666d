//! Bodies: that of a response, whole or in pieces, and that of a request, which is mostly dropped.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::chunks::Pieces;

/// The part of a body of a request that a template can use, in bytes.
const KEPT: usize = 64 * 1024;
/// The most bytes of a body of a request. They are not kept, but a request without an end holds a connection.
const MAX_BODY: u64 = 1 << 30;
/// How long a client may send nothing of a body.
const BODY_IDLE: Duration = Duration::from_secs(30);

/// The body of a response in pieces, with a pause before all but the first.
#[derive(Debug)]
pub(super) struct Dribble {
    pieces: Pieces,
    /// When the last pause ends.
    due: Option<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Dribble {
    pub(super) fn new(pieces: Pieces) -> Self {
        Self {
            pieces,
            due: None,
            pause: None,
        }
    }
}

impl Body for Dribble {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(pause) = &mut this.pause {
            ready!(pause.as_mut().poll(context));
            this.pause = None;
        }
        let piece = this.pieces.list.pop_front();
        if !this.pieces.list.is_empty() && !this.pieces.interval.is_zero() {
            // From the first piece on: each pause ends up to 1 ms late, and that must not add up.
            let due = this.due.unwrap_or_else(Instant::now) + this.pieces.interval;
            this.due = Some(due);
            this.pause = Some(Box::pin(sleep_until(due)));
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.list.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let sizes = self.pieces.list.iter().map(|piece| piece.len() as u64);
        match self.pieces.list.len() {
            0 | 1 => SizeHint::with_exact(sizes.sum()),
            // Without a length, HTTP/1.1 sends each piece as a chunk.
            _ => SizeHint::default(),
        }
    }
}

/// Why the body of a request was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has no end in sight.
    TooLarge,
    /// The client sends nothing.
    Slow,
    /// The connection has ended.
    Broken,
}

/// Receives the body of a request, and keeps its beginning if that is wanted.
pub(super) async fn receive(mut body: Incoming, keep: bool) -> Result<Vec<u8>, Refusal> {
    let mut kept = Vec::new();
    let mut length = 0_u64;
    while !body.is_end_stream() {
        let frame = match timeout(BODY_IDLE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(Refusal::Broken),
            Ok(None) => break,
            Err(_) => return Err(Refusal::Slow),
        };
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length = length.saturating_add(data.len() as u64);
        if length > MAX_BODY {
            return Err(Refusal::TooLarge);
        }
        if keep {
            let room = KEPT - kept.len();
            kept.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::spec::{Chunks, Time};

    #[tokio::test(start_paused = true)]
    async fn many_pieces_take_the_time_that_is_written() {
        let chunks = Chunks {
            count: NonZeroU32::new(200).unwrap(),
            duration: Time(Duration::from_millis(50)),
        };
        let mut body = Dribble::new(Pieces::new(Bytes::from(vec![b'x'; 1000]), Some(chunks)));
        let start = Instant::now();
        let mut count = 0;
        while let Some(frame) = body.frame().await {
            assert!(frame.is_ok());
            count += 1;
        }
        let took = start.elapsed();
        assert_eq!(count, 200);
        // Not 200 pauses of at least 1 ms each, which is the step of the timer.
        let wanted = Duration::from_millis(49)..=Duration::from_millis(52);
        assert!(wanted.contains(&took), "{took:?}");
    }
}
