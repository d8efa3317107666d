//! Messages of clients. Their lengths and contents are checked before they are used: the decoder of the crate `pgwire`
//! accepts messages of 1 GiB and panics at fields that are missing, so that only its encoder is used.
//!
//! Source: "Message Formats" of the documentation of PostgreSQL.

use bytes::{Buf, Bytes, BytesMut};

use super::error::SqlError;

/// Longest message in bytes, with its length. PostgreSQL accepts 1 GiB.
pub(super) const LONGEST: usize = 1024 * 1024;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Statement,
    Portal,
}

/// A message of a client after the start-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frontend {
    /// A simple query: any number of statements.
    Query(String),
    /// A statement to prepare, with the types of parameters that the client chooses; 0 is none.
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    /// A portal for a prepared statement, with the formats of its result: whether they are binary.
    Bind {
        portal: String,
        statement: String,
        formats: Vec<bool>,
    },
    Describe(Target, String),
    /// Rows of a portal; 0 is all.
    Execute {
        portal: String,
        rows: u32,
    },
    Close(Target, String),
    Sync,
    Flush,
    Terminate,
    /// A function call, which this mock refuses.
    Call,
    /// A password that nobody asked for, or data of a copy that was refused. PostgreSQL ignores the latter.
    Ignored,
}

/// Takes the next message. `None`: more input is needed.
///
/// An error leaves the connection unusable: its client does not follow the protocol.
pub(super) fn next(input: &mut BytesMut) -> Result<Option<Frontend>, SqlError> {
    let Some(head) = input.first_chunk::<5>() else {
        return Ok(None);
    };
    let [kind, length @ ..] = *head;
    let length = u32::from_be_bytes(length) as usize;
    if !(4..=LONGEST).contains(&length) {
        return Err(SqlError::fatal(
            "08P01",
            format!("invalid message length {length}: the mock accepts 4 to {LONGEST}"),
        ));
    }
    if input.len() <= length {
        return Ok(None);
    }
    input.advance(5);
    let body = input.split_to(length - 4).freeze();
    read(kind, body).map(Some)
}

fn read(kind: u8, body: Bytes) -> Result<Frontend, SqlError> {
    let mut fields = Fields(body);
    let read = match kind {
        b'Q' => fields.text().map(Frontend::Query),
        b'P' => parse(&mut fields),
        b'B' => bind(&mut fields),
        b'D' => target(&mut fields).map(|(target, name)| Frontend::Describe(target, name)),
        b'C' => target(&mut fields).map(|(target, name)| Frontend::Close(target, name)),
        b'E' => execute(&mut fields),
        b'S' => Some(Frontend::Sync),
        b'H' => Some(Frontend::Flush),
        b'X' => Some(Frontend::Terminate),
        b'F' => Some(Frontend::Call),
        b'p' | b'd' | b'c' | b'f' => Some(Frontend::Ignored),
        _ => {
            return Err(SqlError::fatal(
                "08P01",
                format!("invalid frontend message type {kind}"),
            ));
        }
    };
    read.ok_or_else(|| SqlError::fatal("08P01", "invalid message format"))
}

fn parse(fields: &mut Fields) -> Option<Frontend> {
    let (name, sql) = (fields.text()?, fields.text()?);
    let count = fields.short()?;
    let types = (0..count).map(|_| fields.int()).collect::<Option<_>>()?;
    Some(Frontend::Parse { name, sql, types })
}

fn bind(fields: &mut Fields) -> Option<Frontend> {
    let (portal, statement) = (fields.text()?, fields.text()?);
    for _ in 0..fields.short()? {
        fields.short()?;
    }
    for _ in 0..fields.short()? {
        // A length of -1 is NULL.
        if let Ok(length) = usize::try_from(fields.int()?.cast_signed()) {
            fields.skip(length)?;
        }
    }
    let count = fields.short()?;
    let formats = (0..count)
        .map(|_| fields.short().map(|format| format == 1))
        .collect::<Option<_>>()?;
    Some(Frontend::Bind {
        portal,
        statement,
        formats,
    })
}

fn execute(fields: &mut Fields) -> Option<Frontend> {
    let portal = fields.text()?;
    // A negative number is no limit either.
    let rows = u32::try_from(fields.int()?.cast_signed()).unwrap_or(0);
    Some(Frontend::Execute { portal, rows })
}

fn target(fields: &mut Fields) -> Option<(Target, String)> {
    let target = match fields.byte()? {
        b'S' => Target::Statement,
        b'P' => Target::Portal,
        _ => return None,
    };
    Some((target, fields.text()?))
}

/// The fields of a message. `None`: the message ends before.
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        self.0.try_get_u16().ok()
    }

    pub(super) fn int(&mut self) -> Option<u32> {
        self.0.try_get_u32().ok()
    }

    /// Text up to a zero byte. What is no UTF-8 is replaced.
    pub(super) fn text(&mut self) -> Option<String> {
        let length = self.0.iter().position(|byte| *byte == 0)?;
        let text = String::from_utf8_lossy(&self.0[..length]).into_owned();
        self.0.advance(length + 1);
        Some(text)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        (length <= self.0.len()).then(|| self.0.advance(length))
    }
}

#[cfg(test)]
mod tests {
    use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Parse};
    use pgwire::messages::simplequery::Query;
    use pgwire::messages::{Message, PgWireFrontendMessage};

    use super::*;

    fn message(kind: u8, body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::from(&[kind][..]);
        bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn messages_of_another_encoder_are_read() {
        let mut input = BytesMut::new();
        Query::new("select 1".to_owned()).encode(&mut input).unwrap();
        Parse::new(Some("s".to_owned()), "select $1".to_owned(), vec![20, 0])
            .encode(&mut input)
            .unwrap();
        let values = vec![Some(Bytes::from_static(b"x")), None];
        let bind = Bind::new(None, Some("s".to_owned()), vec![0, 1], values, vec![1, 0]);
        PgWireFrontendMessage::Bind(bind).encode(&mut input).unwrap();
        Describe::new(b'S', Some("s".to_owned()))
            .encode(&mut input)
            .unwrap();
        Execute::new(None, 5).encode(&mut input).unwrap();
        Close::new(b'P', None).encode(&mut input).unwrap();
        let (none, s) = (String::new, || "s".to_owned());
        for expected in [
            Frontend::Query("select 1".to_owned()),
            Frontend::Parse {
                name: s(),
                sql: "select $1".to_owned(),
                types: vec![20, 0],
            },
            Frontend::Bind {
                portal: none(),
                statement: s(),
                formats: vec![true, false],
            },
            Frontend::Describe(Target::Statement, s()),
            Frontend::Execute {
                portal: none(),
                rows: 5,
            },
            Frontend::Close(Target::Portal, none()),
        ] {
            assert_eq!(next(&mut input).unwrap(), Some(expected));
        }
        assert_eq!(next(&mut input).unwrap(), None);
    }

    #[test]
    fn a_message_is_taken_only_when_it_is_complete() {
        let whole = message(b'Q', b"select 1\0");
        for length in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..length]);
            assert_eq!(next(&mut part).unwrap(), None, "{length}");
            assert_eq!(part.len(), length);
        }
    }

    #[test]
    fn a_length_that_is_impossible_ends_the_connection() {
        for length in [0, 3, 1024 * 1024 + 1, u32::MAX] {
            let mut input = BytesMut::from(&b"Q"[..]);
            input.extend_from_slice(&length.to_be_bytes());
            let error = next(&mut input).unwrap_err();
            assert!(error.is_fatal() && error.code == "08P01", "{length}");
        }
        assert!(next(&mut message(b'?', b"")).unwrap_err().is_fatal());
    }

    #[test]
    fn fields_that_are_missing_are_an_error() {
        for (kind, body) in [
            (b'Q', &b"select"[..]),
            (b'P', b"s\0select\0\0\x02\0\0\0\x01"),
            (b'B', b"\0\0\0\x01"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"),
            (b'B', b"\0\0\0\0\0\0\xff\xff"),
            (b'D', b""),
            (b'D', b"X\0"),
            (b'E', b"\0\0\0"),
            (b'C', b"S"),
        ] {
            let mut input = message(kind, body);
            input.extend_from_slice(b"S\0\0\0\x04");
            let error = next(&mut input).unwrap_err();
            assert_eq!(error.code, "08P01", "{}", body.escape_ascii());
            // What follows is not read as a part of the message.
            assert_eq!(next(&mut input).unwrap(), Some(Frontend::Sync));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_message_makes_the_reader_panic(
            kind in proptest::sample::select(b"QPBDCESHXFpdcf".to_vec()),
            body in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..60),
        ) {
            let _ = next(&mut message(kind, &body));
        }
    }
}
