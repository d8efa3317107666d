//! Errors as PostgreSQL reports them.

use std::io;

use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::response::ErrorResponse;

/// Longest text of an error in characters.
const LONGEST: usize = 1000;

/// An error with its SQLSTATE ("PostgreSQL Error Codes" in the documentation of PostgreSQL).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{severity} {code}: {message}")]
pub(super) struct SqlError {
    severity: &'static str,
    /// SQLSTATE: five digits and capital letters.
    pub(super) code: String,
    pub(super) message: String,
}

impl SqlError {
    /// An error of a statement. What is no SQLSTATE becomes `XX000`, an internal error.
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self::with("ERROR", code, message.into())
    }

    /// An error that ends the connection.
    pub(super) fn fatal(code: &str, message: impl Into<String>) -> Self {
        Self::with("FATAL", code, message.into())
    }

    fn with(severity: &'static str, code: &str, message: String) -> Self {
        let is_state = code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        let code = if is_state { code } else { "XX000" }.to_owned();
        // A zero byte would end the field.
        let message = message.chars().filter(|c| *c != '\0').take(LONGEST).collect();
        Self {
            severity,
            code,
            message,
        }
    }

    #[cfg(test)]
    pub(super) fn is_fatal(&self) -> bool {
        self.severity == "FATAL"
    }

    /// Writes the error.
    pub(super) fn put(&self, output: &mut BytesMut) -> io::Result<()> {
        let fields = vec![
            (b'S', self.severity.to_owned()),
            (b'V', self.severity.to_owned()),
            (b'C', self.code.clone()),
            (b'M', self.message.clone()),
        ];
        ErrorResponse::new(fields).encode(output).map_err(io::Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_none_becomes_an_internal_error() {
        assert_eq!(SqlError::new("40001", "").code, "40001");
        for code in ["", "ERR", "4000é", "40-01", "400011"] {
            assert_eq!(SqlError::new(code, "").code, "XX000", "{code}");
        }
    }

    #[test]
    fn a_text_cannot_end_its_field() {
        let mut output = BytesMut::new();
        SqlError::new("40001", "a\0Mb").put(&mut output).unwrap();
        assert!(output.ends_with(b"MaMb\0\0"), "{}", output.escape_ascii());
    }
}
