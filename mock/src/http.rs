//! HTTP/1.1, and HTTP/2 without TLS for clients that begin with it (prior knowledge: RFC 9113, section 3.3).

mod body;
mod respond;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::connection::{Ending, finish};
use crate::endpoint::{Answer, Endpoint};
use crate::lent::lend;
use respond::{Shared, respond};

/// How long a client may be idle, and how long it may take for the head of a request: `keepalive_timeout` of nginx.
const IDLE: Duration = Duration::from_secs(75);
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The most fields of a head.
const MAX_FIELDS: usize = 100;
/// Requests at a time on a connection of HTTP/2: the least that RFC 9113, section 5.1.2, recommends.
const MAX_STREAMS: u32 = 100;
/// Bytes of a request of HTTP/2 that a client may send before they are read.
const WINDOW: u32 = 64 * 1024;
/// How long a client of HTTP/2 may take for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// The first bytes of a connection of HTTP/2. The whole preface is checked later.
const PREFACE: &[u8; 4] = b"PRI ";
/// The pause after the beginning of a preface, because a peek does not wait for more bytes.
const PEEK_PAUSE: Duration = Duration::from_millis(1);

/// The version that a client begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Serves one accepted connection until it ends or `stop` is cancelled.
pub async fn serve(stream: TcpStream, endpoint: Arc<Endpoint>, stop: CancellationToken) -> io::Result<()> {
    let version = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        version = timeout(IDLE, version(&stream)) => version??,
    };
    let Some(version) = version else {
        return Ok(());
    };
    let shared = Shared {
        endpoint,
        stop: stop.clone(),
        ending: Arc::new(OnceLock::new()),
        ended: CancellationToken::new(),
    };
    match version {
        Version::One => Box::pin(one(stream, shared, stop)).await,
        Version::Two => Box::pin(two(stream, shared, stop)).await,
    }
}

/// The version of a client by its first bytes, which stay unread; `None` if it left without any.
async fn version(stream: &TcpStream) -> io::Result<Option<Version>> {
    let mut start = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut start).await?;
        if length == 0 {
            return Ok(None);
        }
        if !PREFACE.starts_with(&start[..length]) {
            return Ok(Some(Version::One));
        }
        if length == PREFACE.len() {
            return Ok(Some(Version::Two));
        }
        sleep(PEEK_PAUSE).await;
    }
}

async fn one(stream: TcpStream, shared: Shared, stop: CancellationToken) -> io::Result<()> {
    let ending = Arc::clone(&shared.ending);
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_headers(MAX_FIELDS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| respond(request, shared.clone())),
        );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    // An ending that is no answer is an error of the service, after which hyper leaves the connection alone.
    match ending.get() {
        Some(answer) => {
            let stream = connection.into_parts().io.into_inner();
            finish(stream, Ending::from(answer.clone()), &stop).await
        }
        None => ended.map_err(io::Error::other),
    }
}

/// As in HTTP/1.1, an ending is that of the connection, with all requests that are on it.
async fn two(stream: TcpStream, shared: Shared, stop: CancellationToken) -> io::Result<()> {
    let (ending, ended) = (Arc::clone(&shared.ending), shared.ended.clone());
    let (lent, borrowed) = lend(stream, BytesMut::new());
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4)
        .max_send_buf_size(WINDOW as usize)
        .keep_alive_interval(IDLE)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(
            TokioIo::new(borrowed),
            service_fn(move |request| respond(request, shared.clone())),
        );
    {
        let mut connection = pin!(connection);
        let mut is_stopped = false;
        loop {
            tokio::select! {
                served = connection.as_mut() => return served.map_err(io::Error::other),
                () = ended.cancelled() => break,
                () = stop.cancelled(), if !is_stopped => {
                    connection.as_mut().graceful_shutdown();
                    is_stopped = true;
                }
            }
        }
    }
    // HTTP/2 has been dropped, so that nothing else is written.
    let ending = ending.get().cloned().unwrap_or(Answer::Close);
    match lent.take_back() {
        Some(stream) => finish(stream, Ending::from(ending), &stop).await,
        None => Ok(()),
    }
}

/// Whether an answer is sent as a response, or ends the connection.
fn is_response(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Body { .. } | Answer::Error { .. } | Answer::Overloaded
    )
}
