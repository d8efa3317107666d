//! Which requests a route is for: paths with `*` and `**`, patterns of LIKE, commands. Time is bounded by the product
//! of both lengths, whatever a client sends.

use crate::endpoint::Request;
use crate::spec::{Match, Protocol};

/// The bytes of a text that are compared; more of them are ignored, because a query may have a megabyte.
const MAX_COMPARED: usize = 16 * 1024;

/// A compiled [`Match`].
#[derive(Clone, Debug)]
pub struct Pattern {
    protocol: Protocol,
    method: Option<String>,
    /// Of the path or the query.
    text: Option<Wildcards>,
}

/// A text with wildcards.
#[derive(Clone, Debug)]
struct Wildcards(Vec<Token>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// One byte.
    Any,
    /// One byte or more that is no slash.
    Segment,
    /// Any bytes, or none.
    Anything,
}

impl Pattern {
    /// Compiles a match of a route.
    pub fn new(matches: &Match, protocol: Protocol) -> Self {
        let path = matches.path.as_deref().map(Wildcards::path);
        let query = matches.query.as_deref().map(Wildcards::like);
        Self {
            protocol,
            method: matches.method.clone().or_else(|| matches.command.clone()),
            text: path.or(query),
        }
    }

    /// Whether a request matches.
    pub fn matches(&self, request: &Request<'_>) -> bool {
        let method = self.method.as_deref();
        let fits = match self.protocol {
            // Methods of HTTP are case-sensitive: RFC 9110, section 9.1.
            Protocol::Http => method.is_none_or(|method| method == request.method),
            _ => method.is_none_or(|method| method.eq_ignore_ascii_case(request.method)),
        };
        let Some(text) = self.text.as_ref().filter(|_| fits) else {
            return fits;
        };
        match self.protocol {
            Protocol::Postgres => {
                let query = request
                    .path
                    .trim_matches(|c: char| c.is_ascii_whitespace() || c == ';');
                text.matches(query, u8::to_ascii_lowercase)
            }
            Protocol::Http => text.matches(split_query(request.path).0, |byte| *byte),
            _ => text.matches(request.path, |byte| *byte),
        }
    }
}

/// The path of HTTP without its query, and the query.
pub fn split_query(path: &str) -> (&str, &str) {
    path.split_once('?').unwrap_or((path, ""))
}

impl Wildcards {
    /// A path: `*` is a segment or a part of it, `**` is anything.
    fn path(pattern: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = pattern.as_bytes();
        while let [first, after @ ..] = rest {
            rest = after;
            tokens.push(match (*first, after.first()) {
                (b'*', Some(b'*')) => {
                    rest = &after[1..];
                    Token::Anything
                }
                (b'*', _) => Token::Segment,
                (byte, _) => Token::Byte(byte),
            });
        }
        Self(tokens)
    }

    /// A pattern of LIKE in any case of ASCII: `%` is anything, `_` is one byte, `\` takes the special meaning of the
    /// next one.
    fn like(pattern: &str) -> Self {
        let mut tokens = Vec::new();
        let mut bytes = pattern.bytes();
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'%' => Token::Anything,
                b'_' => Token::Any,
                b'\\' => Token::Byte(bytes.next().unwrap_or(b'\\').to_ascii_lowercase()),
                byte => Token::Byte(byte.to_ascii_lowercase()),
            });
        }
        Self(tokens)
    }

    /// Follows all readings of the wildcards at the same time, one byte of the text after the other.
    fn matches(&self, text: &str, fold: impl Fn(&u8) -> u8) -> bool {
        let tokens = &self.0;
        let plain = tokens
            .iter()
            .take_while(|token| matches!(token, Token::Byte(_)))
            .count();
        let text = &text.as_bytes()[..text.len().min(MAX_COMPARED)];
        // Most requests are decided by the part before the first wildcard.
        if text.len() < plain {
            return false;
        }
        let mut same = tokens.iter().zip(text).take(plain);
        if !same.all(|(token, byte)| *token == Token::Byte(fold(byte))) {
            return false;
        }
        let (tokens, text) = (&tokens[plain..], &text[plain..]);
        // `reached[n]`: the text so far is matched by the first n tokens.
        let mut reached = vec![false; tokens.len() + 1];
        reached[0] = true;
        skip_anything(tokens, &mut reached);
        let mut next = vec![false; tokens.len() + 1];
        for byte in text {
            let byte = fold(byte);
            next[0] = false;
            let mut alive = false;
            for (place, token) in tokens.iter().enumerate() {
                let continues = match *token {
                    Token::Byte(wanted) => reached[place] && wanted == byte,
                    Token::Any => reached[place],
                    Token::Segment => byte != b'/' && (reached[place] || reached[place + 1]),
                    Token::Anything => reached[place] || reached[place + 1],
                };
                next[place + 1] = continues;
                alive |= continues;
            }
            if !alive {
                return false;
            }
            skip_anything(tokens, &mut next);
            std::mem::swap(&mut reached, &mut next);
        }
        reached[tokens.len()]
    }
}

/// Marks what is reached because [`Token::Anything`] may be nothing.
fn skip_anything(tokens: &[Token], reached: &mut [bool]) {
    for (place, token) in tokens.iter().enumerate() {
        if reached[place] && *token == Token::Anything {
            reached[place + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(method: &'a str, path: &'a str) -> Request<'a> {
        Request {
            method,
            path,
            body: b"",
        }
    }

    fn path_matches(pattern: &str, path: &str) -> bool {
        let matches = Match {
            path: Some(pattern.to_owned()),
            ..Match::default()
        };
        Pattern::new(&matches, Protocol::Http).matches(&request("GET", path))
    }

    fn query_matches(pattern: &str, query: &str) -> bool {
        let matches = Match {
            query: Some(pattern.to_owned()),
            ..Match::default()
        };
        Pattern::new(&matches, Protocol::Postgres).matches(&request("query", query))
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_anything() {
        for (pattern, path) in [
            ("/items", "/items"),
            ("/items", "/items?id=1"),
            ("/items/*", "/items/7"),
            ("/items/*/parts", "/items/7/parts"),
            ("/items/*.json", "/items/7.json"),
            ("/**", "/"),
            ("/**", "/a/b/c"),
            ("**", "/a"),
            ("/a/**/z", "/a/b/c/z"),
            ("/a**z", "/az"),
            ("/*/*", "/a/b"),
        ] {
            assert!(path_matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/items", "/items/"),
            ("/items", "/item"),
            ("/items/*", "/items/"),
            ("/items/*", "/items/7/parts"),
            ("/items/*", "/items?x=/7"),
            ("/a/**/z", "/a/z/b"),
            ("/*", "/"),
            ("/*", "/a/b"),
            ("/items", "/ITEMS"),
        ] {
            assert!(!path_matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_query_is_compared_as_by_like_in_any_case() {
        for (pattern, query) in [
            ("SELECT %", "select 1;"),
            ("select %", "  SELECT\t1"),
            ("%from users%", "SELECT * FROM users WHERE id = 1"),
            ("select _", "SELECT 1"),
            (r"select \%", "SELECT %"),
            ("%", ""),
        ] {
            // White space is compared as it is written.
            let expected = !query.contains('\t');
            assert_eq!(query_matches(pattern, query), expected, "{pattern} {query}");
        }
        assert!(!query_matches("select _", "select 10"));
        assert!(!query_matches(r"select \%", "select 1"));
        assert!(!query_matches("insert %", "select 1"));
    }

    #[test]
    fn methods_are_case_sensitive_and_commands_are_not() {
        let http = Match {
            method: Some("GET".to_owned()),
            ..Match::default()
        };
        let pattern = Pattern::new(&http, Protocol::Http);
        assert!(pattern.matches(&request("GET", "/")));
        assert!(!pattern.matches(&request("get", "/")));
        assert!(!pattern.matches(&request("POST", "/")));
        let redis = Match {
            command: Some("get".to_owned()),
            ..Match::default()
        };
        let pattern = Pattern::new(&redis, Protocol::Redis);
        assert!(pattern.matches(&request("GET", "key")));
        assert!(!pattern.matches(&request("SET", "key")));
    }

    #[test]
    fn a_hostile_text_takes_no_exponential_time() {
        let pattern = "%a".repeat(400);
        let text = "a".repeat(100_000);
        assert!(query_matches(&pattern, &text));
        assert!(!query_matches(&format!("{pattern}b"), &text));
        assert!(!path_matches(
            "/*a*a*a*a*a*a*b",
            &format!("/{}", "a".repeat(10_000))
        ));
    }
}
