//! Divides SQL into tokens, as far as statements, their kinds and their parameters depend on it.
//!
//! Source: "Lexical Structure" of the documentation of PostgreSQL.

/// A token. Comments and white space are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, or a name without quotation marks.
    Word(&'a str),
    /// The parameter `$1` is 1.
    Parameter(u16),
    /// A number, a string or a quoted name.
    Literal,
    /// Anything else.
    Symbol(u8),
}

/// The tokens of SQL, each with the index of its first byte.
pub(super) struct Tokens<'a> {
    sql: &'a str,
    at: usize,
}

/// The tokens of SQL.
pub(super) fn tokens(sql: &str) -> Tokens<'_> {
    Tokens { sql, at: 0 }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (usize, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let begin = self.at;
            let rest = self.sql.as_bytes().get(begin..)?;
            let (length, token) = first(rest)?;
            self.at = begin + length.max(1);
            match token {
                Found::Nothing => {}
                Found::Word => return Some((begin, Token::Word(self.sql.get(begin..self.at)?))),
                Found::Parameter(number) => return Some((begin, Token::Parameter(number))),
                Found::Literal => return Some((begin, Token::Literal)),
                Found::Symbol(symbol) => return Some((begin, Token::Symbol(symbol))),
            }
        }
    }
}

enum Found {
    Nothing,
    Word,
    Parameter(u16),
    Literal,
    Symbol(u8),
}

/// The length of what is first, and what it is.
fn first(rest: &[u8]) -> Option<(usize, Found)> {
    Some(match *rest.first()? {
        space if space.is_ascii_whitespace() => (1, Found::Nothing),
        b'-' if rest.starts_with(b"--") => (up_to(rest, b'\n'), Found::Nothing),
        b'/' if rest.starts_with(b"/*") => (comment(rest), Found::Nothing),
        b'e' | b'E' if rest.get(1) == Some(&b'\'') => (1 + quoted(&rest[1..], true), Found::Literal),
        b'\'' | b'"' => (quoted(rest, false), Found::Literal),
        b'$' => dollar(rest),
        digit if digit.is_ascii_digit() => (
            while_(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'.'),
            Found::Literal,
        ),
        letter if is_word(letter) => (while_(rest, |byte| is_word(byte) || byte == b'$'), Found::Word),
        symbol => (1, Found::Symbol(symbol)),
    })
}

/// Bytes of characters other than ASCII are letters, as in PostgreSQL.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn while_(rest: &[u8], holds: impl Fn(u8) -> bool) -> usize {
    rest.iter().position(|byte| !holds(*byte)).unwrap_or(rest.len())
}

/// The length with the first of these bytes.
fn up_to(rest: &[u8], last: u8) -> usize {
    rest.iter()
        .position(|byte| *byte == last)
        .map_or(rest.len(), |at| at + 1)
}

/// The length of a comment. Comments can contain others.
fn comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of what is between two equal quotation marks, with them. Two of them together in it are two tokens here,
/// which makes no difference.
fn quoted(rest: &[u8], escapes: bool) -> usize {
    let quote = rest.first().copied().unwrap_or_default();
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        at += 1;
        if *byte == quote {
            return at;
        }
        if escapes && *byte == b'\\' {
            at += 1;
        }
    }
    rest.len()
}

/// A parameter (`$1`), or a string between two equal tags (`$$ ... $$`, `$tag$ ... $tag$`).
fn dollar(rest: &[u8]) -> (usize, Found) {
    let digits = while_(&rest[1..], |byte| byte.is_ascii_digit());
    if digits > 0 {
        let number = std::str::from_utf8(&rest[1..=digits])
            .ok()
            .and_then(|digits| digits.parse().ok());
        // Parameters have numbers of 16 bits.
        return (1 + digits, number.map_or(Found::Literal, Found::Parameter));
    }
    let name = while_(&rest[1..], is_word);
    let Some(tag) = rest.get(..name + 2).filter(|tag| tag.ends_with(b"$")) else {
        return (1, Found::Symbol(b'$'));
    };
    let end = rest[tag.len()..]
        .windows(tag.len())
        .position(|window| window == tag);
    (end.map_or(rest.len(), |end| end + 2 * tag.len()), Found::Literal)
}

/// The statements of SQL, without the semicolons between them. Those without a token are left out.
pub(super) fn statements(sql: &str) -> Vec<&str> {
    let (mut found, mut begin, mut is_empty) = (Vec::new(), 0, true);
    for (at, token) in tokens(sql) {
        if token == Token::Symbol(b';') {
            if !is_empty {
                found.push(sql.get(begin..at).unwrap_or_default().trim());
            }
            (begin, is_empty) = (at + 1, true);
        } else {
            is_empty = false;
        }
    }
    if !is_empty {
        found.push(sql.get(begin..).unwrap_or_default().trim());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_divided_at_semicolons_that_are_no_text() {
        for (sql, expected) in [
            ("", &[][..]),
            (" ; -- nothing\n ;/* ; */", &[]),
            ("select 1", &["select 1"]),
            ("begin; select ';' ; commit;", &["begin", "select ';'", "commit"]),
            ("select 'it''s;', \"a;b\"; x", &["select 'it''s;', \"a;b\"", "x"]),
            (r"select E'\';'; x", &[r"select E'\';'", "x"]),
            (r"select '\'; x", &[r"select '\'", "x"]),
            ("do $$ a; b $$; x", &["do $$ a; b $$", "x"]),
            ("do $f$ $$ ; $$ $f$; x", &["do $f$ $$ ; $$ $f$", "x"]),
            (
                "select /* a; /* b; */ c; */ 1; x",
                &["select /* a; /* b; */ c; */ 1", "x"],
            ),
            ("select 'open; x", &["select 'open; x"]),
            ("sélect ü; ñ", &["sélect ü", "ñ"]),
        ] {
            assert_eq!(statements(sql), expected, "{sql}");
        }
    }

    #[test]
    fn tokens_are_words_parameters_literals_and_symbols() {
        let found: Vec<Token<'_>> = tokens("a_1 $12::int8 1.5e3 $ $99999 -")
            .map(|(_, token)| token)
            .collect();
        let expected = [
            Token::Word("a_1"),
            Token::Parameter(12),
            Token::Symbol(b':'),
            Token::Symbol(b':'),
            Token::Word("int8"),
            Token::Literal,
            Token::Symbol(b'$'),
            Token::Literal,
            Token::Symbol(b'-'),
        ];
        assert_eq!(found, expected);
    }

    proptest::proptest! {
        #[test]
        fn no_sql_makes_the_lexer_panic(sql in "[-a-eE0-9$'\"/*;\\\\ é\n]{0,40}") {
            statements(&sql);
        }

        #[test]
        fn no_text_makes_the_lexer_panic(sql in ".{0,40}") {
            statements(&sql);
        }
    }
}
