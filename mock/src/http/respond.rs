//! One request of HTTP: asks the endpoint for the answer and gives it the form of a response.

use std::future::pending;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio_util::sync::CancellationToken;

use super::body::{Dribble, Refusal, receive};
use super::is_response;
use crate::chunks::Pieces;
use crate::endpoint::{self, Answer, Endpoint};
use crate::spec::Chunks;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What the requests of a connection share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) stop: CancellationToken,
    /// How the connection ends, once an answer is no response.
    pub(super) ending: Arc<OnceLock<Answer>>,
    /// That `ending` is set, for HTTP/2.
    pub(super) ended: CancellationToken,
}

/// The request has no response. It ends the connection of HTTP/1.1, or resets the stream of HTTP/2 unless that ends too.
#[derive(Debug, thiserror::Error)]
#[error("the mock gives no response")]
pub(super) struct NoResponse;

/// Answers a request.
pub(super) async fn respond(
    request: Request<Incoming>,
    shared: Shared,
) -> Result<Response<Dribble>, NoResponse> {
    let (head, body) = request.into_parts();
    let body = match receive(body, shared.endpoint.needs_body()).await {
        Ok(body) => body,
        Err(Refusal::TooLarge) => return Ok(last(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")),
        Err(Refusal::Slow) => return Ok(last(StatusCode::REQUEST_TIMEOUT, "the body does not arrive")),
        Err(Refusal::Broken) => return Err(NoResponse),
    };
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = endpoint::Request {
        method: head.method.as_str(),
        path,
        body: &body,
    };
    let answer = shared.endpoint.answer(&request).await;
    let is_two = head.version == Version::HTTP_2;
    if !is_response(&answer) {
        if answer == Answer::Never && is_two {
            // The other requests of the connection go their way.
            shared.stop.cancelled().await;
        } else if answer == Answer::Never {
            // hyper notices here that the client leaves.
            shared.stop.cancelled().await;
            let _ = shared.ending.set(Answer::Close);
        } else {
            // The first one decides.
            let _ = shared.ending.set(answer);
            if is_two {
                // hyper drops this when the connection has ended.
                shared.ended.cancel();
                pending::<()>().await;
            }
        }
        return Err(NoResponse);
    }
    let response = match answer {
        Answer::Body {
            bytes,
            content_type,
            status,
            chunks,
            ..
        } => {
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            let content_type = HeaderValue::from_str(&content_type).unwrap_or(TEXT);
            response(status.unwrap_or(StatusCode::OK), bytes, content_type, chunks)
        }
        Answer::Error { status, message, .. } => {
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            response(status, Bytes::from(message), TEXT, None)
        }
        _ => response(
            StatusCode::SERVICE_UNAVAILABLE,
            Bytes::from_static(b"overloaded"),
            TEXT,
            None,
        ),
    };
    Ok(if is_two {
        without_body(response, &head.method)
    } else {
        response
    })
}

/// In HTTP/2, hyper sends any body. The response to HEAD has none, and neither have 204 and 304: a client takes them
/// for malformed (RFC 9110, sections 9.3.2, 15.3.5 and 15.4.5; RFC 9113, section 8.1.1).
fn without_body(response: Response<Dribble>, method: &Method) -> Response<Dribble> {
    let has_none = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if *method != Method::HEAD && !has_none {
        return response;
    }
    let (mut head, body) = response.into_parts();
    if !has_none && let Some(length) = body.size_hint().exact() {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(head, Dribble::new(Pieces::default()))
}

fn response(
    status: StatusCode,
    bytes: Bytes,
    content_type: HeaderValue,
    chunks: Option<Chunks>,
) -> Response<Dribble> {
    let mut response = Response::new(Dribble::new(Pieces::new(bytes, chunks)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// A response after which the connection is closed, because a part of the request was not read.
fn last(status: StatusCode, message: &'static str) -> Response<Dribble> {
    let mut response = response(status, Bytes::from_static(message.as_bytes()), TEXT, None);
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
