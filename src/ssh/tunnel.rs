//! A channel as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use russh::client::Msg;
use russh::{Channel, ChannelStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;

use super::channel::Inner;
use super::error::SshError;
use super::request::ByteStream;

/// Wraps a channel that carries a connection.
pub(super) fn stream(_session: &Arc<Inner>, channel: Channel<Msg>) -> Result<ByteStream, SshError> {
    let runtime = Handle::try_current().map_err(|error| SshError::Other(error.to_string()))?;
    Ok(Box::new(Tunnel {
        stream: Some(channel.into_stream()),
        runtime,
    }))
}

/// russh spawns a task to close the channel when its stream is dropped, which panics outside a
/// runtime. Streams may be dropped on other threads, so the runtime's handle is kept here.
struct Tunnel {
    stream: Option<ChannelStream<Msg>>,
    runtime: Handle,
}

impl Tunnel {
    fn stream(self: Pin<&mut Self>) -> io::Result<Pin<&mut ChannelStream<Msg>>> {
        let stream = self.get_mut().stream.as_mut();
        stream
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        drop(self.stream.take());
    }
}
