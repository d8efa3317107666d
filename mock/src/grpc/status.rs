//! Responses of gRPC: a message with its status in trailers, or a status only.
//!
//! Source: "gRPC over HTTP2" and "Status codes and their use in gRPC" of the documentation of gRPC.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};

pub(super) const CANCELLED: u16 = 1;
pub(super) const UNKNOWN: u16 = 2;
pub(super) const DEADLINE_EXCEEDED: u16 = 4;
pub(super) const RESOURCE_EXHAUSTED: u16 = 8;
pub(super) const UNIMPLEMENTED: u16 = 12;
pub(super) const INTERNAL: u16 = 13;
pub(super) const UNAVAILABLE: u16 = 14;

/// The last code that is defined.
const LAST: u16 = 16;

/// Longest text of a status in bytes, before it is encoded.
const LONGEST: usize = 1000;

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// A status other than success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) message: String,
}

impl Status {
    /// A status. What is no code becomes UNKNOWN.
    pub(super) fn new(code: u16, message: impl Into<String>) -> Self {
        let code = if code <= LAST { code } else { UNKNOWN };
        Self {
            code,
            message: message.into(),
        }
    }

    /// The response without a message.
    pub(super) fn response(&self) -> Response<Reply> {
        let mut response = Response::new(Reply::default());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(STATUS, HeaderValue::from(self.code));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(&self.message)) {
            headers.insert(MESSAGE, message);
        }
        if self.code == UNIMPLEMENTED {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        response
    }
}

/// The text of a status as a header: what is not printable ASCII, and `%`, as `%XX`.
fn percent_encoded(message: &str) -> String {
    let mut encoded = String::new();
    for byte in message.bytes().take(LONGEST) {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// The response with a message.
pub(super) fn message(bytes: &[u8], content_type: HeaderValue) -> Response<Reply> {
    // A longer message does not fit into its length; bodies of mocks are smaller.
    let Ok(length) = u32::try_from(bytes.len()) else {
        return Status::new(INTERNAL, "the message is larger than 4 GiB").response();
    };
    let mut framed = BytesMut::with_capacity(5 + bytes.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(bytes);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, HeaderValue::from(0_u16));
    let mut response = Response::new(Reply {
        data: Some(framed.freeze()),
        trailers: Some(trailers),
    });
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// The response to what is no call of gRPC.
pub(super) fn refused(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::default());
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// The body of a response.
#[derive(Debug, Default)]
pub(super) struct Reply {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_status_is_encoded() {
        assert_eq!(
            percent_encoded("50% of\r\nthé queue"),
            "50%25 of%0D%0Ath%C3%A9 queue"
        );
        let response = Status::new(UNAVAILABLE, "a\nb").response();
        assert!(response.body().is_end_stream());
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(response.headers()["grpc-message"], "a%0Ab");
    }

    #[test]
    fn a_code_that_is_none_becomes_unknown() {
        assert_eq!(Status::new(16, "").code, 16);
        assert_eq!(Status::new(503, "").code, UNKNOWN);
    }
}
