//! Replies in RESP2 and RESP3. Source: the specification of the Redis serialization protocol.

use std::io::{self, Write};

use bytes::{BufMut, Bytes, BytesMut};

use crate::connection::{Connection, Transport};

/// Longest text of an error in bytes.
const LONGEST_ERROR: usize = 1024;

/// The version of the protocol, which a client chooses with HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Version {
    #[default]
    Two,
    Three,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A line.
    Simple(&'static str),
    /// An error with its prefix, such as `ERR text`.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// The absence of a value.
    Null,
    /// The absence of an array, which RESP2 writes in another way.
    NullArray,
    /// Several values.
    Array(Vec<Self>),
    /// A number with a fraction as text; in RESP2 bytes.
    Double(String),
    /// The same bytes several times, as an array.
    Repeated(Bytes, usize),
    /// The same bytes several times, as a set; in RESP2 an array.
    Set(Bytes, usize),
    /// The same bytes with a score, several times: an array of arrays, in RESP2 one array of both.
    Scored(Bytes, String, usize),
    /// Keys and values; in RESP2 an array of both.
    Map(Vec<(Self, Self)>),
    /// A message of a subscription; in RESP2 an array.
    Push(Vec<Self>),
    /// Several replies, one after another.
    Sequence(Vec<Self>),
}

impl Reply {
    /// Bytes.
    pub(super) fn bulk(text: impl Into<Bytes>) -> Self {
        Self::Bulk(text.into())
    }

    /// An error with the general prefix.
    pub(super) fn error(text: impl std::fmt::Display) -> Self {
        Self::Error(format!("ERR {text}"))
    }

    /// Sends the reply, or keeps it in the output for now.
    pub(super) async fn send<S: Transport>(
        &self,
        connection: &mut Connection<S>,
        version: Version,
    ) -> io::Result<()> {
        match self {
            Self::Bulk(bytes) => bulk(connection, bytes).await?,
            Self::Repeated(bytes, count) => {
                head(&mut connection.output, '*', *count);
                for _ in 0..*count {
                    bulk(connection, bytes).await?;
                }
            }
            Self::Set(bytes, count) => {
                head(&mut connection.output, set(version), *count);
                for _ in 0..*count {
                    bulk(connection, bytes).await?;
                }
            }
            Self::Scored(bytes, score, count) => {
                let nested = version == Version::Three;
                let length = if nested { *count } else { 2 * count };
                head(&mut connection.output, '*', length);
                for _ in 0..*count {
                    if nested {
                        head(&mut connection.output, '*', 2);
                    }
                    bulk(connection, bytes).await?;
                    double(&mut connection.output, score, version);
                }
            }
            small => small.put(&mut connection.output, version),
        }
        connection.flush_if_full().await
    }

    fn put(&self, output: &mut BytesMut, version: Version) {
        match self {
            Self::Simple(text) => line(output, '+', text.as_bytes()),
            Self::Error(text) => line(output, '-', text.as_bytes()),
            Self::Integer(number) => head(output, ':', number),
            Self::Bulk(bytes) => {
                head(output, '$', bytes.len());
                output.put_slice(bytes);
                output.put_slice(b"\r\n");
            }
            Self::Null => output.put_slice(match version {
                Version::Two => b"$-1\r\n",
                Version::Three => b"_\r\n",
            }),
            Self::NullArray => output.put_slice(match version {
                Version::Two => b"*-1\r\n",
                Version::Three => b"_\r\n",
            }),
            Self::Array(replies) => {
                head(output, '*', replies.len());
                put_all(replies, output, version);
            }
            Self::Double(text) => double(output, text, version),
            Self::Repeated(bytes, count) => {
                head(output, '*', *count);
                for _ in 0..*count {
                    Self::Bulk(bytes.clone()).put(output, version);
                }
            }
            Self::Set(bytes, count) => {
                head(output, set(version), *count);
                for _ in 0..*count {
                    Self::Bulk(bytes.clone()).put(output, version);
                }
            }
            Self::Scored(bytes, score, count) => {
                let nested = version == Version::Three;
                head(output, '*', if nested { *count } else { 2 * count });
                for _ in 0..*count {
                    if nested {
                        head(output, '*', 2);
                    }
                    Self::Bulk(bytes.clone()).put(output, version);
                    double(output, score, version);
                }
            }
            Self::Map(pairs) => {
                match version {
                    Version::Two => head(output, '*', 2 * pairs.len()),
                    Version::Three => head(output, '%', pairs.len()),
                }
                for (key, value) in pairs {
                    key.put(output, version);
                    value.put(output, version);
                }
            }
            Self::Push(replies) => {
                head(
                    output,
                    if version == Version::Two { '*' } else { '>' },
                    replies.len(),
                );
                put_all(replies, output, version);
            }
            Self::Sequence(replies) => put_all(replies, output, version),
        }
    }
}

fn put_all(replies: &[Reply], output: &mut BytesMut, version: Version) {
    for reply in replies {
        reply.put(output, version);
    }
}

/// Sends bytes with their length. They are not copied if they are many.
async fn bulk<S: Transport>(connection: &mut Connection<S>, bytes: &Bytes) -> io::Result<()> {
    head(&mut connection.output, '$', bytes.len());
    connection.write(bytes).await?;
    connection.write(b"\r\n").await
}

/// The number at the beginning of a value.
pub(super) fn head(output: &mut BytesMut, kind: char, number: impl std::fmt::Display) {
    // Writing to memory does not fail.
    let _ = write!(output.writer(), "{kind}{number}\r\n");
}

/// What a set begins with.
fn set(version: Version) -> char {
    match version {
        Version::Two => '*',
        Version::Three => '~',
    }
}

/// A number with a fraction (`addReplyDouble` in `networking.c` of Redis).
fn double(output: &mut BytesMut, text: &str, version: Version) {
    match version {
        Version::Two => {
            head(output, '$', text.len());
            output.put_slice(text.as_bytes());
            output.put_slice(b"\r\n");
        }
        Version::Three => head(output, ',', text),
    }
}

/// A line. What would end it is replaced.
fn line(output: &mut BytesMut, kind: char, text: &[u8]) {
    output.put_u8(kind as u8);
    let text = &text[..text.len().min(LONGEST_ERROR)];
    output.extend(
        text.iter()
            .map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }),
    );
    output.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, version: Version) -> String {
        let mut output = BytesMut::new();
        reply.put(&mut output, version);
        String::from_utf8(output.to_vec()).unwrap()
    }

    #[test]
    fn replies_are_written_as_the_specification_shows_them() {
        for (reply, two, three) in [
            (Reply::Simple("OK"), "+OK\r\n", "+OK\r\n"),
            (Reply::error("no"), "-ERR no\r\n", "-ERR no\r\n"),
            (Reply::Integer(-3), ":-3\r\n", ":-3\r\n"),
            (Reply::bulk("hello"), "$5\r\nhello\r\n", "$5\r\nhello\r\n"),
            (Reply::bulk(""), "$0\r\n\r\n", "$0\r\n\r\n"),
            (Reply::Null, "$-1\r\n", "_\r\n"),
            (Reply::NullArray, "*-1\r\n", "_\r\n"),
            (
                Reply::Repeated(Bytes::from_static(b"a"), 2),
                "*2\r\n$1\r\na\r\n$1\r\na\r\n",
                "*2\r\n$1\r\na\r\n$1\r\na\r\n",
            ),
            (
                Reply::Map(vec![(Reply::bulk("a"), Reply::Integer(1))]),
                "*2\r\n$1\r\na\r\n:1\r\n",
                "%1\r\n$1\r\na\r\n:1\r\n",
            ),
            (Reply::Double("1.5".to_owned()), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (
                Reply::Set(Bytes::from_static(b"a"), 2),
                "*2\r\n$1\r\na\r\n$1\r\na\r\n",
                "~2\r\n$1\r\na\r\n$1\r\na\r\n",
            ),
            (
                Reply::Scored(Bytes::from_static(b"a"), "2".to_owned(), 2),
                "*4\r\n$1\r\na\r\n$1\r\n2\r\n$1\r\na\r\n$1\r\n2\r\n",
                "*2\r\n*2\r\n$1\r\na\r\n,2\r\n*2\r\n$1\r\na\r\n,2\r\n",
            ),
            (
                Reply::Sequence(vec![Reply::Push(vec![Reply::Null]), Reply::Array(Vec::new())]),
                "*1\r\n$-1\r\n*0\r\n",
                ">1\r\n_\r\n*0\r\n",
            ),
        ] {
            assert_eq!(written(&reply, Version::Two), two);
            assert_eq!(written(&reply, Version::Three), three);
        }
    }

    #[test]
    fn an_error_stays_on_its_line() {
        let error = Reply::error("bad\r\n+OK\r\n");
        assert_eq!(written(&error, Version::Two), "-ERR bad  +OK  \r\n");
        let long = Reply::error("x".repeat(5000));
        assert_eq!(written(&long, Version::Two).len(), LONGEST_ERROR + 3);
    }
}
