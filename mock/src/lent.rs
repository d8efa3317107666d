//! The stream below HTTP/2. It can be taken back when a connection is given up, so that a fault decides how it ends.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::connection::Transport;

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Receives the first bytes. `None`: the client does not begin as one of HTTP/2.
pub(crate) async fn preface<S: Transport>(stream: &mut S) -> io::Result<Option<BytesMut>> {
    let mut received = BytesMut::with_capacity(1024);
    while received.len() < PREFACE.len() {
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(None);
        }
        let compared = received.len().min(PREFACE.len());
        if received[..compared] != PREFACE[..compared] {
            return Ok(None);
        }
    }
    Ok(Some(received))
}

/// A stream that was lent to HTTP/2.
pub(crate) struct Lent<S>(Arc<Mutex<Option<S>>>);

impl<S> Lent<S> {
    /// The stream, if it was not taken before. HTTP/2 finds its end from then on.
    pub(crate) fn take_back(&self) -> Option<S> {
        lock(&self.0).take()
    }
}

/// A stream whose first bytes were received before.
pub(crate) struct Borrowed<S> {
    stream: Arc<Mutex<Option<S>>>,
    first: BytesMut,
    is_vectored: bool,
}

/// Lends a stream to HTTP/2.
pub(crate) fn lend<S: Transport>(stream: S, first: BytesMut) -> (Lent<S>, Borrowed<S>) {
    let is_vectored = stream.is_write_vectored();
    let stream = Arc::new(Mutex::new(Some(stream)));
    let lent = Lent(Arc::clone(&stream));
    (
        lent,
        Borrowed {
            stream,
            first,
            is_vectored,
        },
    )
}

/// Only one task uses the stream, so that this does not wait.
fn lock<S>(stream: &Mutex<Option<S>>) -> MutexGuard<'_, Option<S>> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Transport> AsyncRead for Borrowed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..length]);
            self.first.advance(length);
            return Poll::Ready(Ok(()));
        }
        match lock(&self.stream).as_mut() {
            Some(stream) => Pin::new(stream).poll_read(cx, buffer),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl<S: Transport> AsyncWrite for Borrowed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match lock(&self.stream).as_mut() {
            Some(stream) => Pin::new(stream).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match lock(&self.stream).as_mut() {
            Some(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.is_vectored
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match lock(&self.stream).as_mut() {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match lock(&self.stream).as_mut() {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_are_read_again_before_the_rest() {
        let (mut client, mut server) = tokio::io::duplex(64);
        client.write_all(&PREFACE[..10]).await.unwrap();
        let (received, ()) = tokio::join!(preface(&mut server), async {
            client.write_all(&PREFACE[10..]).await.unwrap();
        });
        let first = received.unwrap().unwrap();
        assert!(first.starts_with(PREFACE));
        client.write_all(b"rest").await.unwrap();
        client.shutdown().await.unwrap();
        let (_lent, mut borrowed) = lend(server, first);
        let mut all = Vec::new();
        borrowed.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, [PREFACE, b"rest"].concat());
    }

    #[tokio::test]
    async fn a_client_of_another_protocol_is_recognised_by_its_first_bytes() {
        for first in [&b"G"[..], b"PRI * HTTP/1.1", b"\x16\x03\x01"] {
            let (mut client, mut server) = tokio::io::duplex(64);
            client.write_all(first).await.unwrap();
            assert!(
                preface(&mut server).await.unwrap().is_none(),
                "{}",
                first.escape_ascii()
            );
        }
    }

    #[tokio::test]
    async fn a_stream_that_was_taken_back_has_ended_for_its_borrower() {
        let (_client, server) = tokio::io::duplex(64);
        let (lent, mut borrowed) = lend(server, BytesMut::new());
        assert!(lent.take_back().is_some());
        assert!(lent.take_back().is_none());
        assert_eq!(borrowed.read(&mut [0]).await.unwrap(), 0);
        let error = borrowed.write_all(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
