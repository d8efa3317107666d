//! Forwards both directions of a connection, and shows the bytes to what records them.

use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use super::watch::{Clock, Watch};
use super::writer::Writer;

/// Bytes of the buffer of each direction.
const BUFFER: usize = 8 * 1024;

/// What records a connection.
pub(super) struct Recorder<'a> {
    clock: &'a Clock,
    writer: &'a Writer,
    state: Mutex<State>,
}

struct State {
    /// `None` once the connection is not understood.
    watch: Option<Box<dyn Watch>>,
    ended_by_service: Option<bool>,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToService,
    ToClient,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(watch: Box<dyn Watch>, clock: &'a Clock, writer: &'a Writer) -> Self {
        Self {
            clock,
            writer,
            state: Mutex::new(State {
                watch: Some(watch),
                ended_by_service: None,
            }),
        }
    }

    fn see(&self, direction: Direction, bytes: &[u8]) {
        let now = self.clock.now();
        let mut seen = Vec::new();
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(watch) = &mut state.watch else {
                return;
            };
            let understood = match direction {
                Direction::ToService => watch.request(bytes, now),
                Direction::ToClient => watch.answer(bytes, now, &mut seen),
            };
            if understood.is_err() {
                state.watch = None;
            }
        }
        for seen in seen {
            self.writer.send(self.clock.line(seen));
        }
    }

    /// A direction has ended. Only the first end is of interest.
    fn ended(&self, direction: Direction) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended_by_service.is_none() {
            state.ended_by_service = Some(direction == Direction::ToClient);
        }
    }

    /// The connection has ended; returns whether all of it was understood.
    pub(super) fn finish(self) -> bool {
        let now = self.clock.now();
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(mut watch) = state.watch else {
            return false;
        };
        let mut seen = Vec::new();
        watch.end(now, state.ended_by_service.unwrap_or(false), &mut seen);
        for seen in seen {
            self.writer.send(self.clock.line(seen));
        }
        true
    }
}

/// Forwards until both directions have ended, or one has failed.
pub(super) async fn forward<C, S>(client: C, service: S, recorder: &Recorder<'_>)
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let (from_client, to_client) = split(client);
    let (from_service, to_service) = split(service);
    // Two futures, because a service that does not read before its answer is taken must not block both directions.
    let requests = copy(from_client, to_service, Direction::ToService, recorder);
    let answers = copy(from_service, to_client, Direction::ToClient, recorder);
    // An error of one direction ends both: the connections are closed when the halves are dropped.
    let _ = tokio::try_join!(requests, answers);
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    recorder: &Recorder<'_>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await;
        let count = match read {
            Ok(count) if count > 0 => count,
            end => {
                recorder.ended(direction);
                end?;
                // The other direction may still have something to send.
                return to.shutdown().await;
            }
        };
        recorder.see(direction, &buffer[..count]);
        to.write_all(&buffer[..count]).await?;
    }
}
