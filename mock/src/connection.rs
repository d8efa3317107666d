//! One connection of a protocol that is answered in order: buffers with bounds, time-outs, and the ways in which a
//! connection ends. It does not depend on a protocol.

use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::endpoint::Answer;

/// How long a client may take for the rest of a request that it has begun, and for reading up to
/// [`FULL`] bytes of an answer. Long enough for a link that loses packets; a client that stays idle between requests
/// is not limited.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// How long what a client still sends is read after the end was sent, so that closing sends no reset.
const LINGER: Duration = Duration::from_secs(1);

/// Output that has allocated more than this is given back when it is sent.
const KEPT: usize = 16 * 1024;

/// Room for the first bytes of a request. It is all that an idle connection has allocated.
const FIRST: usize = 4 * 1024;

/// Room for a further part of a request.
const FURTHER: usize = 16 * 1024;

/// Output is sent as soon as there is as much as this.
pub(crate) const FULL: usize = 64 * 1024;

/// A stream of bytes to a client that can also be reset.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    /// Ends the connection with a reset (RST) in place of an orderly end. What was not sent yet is dropped.
    fn reset(self) -> io::Result<()>;
}

impl Transport for TcpStream {
    fn reset(self) -> io::Result<()> {
        // With a linger time of zero, closing sends a reset.
        self.set_zero_linger()
    }
}

#[cfg(test)]
impl Transport for tokio::io::DuplexStream {
    fn reset(self) -> io::Result<()> {
        Ok(())
    }
}

/// How a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In order, after what was answered so far.
    Close,
    /// In order, after these bytes.
    Random(Bytes),
    /// With a reset.
    Reset,
    /// When the client ends it, or the mock stops. Nothing is sent until then.
    Hold,
}

impl From<Answer> for Ending {
    /// The ending that an answer asks for. An answer that is none has been sent before, so that only closing is left.
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::RandomDataThenClose(bytes) => Self::Random(bytes),
            Answer::Reset => Self::Reset,
            Answer::Never => Self::Hold,
            Answer::Body { .. }
            | Answer::Error { .. }
            | Answer::Overloaded
            | Answer::Close
            | Answer::EmptyResponse => Self::Close,
        }
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A new request, without a limit of time.
    Request,
    /// The rest of a request, for at most [`PATIENCE`] between two parts of it.
    Rest,
}

/// A connection with what was received and not read yet, and what was written and not sent yet.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    stream: S,
    /// Received and not read yet. The reader takes from its beginning.
    pub(crate) input: BytesMut,
    /// Whether `input` may have allocated more than [`FIRST`]. Its capacity does not show what lies before its
    /// beginning.
    grown: bool,
    /// Written and not sent yet.
    pub(crate) output: BytesMut,
}

impl<S: Transport> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            grown: false,
            output: BytesMut::new(),
        }
    }

    /// Receives more into `input`. False: the client has ended the connection.
    pub(crate) async fn receive(&mut self, wait: Wait) -> io::Result<bool> {
        let received = match wait {
            Wait::Request => {
                if self.grown && self.input.is_empty() {
                    self.input = BytesMut::new();
                    self.grown = false;
                }
                self.input.reserve(FIRST);
                self.stream.read_buf(&mut self.input).await?
            }
            Wait::Rest => {
                self.input.reserve(FURTHER);
                self.grown = true;
                let read = self.stream.read_buf(&mut self.input);
                timeout(PATIENCE, read)
                    .await
                    .map_err(|_| late("the rest of a request did not arrive"))??
            }
        };
        Ok(received > 0)
    }

    /// Sends what was written.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        for part in self.output.chunks(FULL) {
            send(&mut self.stream, part).await?;
        }
        self.output.clear();
        if self.output.capacity() > KEPT {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Writes bytes of any number, and sends them as soon as there are many.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.output.len() + bytes.len() <= FULL {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush().await?;
        for part in bytes.chunks(FULL) {
            send(&mut self.stream, part).await?;
        }
        Ok(())
    }

    /// Sends what was written if there is much of it.
    pub(crate) async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.output.len() >= FULL {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Waits for an answer. If it takes time, what was written is sent meanwhile: it answers earlier requests.
    pub(crate) async fn meanwhile<T>(&mut self, answer: impl Future<Output = T>) -> io::Result<T> {
        let mut answer = pin!(answer);
        if let Poll::Ready(answer) = futures::poll!(answer.as_mut()) {
            return Ok(answer);
        }
        let (flushed, answer) = tokio::join!(self.flush(), answer);
        flushed.map(|()| answer)
    }

    /// Ends the connection. What was written before is sent.
    pub(crate) async fn end(mut self, ending: Ending, stop: &CancellationToken) -> io::Result<()> {
        self.flush().await?;
        finish(self.stream, ending, stop).await
    }
}

/// Ends a stream.
pub(crate) async fn finish<S: Transport>(
    mut stream: S,
    ending: Ending,
    stop: &CancellationToken,
) -> io::Result<()> {
    match ending {
        Ending::Close => close(&mut stream).await,
        Ending::Random(bytes) => {
            for part in bytes.chunks(FULL) {
                send(&mut stream, part).await?;
            }
            close(&mut stream).await
        }
        Ending::Reset => stream.reset(),
        Ending::Hold => stop
            .run_until_cancelled(drain(&mut stream))
            .await
            .unwrap_or(Ok(())),
    }
}

/// Drops what the client sends until it ends the connection.
async fn drain<S: Transport>(stream: &mut S) -> io::Result<()> {
    let mut dropped = [0; 1024];
    while stream.read(&mut dropped).await? > 0 {}
    Ok(())
}

async fn send<S: Transport>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, stream.write_all(bytes))
        .await
        .map_err(|_| late("the client did not read an answer"))?
}

/// Sends the end of the stream, then reads what the client still sends: closing a socket with unread input, or input
/// after it, is answered with a reset, which may reach the client before it has read the answer (RFC 9112, section 9.6).
async fn close<S: Transport>(stream: &mut S) -> io::Result<()> {
    match timeout(PATIENCE, stream.shutdown()).await {
        Ok(closed) => closed?,
        Err(_) => return Err(late("the connection did not close")),
    }
    // What the client does now concerns nobody.
    let _ = timeout(LINGER, drain(stream)).await;
    Ok(())
}

fn late(what: &str) -> io::Error {
    let seconds = PATIENCE.as_secs();
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {seconds} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_in_a_request_is_given_up_and_an_idle_one_is_not() {
        let (_client, server) = tokio::io::duplex(64);
        let mut connection = Connection::new(server);
        let idle = timeout(PATIENCE * 100, connection.receive(Wait::Request)).await;
        assert!(idle.is_err());
        let stopped = connection.receive(Wait::Rest).await.unwrap_err();
        assert_eq!(stopped.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let (_client, server) = tokio::io::duplex(64);
        let mut connection = Connection::new(server);
        let stopped = connection.write(&vec![0; 2 * FULL]).await.unwrap_err();
        assert_eq!(stopped.kind(), io::ErrorKind::TimedOut);
        assert_eq!(
            stopped.to_string(),
            "the client did not read an answer within 60 s"
        );
    }

    #[tokio::test]
    async fn what_was_written_is_sent_before_the_end() {
        for (ending, expected) in [
            (Ending::Close, "earlier"),
            (Ending::Random(Bytes::from_static(b"noise")), "earliernoise"),
        ] {
            let (mut client, server) = tokio::io::duplex(1024);
            let mut connection = Connection::new(server);
            client.shutdown().await.unwrap();
            connection.write(b"earlier").await.unwrap();
            connection.end(ending, &CancellationToken::new()).await.unwrap();
            let mut received = String::new();
            client.read_to_string(&mut received).await.unwrap();
            assert_eq!(received, expected);
        }
    }

    #[tokio::test]
    async fn a_held_connection_ends_with_the_client() {
        let (mut client, server) = tokio::io::duplex(64);
        let held = tokio::spawn(async { finish(server, Ending::Hold, &CancellationToken::new()).await });
        client.write_all(&[7; 4096]).await.unwrap();
        assert!(!held.is_finished());
        drop(client);
        held.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_held_connection_ends_when_the_mock_stops() {
        let (_client, server) = tokio::io::duplex(64);
        let stop = CancellationToken::new();
        let (held, ()) = tokio::join!(finish(server, Ending::Hold, &stop), async { stop.cancel() });
        held.unwrap();
    }

    #[tokio::test]
    async fn an_orderly_end_is_no_reset_even_if_the_client_sent_more_than_was_read() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.write_all(b"a request that nobody reads").await.unwrap();
        server.readable().await.unwrap();
        let ended = tokio::spawn(async { finish(server, Ending::Close, &CancellationToken::new()).await });
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        client.write_all(b"and one more").await.unwrap();
        drop(client);
        ended.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_close_is_left_after_a_while() {
        let (_client, server) = tokio::io::duplex(64);
        let begun = tokio::time::Instant::now();
        finish(server, Ending::Close, &CancellationToken::new())
            .await
            .unwrap();
        assert!(begun.elapsed() <= LINGER * 2);
    }

    #[tokio::test]
    async fn a_reset_reaches_the_client_as_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        finish(server, Ending::Reset, &CancellationToken::new())
            .await
            .unwrap();
        let error = client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test(start_paused = true)]
    async fn earlier_answers_are_sent_while_a_later_one_is_waited_for() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut connection = Connection::new(server);
        connection.output.extend_from_slice(b"first");
        let slow = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            7
        };
        let reader = async {
            let mut received = [0; 5];
            client.read_exact(&mut received).await.unwrap();
            received
        };
        let begun = tokio::time::Instant::now();
        let (answer, received) = tokio::join!(connection.meanwhile(slow), async {
            let received = reader.await;
            assert!(begun.elapsed() < Duration::from_secs(5));
            received
        });
        assert_eq!(answer.unwrap(), 7);
        assert_eq!(&received, b"first");
    }

    #[tokio::test]
    async fn large_buffers_are_given_back() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let mut connection = Connection::new(server);
        connection.output.extend_from_slice(&vec![1; 4 * KEPT]);
        connection.flush().await.unwrap();
        assert!(connection.output.capacity() <= KEPT);
        client.write_all(&vec![2; 4 * KEPT]).await.unwrap();
        while connection.input.len() < 4 * KEPT {
            assert!(connection.receive(Wait::Rest).await.unwrap());
        }
        connection.input.clear();
        client.write_all(b"x").await.unwrap();
        assert!(connection.receive(Wait::Request).await.unwrap());
        assert!(connection.input.capacity() <= KEPT);
    }
}
