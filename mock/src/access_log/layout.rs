//! The format of an access log: fields, and the text between them.

use crate::record::RecordingError;

/// Most fields of a format.
const MAX_FIELDS: usize = 64;

/// What a field contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// `GET / HTTP/1.1`.
    Request,
    Method,
    Target,
    Status,
    Bytes,
    /// `10/Oct/2000:13:55:36 -0700`.
    Local,
    Iso,
    /// Seconds since 1970 with milliseconds.
    UnixSeconds,
    Seconds,
    Milliseconds,
    Microseconds,
    UpstreamSeconds,
    /// Anything that is not used here.
    Other,
}

/// The format of an access log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Each field with the text before it. Empty: Common or Combined with the time as the last field.
    fields: Vec<(String, Field)>,
    /// The text after the last field.
    end: String,
}

/// The fields of one line.
#[derive(Debug, Default)]
pub(super) struct Values<'a>(Vec<(Field, &'a str)>);

impl<'a> Values<'a> {
    /// The first field of a kind.
    pub(super) fn get(&self, field: Field) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(kind, _)| *kind == field)
            .map(|(_, text)| *text)
    }
}

impl Layout {
    /// Reads a format as in `log_format` of nginx, or in `LogFormat` of Apache.
    pub fn parse(format: &str) -> Result<Self, RecordingError> {
        let wrong = |message: &str| RecordingError::Format {
            format: format.to_owned(),
            message: message.to_owned(),
        };
        let mut fields: Vec<(String, Field)> = Vec::new();
        let mut before = String::new();
        let mut rest = format.trim();
        while let Some(character) = rest.chars().next() {
            let after = &rest[character.len_utf8()..];
            let (field, left) = match character {
                '$' => nginx(after),
                '%' => apache(after).ok_or_else(|| wrong("ends with an incomplete directive"))?,
                _ => {
                    before.push(character);
                    rest = after;
                    continue;
                }
            };
            if before.is_empty() && !fields.is_empty() {
                return Err(wrong("has two fields without a character between them"));
            }
            fields.push((std::mem::take(&mut before), field));
            rest = left;
            if fields.len() > MAX_FIELDS {
                return Err(wrong("has too many fields"));
            }
        }
        let has = |wanted: &[Field]| fields.iter().any(|(_, field)| wanted.contains(field));
        if !has(&[
            Field::Seconds,
            Field::Milliseconds,
            Field::Microseconds,
            Field::UpstreamSeconds,
        ]) {
            return Err(wrong("has no request time"));
        }
        if !has(&[Field::Request, Field::Target]) {
            return Err(wrong("has no request"));
        }
        if !has(&[Field::Local, Field::Iso, Field::UnixSeconds]) {
            return Err(wrong("has no time at which requests were logged"));
        }
        Ok(Self { fields, end: before })
    }

    /// The fields of a line, or the byte that does not fit and why.
    pub(super) fn split<'a>(&self, line: &'a str) -> Result<Values<'a>, (usize, &'static str)> {
        if self.fields.is_empty() {
            return by_shape(line);
        }
        let mut values = Values::default();
        let mut at = 0;
        for (index, (before, field)) in self.fields.iter().enumerate() {
            if !line[at..].starts_with(before.as_str()) {
                return Err((at, "the line is not in the format of the log"));
            }
            at += before.len();
            let next = self
                .fields
                .get(index + 1)
                .map_or(self.end.as_str(), |(next, _)| next.as_str());
            let length = length(&line[at..], next)
                .ok_or((at, "the field does not end as in the format of the log"))?;
            values.0.push((*field, &line[at..at + length]));
            at += length;
        }
        Ok(values)
    }
}

/// How long a field is that ends before a text. A quote with a backslash before it is part of the field.
fn length(text: &str, end: &str) -> Option<usize> {
    if end.is_empty() {
        return Some(text.len());
    }
    let is_quote = end.starts_with('"');
    let mut from = 0;
    while let Some(found) = text[from..].find(end) {
        let at = from + found;
        let slashes = text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        if !is_quote || slashes % 2 == 0 {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// A variable of nginx, and what follows it.
fn nginx(text: &str) -> (Field, &str) {
    let braced = text.strip_prefix('{').and_then(|text| text.split_once('}'));
    let (name, rest) = braced.unwrap_or_else(|| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        text.split_at(end.unwrap_or(text.len()))
    });
    let field = match name {
        "request" => Field::Request,
        "request_method" => Field::Method,
        "request_uri" | "uri" | "document_uri" => Field::Target,
        "status" => Field::Status,
        "body_bytes_sent" => Field::Bytes,
        "time_local" => Field::Local,
        "time_iso8601" => Field::Iso,
        "msec" => Field::UnixSeconds,
        "request_time" => Field::Seconds,
        "upstream_response_time" => Field::UpstreamSeconds,
        _ => Field::Other,
    };
    (field, rest)
}

/// A directive of Apache, and what follows it. `None` if it has no letter.
fn apache(text: &str) -> Option<(Field, &str)> {
    // `%>s` and `%!400s`: which of several requests, and for which statuses.
    let text = text.trim_start_matches(['<', '>', '!', ',']);
    let text = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let (argument, text) = match text.strip_prefix('{') {
        Some(text) => text.split_once('}')?,
        None => ("", text),
    };
    let letter = text.chars().next()?;
    let field = match (letter, argument) {
        ('r', _) => Field::Request,
        ('m', _) => Field::Method,
        ('U', _) => Field::Target,
        ('s', _) => Field::Status,
        ('b' | 'B', _) => Field::Bytes,
        ('t', "") => Field::Local,
        ('D', _) | ('T', "us") => Field::Microseconds,
        ('T', "ms") => Field::Milliseconds,
        ('T', _) => Field::Seconds,
        _ => Field::Other,
    };
    Some((field, &text[letter.len_utf8()..]))
}

/// Common or Combined with the time as the last field, recognised by brackets, quotes and spaces.
fn by_shape(line: &str) -> Result<Values<'_>, (usize, &'static str)> {
    let open = line.find('[').ok_or((0, "there is no time in brackets"))?;
    let close = line[open..].find(']').ok_or((open, "the time does not end"))? + open;
    let quote = line[close..]
        .find('"')
        .ok_or((close, "there is no request in quotes"))?
        + close
        + 1;
    let request = length(&line[quote..], "\"").ok_or((quote, "the request does not end"))?;
    let rest = &line[quote + request + 1..];
    let mut words = rest.split_ascii_whitespace();
    let status = words.next().unwrap_or_default();
    let bytes = words.next().unwrap_or_default();
    let last = rest.split_ascii_whitespace().next_back().unwrap_or_default();
    let last = last.trim_matches('"');
    // A whole number there could be the size of the body, or microseconds.
    let has_point = last.contains('.') && last.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let mut values = Values(vec![
        (Field::Local, &line[open + 1..close]),
        (Field::Request, &line[quote..quote + request]),
        (Field::Status, status),
        (Field::Bytes, bytes),
    ]);
    if has_point {
        values.0.push((Field::Seconds, last));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_without_what_is_needed_is_refused() {
        for (format, wanted) in [
            (
                "$remote_addr \"$request\" [$time_local] $status",
                "has no request time",
            ),
            ("[$time_local] $request_time", "has no request"),
            ("\"$request\" $request_time", "has no time at which"),
            ("$request$request_time $msec", "without a character between"),
            ("%r %t %", "incomplete directive"),
            ("", "has no request time"),
        ] {
            let error = Layout::parse(format).unwrap_err();
            assert!(error.to_string().contains(wanted), "{format}: {error}");
        }
        let many = "$a ".repeat(MAX_FIELDS + 1);
        assert!(Layout::parse(&many).is_err());
    }

    #[test]
    fn fields_are_split_at_the_text_between_them() {
        let layout = Layout::parse("[$time_iso8601] ${request_method} $request_uri|$request_time;").unwrap();
        let values = layout.split("[2026-01-01T00:00:00Z] GET /a b|0.5;").unwrap();
        assert_eq!(values.get(Field::Target), Some("/a b"));
        assert_eq!(values.get(Field::Seconds), Some("0.5"));
        assert_eq!(values.get(Field::Status), None);
        assert_eq!(layout.split("2026").unwrap_err().0, 0);
        assert!(layout.split("[2026] GET").is_err());
    }

    #[test]
    fn a_quote_inside_of_a_field_does_not_end_it() {
        assert_eq!(length("a\\\"b\" c", "\""), Some(4));
        assert_eq!(length("a\\\\\" c", "\""), Some(3));
        assert_eq!(length("a\\\"", "\""), None);
    }
}
