//! The start-up of a connection: encryption is refused, no password is asked for, any user and database is accepted.
//!
//! Source: "Message Flow" of the documentation of PostgreSQL.

use std::io;

use bytes::{Buf, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::response::{ReadyForQuery, SslResponse, TransactionStatus};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey, Startup,
};
use tokio::time::timeout;

use super::error::SqlError;
use super::frontend::Fields;
use crate::connection::{Connection, Ending, PATIENCE, Transport, Wait};

/// The version that is reported: an old one, so that `psql` does not warn of a server that is newer than itself.
pub(super) const SERVER_VERSION: &str = "14.0";

/// Longest message before the login. `MAX_STARTUP_PACKET_LENGTH` of PostgreSQL.
const LONGEST: usize = 10_000;

/// Requests for encryption that are refused before the connection is closed: one for TLS, one for GSSAPI.
const MOST_REFUSED: usize = 2;

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSSAPI: u32 = 80_877_104;

/// What a client asks for before the login.
#[derive(Debug, PartialEq, Eq)]
enum Hello {
    /// A login with a version of the protocol and parameters.
    Login {
        minor: u16,
        parameters: Vec<(String, String)>,
    },
    /// Encryption.
    Encryption,
    /// The end of a query on another connection.
    Cancel,
}

/// Logs a client in. `None`: the connection is ready for queries.
///
/// A client has as long for all of it as for the rest of a request, as PostgreSQL has by default
/// (`authentication_timeout`).
pub(super) async fn login<S: Transport>(connection: &mut Connection<S>) -> io::Result<Option<Ending>> {
    match timeout(PATIENCE, negotiate(connection)).await {
        Ok(negotiated) => negotiated,
        Err(_) => Ok(Some(Ending::Close)),
    }
}

async fn negotiate<S: Transport>(connection: &mut Connection<S>) -> io::Result<Option<Ending>> {
    let mut refused = 0;
    loop {
        match hello(&mut connection.input) {
            Ok(Some(Hello::Login { minor, parameters })) => {
                accept(&mut connection.output, minor, &parameters)?;
                return Ok(None);
            }
            Ok(Some(Hello::Encryption)) if refused < MOST_REFUSED => {
                refused += 1;
                SslResponse::Refuse.encode(&mut connection.output)?;
                connection.flush().await?;
            }
            // A query that a client gives up runs to its end.
            Ok(Some(Hello::Encryption | Hello::Cancel)) => return Ok(Some(Ending::Close)),
            Ok(None) => {
                // The time is limited by the caller.
                if !connection.receive(Wait::Request).await? {
                    return Ok(Some(Ending::Close));
                }
            }
            Err(error) => {
                error.put(&mut connection.output)?;
                return Ok(Some(Ending::Close));
            }
        }
    }
}

/// Takes the next message before the login. `None`: more input is needed.
fn hello(input: &mut BytesMut) -> Result<Option<Hello>, SqlError> {
    let Some(head) = input.first_chunk::<8>() else {
        return Ok(None);
    };
    let [a, b, c, d, code @ ..] = *head;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if !(8..=LONGEST).contains(&length) {
        return Err(SqlError::fatal("08P01", "invalid length of startup packet"));
    }
    if input.len() < length {
        return Ok(None);
    }
    let code = u32::from_be_bytes(code);
    input.advance(8);
    let mut fields = Fields(input.split_to(length - 8).freeze());
    match code {
        CANCEL => return Ok(Some(Hello::Cancel)),
        TLS | GSSAPI => return Ok(Some(Hello::Encryption)),
        _ => {}
    }
    let (major, minor) = (code >> 16, (code & 0xffff) as u16);
    if major != 3 {
        let message = format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0");
        return Err(SqlError::fatal("0A000", message));
    }
    let mut parameters = Vec::new();
    loop {
        let name = fields.text().ok_or_else(malformed)?;
        if name.is_empty() {
            return Ok(Some(Hello::Login { minor, parameters }));
        }
        parameters.push((name, fields.text().ok_or_else(malformed)?));
    }
}

fn malformed() -> SqlError {
    SqlError::fatal(
        "08P01",
        "invalid startup packet layout: expected terminator as last byte",
    )
}

/// Writes what follows a login without password.
fn accept(output: &mut BytesMut, minor: u16, parameters: &[(String, String)]) -> io::Result<()> {
    let extensions = parameters.iter().filter(|(name, _)| name.starts_with("_pq_."));
    let unknown: Vec<String> = extensions.map(|(name, _)| name.clone()).collect();
    if minor > 0 || !unknown.is_empty() {
        // PostgreSQL sends the whole number where its documentation has the minor one only.
        NegotiateProtocolVersion::new(Startup::PROTOCOL_VERSION_3_0, unknown).encode(output)?;
    }
    Authentication::Ok.encode(output)?;
    let given = |wanted: &str| {
        let found = parameters.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    for (name, value) in [
        ("server_version", SERVER_VERSION.to_owned()),
        ("server_encoding", "UTF8".to_owned()),
        ("client_encoding", "UTF8".to_owned()),
        ("application_name", given("application_name")),
        ("session_authorization", given("user")),
        ("is_superuser", "off".to_owned()),
        ("DateStyle", "ISO, MDY".to_owned()),
        ("IntervalStyle", "postgres".to_owned()),
        // From PostgreSQL 14 on; else libpq asks for them with `target_session_attrs`.
        ("default_transaction_read_only", "off".to_owned()),
        ("in_hot_standby", "off".to_owned()),
        ("TimeZone", "UTC".to_owned()),
        ("integer_datetimes", "on".to_owned()),
        ("standard_conforming_strings", "on".to_owned()),
    ] {
        ParameterStatus::new(name.to_owned(), value).encode(output)?;
    }
    BackendKeyData::new(1, SecretKey::I32(0)).encode(output)?;
    ReadyForQuery::new(TransactionStatus::Idle).encode(output)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use pgwire::messages::cancel::CancelRequest;
    use pgwire::messages::startup::SslRequest;

    use super::*;

    fn startup() -> Startup {
        let mut startup = Startup::new();
        startup.parameters.insert("user".to_owned(), "ann".to_owned());
        startup
    }

    #[test]
    fn messages_of_another_encoder_are_read() {
        let mut input = BytesMut::new();
        SslRequest::new().encode(&mut input).unwrap();
        CancelRequest::new(1, SecretKey::I32(2))
            .encode(&mut input)
            .unwrap();
        startup().encode(&mut input).unwrap();
        let parameters = vec![("user".to_owned(), "ann".to_owned())];
        for expected in [
            Hello::Encryption,
            Hello::Cancel,
            Hello::Login { minor: 0, parameters },
        ] {
            assert_eq!(hello(&mut input).unwrap(), Some(expected));
        }
        assert_eq!(hello(&mut input).unwrap(), None);
    }

    #[test]
    fn what_is_no_startup_is_refused() {
        for (bytes, code) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "08P01"),
            (b"\0\0\0\x07\0\x03\0\0", "08P01"),
            (b"\0\0\0\x08\0\x02\0\0", "0A000"),
            (b"\0\0\0\x0d\0\x03\0\0user\0", "08P01"),
            (b"\0\0\0\x08\0\x03\0\0", "08P01"),
        ] {
            let error = hello(&mut BytesMut::from(bytes)).unwrap_err();
            assert!(error.is_fatal() && error.code == code, "{error}");
        }
    }

    #[test]
    fn a_newer_minor_version_is_negotiated_down() {
        let mut output = BytesMut::new();
        accept(&mut output, 2, &[]).unwrap();
        assert!(output.starts_with(b"v\0\0\0\x0c\0\x03\0\0\0\0\0\0R\0\0\0\x08\0\0\0\0S"));
        let mut output = BytesMut::new();
        accept(&mut output, 0, &[]).unwrap();
        assert!(output.starts_with(b"R"));
        assert!(output.ends_with(b"Z\0\0\0\x05I"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_log_in_is_given_up() {
        let (mut client, server) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut client, b"\0\0\0\x10")
            .await
            .unwrap();
        let mut connection = Connection::new(server);
        assert_eq!(login(&mut connection).await.unwrap(), Some(Ending::Close));
    }
}
