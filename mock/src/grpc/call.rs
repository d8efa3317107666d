//! What a call sends: its headers, its deadline and its message. All of it is checked and bounded.
//!
//! Source: "gRPC over HTTP2" of the documentation of gRPC.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

use super::status::{CANCELLED, INTERNAL, RESOURCE_EXHAUSTED, Status, UNIMPLEMENTED};

/// Largest message in bytes: the default of gRPC.
pub(super) const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// Most bytes of messages that all calls of a connection keep at a time.
pub(super) const MOST_KEPT: usize = 16 * 1024 * 1024;

/// Why a call is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no call of gRPC.
    Http(StatusCode),
    /// With a status.
    Status(Status),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// What the headers of a call say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The media type, which the response has too.
    pub(super) content_type: HeaderValue,
    /// How long the client waits.
    pub(super) timeout: Option<Duration>,
}

/// Reads the headers of a call.
pub(super) fn head(method: &Method, headers: &HeaderMap) -> Result<Head, Refusal> {
    if method != Method::POST {
        return Err(Refusal::Http(StatusCode::METHOD_NOT_ALLOWED));
    }
    let content_type = headers
        .get(CONTENT_TYPE)
        .filter(|value| is_grpc(value.as_bytes()));
    let Some(content_type) = content_type else {
        return Err(Refusal::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    };
    if let Some(encoding) = headers
        .get("grpc-encoding")
        .filter(|encoding| *encoding != "identity")
    {
        let encoding = encoding.as_bytes().escape_ascii();
        let message = format!("the mock does not decompress `{encoding}`");
        return Err(Status::new(UNIMPLEMENTED, message).into());
    }
    let timeout = match headers.get("grpc-timeout") {
        None => None,
        Some(value) => {
            let timeout = value.to_str().ok().and_then(timeout);
            Some(timeout.ok_or_else(|| Status::new(INTERNAL, "malformed grpc-timeout"))?)
        }
    };
    Ok(Head {
        content_type: content_type.clone(),
        timeout,
    })
}

/// The service of a call that asks for the schema. It is a stream that the client keeps open until it is answered, so
/// that a mock of unary calls would wait for its end.
pub(super) fn reflection(path: &str) -> Option<&str> {
    let (service, _) = path.strip_prefix('/')?.split_once('/')?;
    let version = service.strip_prefix("grpc.reflection.")?;
    matches!(version, "v1.ServerReflection" | "v1alpha.ServerReflection").then_some(service)
}

/// `application/grpc`, also with a message format (`+proto`) or parameters.
fn is_grpc(value: &[u8]) -> bool {
    let rest = value.strip_prefix(b"application/grpc".as_slice());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// A number of at most 8 digits with its unit.
fn timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u32 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_hours(1) * number,
        'M' => Duration::from_mins(1) * number,
        'S' => Duration::from_secs(1) * number,
        'm' => Duration::from_millis(1) * number,
        'u' => Duration::from_micros(1) * number,
        'n' => Duration::from_nanos(1) * number,
        _ => return None,
    })
}

/// The message of a call.
#[derive(Debug)]
pub(super) struct Message {
    bytes: BytesMut,
    total: Arc<AtomicUsize>,
    counted: usize,
}

impl Message {
    /// The bytes, or none if they were not kept.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Receives the only message of a call, and keeps it if `keeps`. `total` counts the bytes of all calls of the
    /// connection that are kept.
    pub(super) async fn receive<B>(mut body: B, keeps: bool, total: &Arc<AtomicUsize>) -> Result<Self, Status>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (bytes, total) = (BytesMut::new(), Arc::clone(total));
        let mut message = Self {
            bytes,
            total,
            counted: 0,
        };
        let (mut head, mut left) = (BytesMut::new(), None);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Err(Status::new(CANCELLED, "the client gave up"));
            };
            let Ok(mut data) = frame.into_data() else {
                continue;
            };
            let mut rest = if let Some(rest) = left {
                rest
            } else {
                let missing = (5 - head.len()).min(data.len());
                head.extend_from_slice(&data.split_to(missing));
                let Some(start) = head.first_chunk::<5>() else {
                    continue;
                };
                length(*start)?
            };
            if data.len() > rest {
                return Err(Status::new(UNIMPLEMENTED, "the mock serves unary calls only"));
            }
            rest -= data.len();
            left = Some(rest);
            if keeps {
                message.keep(&data)?;
            }
        }
        match left {
            Some(0) => Ok(message),
            Some(_) => Err(Status::new(INTERNAL, "the message is incomplete")),
            None => Err(Status::new(INTERNAL, "the call has no message")),
        }
    }

    fn keep(&mut self, data: &[u8]) -> Result<(), Status> {
        let before = self.total.fetch_add(data.len(), Ordering::Relaxed);
        self.counted += data.len();
        if before + data.len() > MOST_KEPT {
            return Err(Status::new(
                RESOURCE_EXHAUSTED,
                "too many large messages at a time for the mock",
            ));
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.total.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// The length of a message from what precedes it.
fn length([compressed, length @ ..]: [u8; 5]) -> Result<usize, Status> {
    let length = u32::from_be_bytes(length) as usize;
    match compressed {
        0 if length > LARGEST_MESSAGE => {
            let message = format!("received message larger than max ({length} vs. {LARGEST_MESSAGE})");
            Err(Status::new(RESOURCE_EXHAUSTED, message))
        }
        0 => Ok(length),
        1 => Err(Status::new(
            INTERNAL,
            "a message is compressed, and grpc-encoding is absent or `identity`",
        )),
        _ => Err(Status::new(INTERNAL, "a message does not begin with 0 or 1")),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|&(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        pairs.collect()
    }

    async fn receive(
        bytes: &[u8],
        size: usize,
        keeps: bool,
        total: &Arc<AtomicUsize>,
    ) -> Result<Message, Status> {
        let frames = bytes
            .chunks(size)
            .map(|part| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(part))));
        let frames: Vec<_> = frames.collect();
        Message::receive(StreamBody::new(stream::iter(frames)), keeps, total).await
    }

    #[test]
    fn a_timeout_is_a_number_with_its_unit() {
        for (text, nanoseconds) in [
            ("1H", 3_600_000_000_000),
            ("2M", 120_000_000_000),
            ("3S", 3_000_000_000),
            ("100m", 100_000_000),
            ("5u", 5000),
            ("7n", 7),
        ] {
            assert_eq!(
                timeout(text).map(|time| time.as_nanos()),
                Some(nanoseconds),
                "{text}"
            );
        }
        assert_eq!(
            timeout("99999999H").map(|time| time.as_secs()),
            Some(99_999_999 * 3600)
        );
        for text in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            "123456789S",
            "1é",
            " 1S",
        ] {
            assert_eq!(timeout(text), None, "{text}");
        }
    }

    #[test]
    fn headers_of_other_protocols_and_compression_are_refused() {
        let good = [
            ("content-type", "application/grpc+proto"),
            ("grpc-encoding", "identity"),
            ("grpc-timeout", "1S"),
        ];
        let read = head(&Method::POST, &headers(&good)).unwrap();
        assert_eq!(read.content_type, "application/grpc+proto");
        assert_eq!(read.timeout, Some(Duration::from_secs(1)));
        assert_eq!(
            head(&Method::GET, &headers(&good)),
            Err(Refusal::Http(StatusCode::METHOD_NOT_ALLOWED))
        );
        for bad in [
            &[][..],
            &[("content-type", "application/json")],
            &[("content-type", "application/grpc-web")],
        ] {
            let refused = Err(Refusal::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE));
            assert_eq!(head(&Method::POST, &headers(bad)), refused);
        }
        for (name, value, code) in [
            ("grpc-encoding", "gzip", UNIMPLEMENTED),
            ("grpc-timeout", "soon", INTERNAL),
        ] {
            let refused = head(
                &Method::POST,
                &headers(&[("content-type", "application/grpc"), (name, value)]),
            );
            assert!(
                matches!(refused, Err(Refusal::Status(status)) if status.code == code),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn a_message_is_read_wherever_it_is_cut() {
        let total = Arc::default();
        let bytes = b"\0\0\0\0\x05hello";
        for size in 1..=bytes.len() {
            let message = receive(bytes, size, true, &total).await.unwrap();
            assert_eq!(message.bytes(), b"hello");
            assert_eq!(total.load(Ordering::Relaxed), 5);
            drop(message);
            assert_eq!(receive(bytes, size, false, &total).await.unwrap().bytes(), b"");
        }
        assert_eq!(
            receive(b"\0\0\0\0\0", 5, true, &total).await.unwrap().bytes(),
            b""
        );
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_is_no_unary_message_is_refused() {
        let total = Arc::default();
        for (bytes, code) in [
            (&b""[..], INTERNAL),
            (b"\0\0\0", INTERNAL),
            (b"\0\0\0\0\x05hell", INTERNAL),
            (b"\x01\0\0\0\x05hello", INTERNAL),
            (b"\x07\0\0\0\0", INTERNAL),
            (b"\0\0\0\0\x01a\0\0\0\0\x01b", UNIMPLEMENTED),
            (b"\0\0\x40\0\x01", RESOURCE_EXHAUSTED),
            (b"\0\xff\xff\xff\xff", RESOURCE_EXHAUSTED),
        ] {
            for size in [1, 64] {
                let refused = receive(bytes, size, true, &total).await.unwrap_err();
                assert_eq!(
                    refused.code,
                    code,
                    "{}: {}",
                    bytes.escape_ascii(),
                    refused.message
                );
            }
        }
    }

    #[tokio::test]
    async fn the_messages_of_a_connection_have_a_largest_size() {
        let total = Arc::new(AtomicUsize::new(MOST_KEPT - 4));
        let refused = receive(b"\0\0\0\0\x05hello", 64, true, &total).await.unwrap_err();
        assert_eq!(refused.code, RESOURCE_EXHAUSTED);
        assert_eq!(total.load(Ordering::Relaxed), MOST_KEPT - 4);
        assert!(receive(b"\0\0\0\0\x05hello", 64, false, &total).await.is_ok());
    }
}
