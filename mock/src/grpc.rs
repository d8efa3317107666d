//! gRPC: unary calls of any service over HTTP/2 without TLS (prior knowledge). The schema is not known: the body of
//! the route is the message as it is sent, and the message of the call is not read unless the body depends on it.
//!
//! Faults of a connection (no answer, random data, a reset) end all calls of that connection, as they would in a
//! real service, and as in HTTP/2 of `http`.

mod call;
mod status;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use http::{Request as HttpRequest, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::connection::{Ending, PATIENCE, Transport, finish};
use crate::endpoint::{Answer, Endpoint, Request};
use crate::lent;
use call::{Message, Refusal};
use status::{DEADLINE_EXCEEDED, INTERNAL, Reply, Status, UNAVAILABLE, UNIMPLEMENTED};

/// Most calls of a connection at a time. Clients wait with further calls; most servers allow 100 or more.
const MOST_CALLS: u32 = 256;

/// Largest headers of a call in bytes.
const LARGEST_HEADERS: u32 = 16 * 1024;

/// Bytes of a response that are kept until its client can receive them.
const SEND_BUFFER: usize = 64 * 1024;

/// Bytes of a call that a client may send before they are read.
const WINDOW: u32 = 64 * 1024;

/// Serves one accepted connection until it ends, or `stop` is cancelled and its calls have ended.
///
/// An error concerns this connection only: its client went away, did not read or write in time, or does not speak
/// HTTP/2.
pub async fn serve(stream: TcpStream, endpoint: Arc<Endpoint>, stop: CancellationToken) -> io::Result<()> {
    converse(stream, endpoint, stop).await
}

async fn converse<S>(mut stream: S, endpoint: Arc<Endpoint>, stop: CancellationToken) -> io::Result<()>
where
    S: Transport + 'static,
{
    let preface = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        received = timeout(PATIENCE, lent::preface(&mut stream)) => received,
    };
    let Ok(Some(first)) = preface.unwrap_or(Ok(None)) else {
        return finish(stream, Ending::Close, &stop).await;
    };
    let (lent, borrowed) = lent::lend(stream, first);
    let calls = Calls::new(endpoint, stop.clone());
    let service = {
        let calls = calls.clone();
        service_fn(move |request| {
            let calls = calls.clone();
            async move { Ok::<_, Infallible>(calls.response(request).await) }
        })
    };
    {
        let connection = builder().serve_connection(TokioIo::new(borrowed), service);
        let mut connection = pin!(connection);
        let mut is_stopped = false;
        loop {
            tokio::select! {
                // A client may leave at once when it is told that the mock stops.
                served = connection.as_mut() => return served.or_else(|error| {
                    if is_stopped { Ok(()) } else { Err(io::Error::other(error)) }
                }),
                () = calls.ended.cancelled() => break,
                () = stop.cancelled(), if !is_stopped => {
                    connection.as_mut().graceful_shutdown();
                    is_stopped = true;
                }
            }
        }
    }
    // HTTP/2 has been dropped, so that nothing else is written.
    let ending = calls.ending.get().cloned().unwrap_or(Ending::Close);
    match lent.take_back() {
        Some(stream) => finish(stream, ending, &stop).await,
        None => Ok(()),
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        // A client that is gone is noticed by its missing answer.
        .keep_alive_interval(PATIENCE)
        .keep_alive_timeout(PATIENCE)
        .max_concurrent_streams(MOST_CALLS)
        .max_header_list_size(LARGEST_HEADERS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 4)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// Why a call has no response.
enum Unanswered {
    Refused(Refusal),
    /// The connection ends.
    Ended(Ending),
    /// There is no answer.
    Never,
}

impl From<Status> for Unanswered {
    fn from(status: Status) -> Self {
        Self::Refused(Refusal::Status(status))
    }
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The calls of a connection.
#[derive(Clone)]
struct Calls {
    endpoint: Arc<Endpoint>,
    stop: CancellationToken,
    /// Bytes of the messages that are kept.
    kept: Arc<AtomicUsize>,
    /// How the connection ends, if a fault decided it.
    ending: Arc<OnceLock<Ending>>,
    ended: CancellationToken,
}

impl Calls {
    fn new(endpoint: Arc<Endpoint>, stop: CancellationToken) -> Self {
        Self {
            endpoint,
            stop,
            kept: Arc::default(),
            ending: Arc::default(),
            ended: CancellationToken::new(),
        }
    }

    /// The response to a call. If there is none, it waits until the call or the connection ends.
    async fn response(&self, request: HttpRequest<Incoming>) -> Response<Reply> {
        match self.call(request).await {
            Ok(response) => response,
            Err(Unanswered::Refused(Refusal::Http(status))) => status::refused(status),
            Err(Unanswered::Refused(Refusal::Status(status))) => status.response(),
            Err(Unanswered::Never) => {
                // Else a call without an answer would hold up the stop.
                self.stop.cancelled().await;
                Status::new(UNAVAILABLE, "the mock stops").response()
            }
            Err(Unanswered::Ended(ending)) => {
                // The first fault decides.
                let _ = self.ending.set(ending);
                self.ended.cancel();
                pending().await
            }
        }
    }

    async fn call(&self, request: HttpRequest<Incoming>) -> Result<Response<Reply>, Unanswered> {
        let begun = Instant::now();
        let (parts, body) = request.into_parts();
        let head = call::head(&parts.method, &parts.headers)?;
        if let Some(service) = call::reflection(parts.uri.path()) {
            return Err(Status::new(UNIMPLEMENTED, format!("unknown service {service}")).into());
        }
        let answer = async {
            let receive = Message::receive(body, self.endpoint.needs_body(), &self.kept);
            let message = timeout(PATIENCE, receive)
                .await
                .map_err(|_| Status::new(DEADLINE_EXCEEDED, "the message of the call did not arrive"))??;
            let request = Request {
                method: "POST",
                path: parts.uri.path(),
                body: message.bytes(),
            };
            Ok::<_, Status>(self.endpoint.answer(&request).await)
        };
        let answer = match head.timeout.and_then(|limit| begun.checked_add(limit)) {
            // The worker is free again when the deadline has passed, as a server cancels such a call.
            Some(deadline) => timeout_at(deadline, answer)
                .await
                .map_err(|_| Status::new(DEADLINE_EXCEEDED, "the deadline of the call has passed"))??,
            None => answer.await?,
        };
        match answer {
            Answer::Body {
                bytes,
                status: None | Some(0),
                ..
            } => Ok(status::message(&bytes, head.content_type)),
            Answer::Body {
                status: Some(code), ..
            } => Err(Status::new(code, "").into()),
            Answer::Error { status, message, .. } => {
                Err(Status::new(status.unwrap_or(INTERNAL), message).into())
            }
            Answer::Overloaded => {
                Err(Status::new(UNAVAILABLE, "the server is overloaded: its queue is full").into())
            }
            Answer::Never => Err(Unanswered::Never),
            ending => Err(Unanswered::Ended(Ending::from(ending))),
        }
    }
}
