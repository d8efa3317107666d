//! Numbers in lines, found with a regular expression.

use regex::bytes::Regex;

use super::sink::Sink;

/// A regular expression whose only group is a number.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression.
    pub(super) fn new(expression: &str) -> Result<Self, String> {
        let regex = Regex::new(expression).map_err(|error| error.to_string())?;
        match regex.captures_len() {
            2 => Ok(Self(regex)),
            groups => Err(format!("`{expression}` has {} groups instead of one", groups - 1)),
        }
    }

    /// Takes every match in a line, which need not be UTF-8.
    pub(super) fn line(&self, line: &[u8], sink: &mut Sink) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Most lines do not match, and this allocates nothing.
        if !self.0.is_match(line) {
            return;
        }
        for captures in self.0.captures_iter(line) {
            // A group that takes no part in the match is no number either.
            sink.number(captures.get(1).map_or(&b""[..], |group| group.as_bytes()));
        }
    }
}
