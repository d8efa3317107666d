//! A statement: its kind, the types of its parameters, and the columns of its result.

use std::borrow::Cow;

use super::lexer::{Token, statements, tokens};
use super::startup::SERVER_VERSION;
use super::types;
use crate::endpoint::{Endpoint, Request};
use crate::spec::{Column, ColumnType};

/// Most columns of a result, as in PostgreSQL (`MaxTupleAttributeNumber` is 1664).
const MOST_COLUMNS: usize = 1600;

/// The kind of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but comments.
    Empty,
    /// Gives rows. The tag is completed with their number.
    Query(&'static str),
    /// Changes rows. The tag is completed with their number.
    Change(&'static str),
    /// Gives a row with a value of the server; the tag is this one.
    Value(&'static str, String),
    Begin(&'static str),
    Commit,
    Rollback,
    RollbackTo,
    /// Changes the session only.
    Session(&'static str),
    /// Forgets the prepared statement of this name.
    Deallocate(String),
    /// Anything else, such as a change of a table.
    Other(String),
    /// COPY, which this mock refuses.
    Copy,
}

impl Kind {
    /// Whether it is answered at once, unless a route is for it.
    pub(super) fn is_control(&self) -> bool {
        matches!(
            self,
            Self::Value(..)
                | Self::Begin(_)
                | Self::Commit
                | Self::Rollback
                | Self::RollbackTo
                | Self::Session(_)
                | Self::Deallocate(_)
        )
    }

    /// Whether it is accepted after an error in a transaction.
    pub(super) fn ends_error(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::RollbackTo)
    }

    /// The tag of the command when it is complete.
    pub(super) fn tag(&self, rows: u32) -> String {
        match self {
            Self::Query("EXPLAIN") => "EXPLAIN".to_owned(),
            Self::Query(tag) | Self::Change(tag) => format!("{tag} {rows}"),
            Self::Value(tag, _) | Self::Begin(tag) | Self::Session(tag) => (*tag).to_owned(),
            Self::Deallocate(_) => "DEALLOCATE".to_owned(),
            Self::Commit => "COMMIT".to_owned(),
            Self::Rollback | Self::RollbackTo => "ROLLBACK".to_owned(),
            Self::Other(tag) => tag.clone(),
            Self::Copy => "COPY 0".to_owned(),
            Self::Empty => String::new(),
        }
    }

    fn of(sql: &str) -> Self {
        let words: Vec<String> = words(sql).take(6).map(str::to_ascii_uppercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let second = words.get(1).copied().unwrap_or_default();
        let Some(first) = words.first() else {
            return if tokens(sql).next().is_none() {
                Self::Empty
            } else {
                Self::Query("SELECT")
            };
        };
        match *first {
            "SELECT" => match words.as_slice() {
                ["SELECT", "VERSION"] | ["SELECT", "PG_CATALOG", "VERSION"] => Self::Value(
                    "SELECT 1",
                    format!("PostgreSQL {SERVER_VERSION} (mock of vcluster)"),
                ),
                ["SELECT", "CURRENT_SCHEMA"] => Self::Value("SELECT 1", "public".to_owned()),
                _ => Self::Query("SELECT"),
            },
            "VALUES" | "TABLE" => Self::Query("SELECT"),
            "FETCH" => Self::Query("FETCH"),
            "EXPLAIN" => Self::Query("EXPLAIN"),
            "WITH" => changing(sql, main_word(sql)),
            "INSERT" | "UPDATE" | "DELETE" | "MERGE" => changing(sql, first),
            "BEGIN" => Self::Begin("BEGIN"),
            "START" => Self::Begin("START TRANSACTION"),
            "COMMIT" | "END" => Self::Commit,
            "ROLLBACK" | "ABORT" if words.iter().skip(1).take(2).any(|word| *word == "TO") => {
                Self::RollbackTo
            }
            "ROLLBACK" | "ABORT" => Self::Rollback,
            "SAVEPOINT" => Self::Session("SAVEPOINT"),
            "RELEASE" => Self::Session("RELEASE"),
            "SET" => Self::Session("SET"),
            "RESET" => Self::Session("RESET"),
            "SHOW" => Self::Value("SHOW", setting(second).to_owned()),
            "DISCARD" => Self::Session(match second {
                "PLANS" => "DISCARD PLANS",
                "SEQUENCES" => "DISCARD SEQUENCES",
                "TEMP" | "TEMPORARY" => "DISCARD TEMP",
                _ => "DISCARD ALL",
            }),
            "DEALLOCATE" => match words.as_slice() {
                [_, "ALL"] | [_, "PREPARE", "ALL"] => Self::Session("DEALLOCATE ALL"),
                _ => Self::Deallocate(prepared(sql)),
            },
            "LISTEN" => Self::Session("LISTEN"),
            "UNLISTEN" => Self::Session("UNLISTEN"),
            "CLOSE" => Self::Session("CLOSE CURSOR"),
            "COPY" => Self::Copy,
            "TRUNCATE" | "LOCK" => Self::Other(format!("{first} TABLE")),
            "DECLARE" => Self::Other("DECLARE CURSOR".to_owned()),
            "REFRESH" => Self::Other("REFRESH MATERIALIZED VIEW".to_owned()),
            "CREATE" | "ALTER" | "DROP" => Self::Other(definition(&words)),
            other => Self::Other(other.chars().take(40).collect()),
        }
    }
}

/// A statement of a connection.
#[derive(Clone, Debug)]
pub(super) struct Statement<'a> {
    pub(super) sql: String,
    pub(super) kind: Kind,
    /// The route of its request.
    pub(super) route: usize,
    /// Object identifiers of the types of its parameters.
    pub(super) parameters: Vec<u32>,
    /// The columns of its result, if it gives rows.
    pub(super) columns: Option<Cow<'a, [Column]>>,
    /// The rows that it gives or changes.
    pub(super) rows: u32,
}

impl<'a> Statement<'a> {
    /// A statement with the types of parameters that its client has declared; `None` for a simple query, which has no
    /// parameters.
    pub(super) fn new(sql: &str, declared: Option<&[u32]>, endpoint: &'a Endpoint) -> Self {
        let kind = Kind::of(sql);
        let route = endpoint.route_of(&Self::request(sql));
        let columns = match &kind {
            Kind::Query(_) => match endpoint.columns(route) {
                [] => Some(Cow::Owned(vec![column("body")])),
                declared => Some(Cow::Borrowed(&declared[..declared.len().min(MOST_COLUMNS)])),
            },
            Kind::Value(..) => {
                let name = words(sql).last().unwrap_or("value").to_ascii_lowercase();
                Some(Cow::Owned(vec![column(&name)]))
            }
            _ => None,
        };
        let rows = if matches!(kind, Kind::Value(..)) {
            1
        } else {
            endpoint.rows(route)
        };
        Self {
            parameters: declared
                .map(|declared| parameters(sql, declared, endpoint.columns(route)))
                .unwrap_or_default(),
            sql: sql.to_owned(),
            kind,
            route,
            columns,
            rows,
        }
    }

    /// The request that a statement is.
    pub(super) fn request(sql: &str) -> Request<'_> {
        Request {
            method: "query",
            path: sql,
            body: b"",
        }
    }

    /// About the bytes that it keeps.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.sql.len() + self.parameters.len() * size_of::<u32>()
    }

    /// Whether the text is more than one statement.
    pub(super) fn is_several(sql: &str) -> bool {
        statements(sql).len() > 1
    }
}

fn column(name: &str) -> Column {
    let name = name.chars().take(63).collect();
    Column {
        name,
        kind: ColumnType::Text,
    }
}

fn words(sql: &str) -> impl Iterator<Item = &str> {
    tokens(sql).filter_map(|(_, token)| match token {
        Token::Word(word) => Some(word),
        Token::Parameter(_) | Token::Literal | Token::Symbol(_) => None,
    })
}

/// The kind of a statement that changes rows: it gives them too if it has RETURNING.
fn changing(sql: &str, verb: &str) -> Kind {
    let tag = match verb {
        "INSERT" => "INSERT 0",
        "UPDATE" => "UPDATE",
        "DELETE" => "DELETE",
        "MERGE" => "MERGE",
        _ => return Kind::Query("SELECT"),
    };
    if words(sql).any(|word| word.eq_ignore_ascii_case("RETURNING")) {
        Kind::Query(tag)
    } else {
        Kind::Change(tag)
    }
}

/// The verb of a statement after its WITH: the first one outside of parentheses.
fn main_word(sql: &str) -> &'static str {
    let mut depth = 0_i32;
    for (_, token) in tokens(sql) {
        match token {
            Token::Symbol(b'(') => depth = depth.saturating_add(1),
            Token::Symbol(b')') => depth = depth.saturating_sub(1),
            Token::Word(word) if depth <= 0 => {
                let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE"];
                if let Some(verb) = verbs.into_iter().find(|verb| word.eq_ignore_ascii_case(verb)) {
                    return verb;
                }
            }
            _ => {}
        }
    }
    "SELECT"
}

/// The tag of a definition: its verb and what is defined.
fn definition(words: &[&str]) -> String {
    let modifiers = [
        "OR",
        "REPLACE",
        "TEMP",
        "TEMPORARY",
        "GLOBAL",
        "LOCAL",
        "UNLOGGED",
        "UNIQUE",
        "RECURSIVE",
    ];
    let mut rest = words.iter().filter(|word| !modifiers.contains(word)).copied();
    let verb = rest.next().unwrap_or_default();
    match rest.next().unwrap_or("TABLE") {
        "MATERIALIZED" => format!("{verb} MATERIALIZED VIEW"),
        "FOREIGN" => format!("{verb} FOREIGN TABLE"),
        "EVENT" => format!("{verb} EVENT TRIGGER"),
        what => format!("{verb} {}", what.chars().take(40).collect::<String>()),
    }
}

/// The value of a setting, as a server without configuration has it.
fn setting(name: &str) -> &'static str {
    match name {
        "SERVER_VERSION" => SERVER_VERSION,
        "SERVER_VERSION_NUM" => "140000",
        "SERVER_ENCODING" | "CLIENT_ENCODING" => "UTF8",
        "STANDARD_CONFORMING_STRINGS" | "INTEGER_DATETIMES" => "on",
        "TRANSACTION_ISOLATION" | "TRANSACTION" | "DEFAULT_TRANSACTION_ISOLATION" => "read committed",
        "TRANSACTION_READ_ONLY" | "DEFAULT_TRANSACTION_READ_ONLY" | "IN_HOT_STANDBY" | "IS_SUPERUSER" => {
            "off"
        }
        "TIMEZONE" | "TIME" => "UTC",
        "DATESTYLE" => "ISO, MDY",
        "SEARCH_PATH" => "\"$user\", public",
        "MAX_CONNECTIONS" => "100",
        _ => "",
    }
}

/// The name of the statement in a DEALLOCATE, which may be quoted.
fn prepared(sql: &str) -> String {
    let mut tokens = tokens(sql).skip(1).peekable();
    let is_noise =
        |token: &Token<'_>| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("PREPARE"));
    let _ = tokens.next_if(|(_, token)| is_noise(token));
    match tokens.next() {
        Some((_, Token::Word(name))) => name.to_ascii_lowercase(),
        Some((at, _)) => {
            let quoted = sql.get(at..).unwrap_or_default().trim_end();
            quoted.trim_matches('"').replace("\"\"", "\"")
        }
        None => String::new(),
    }
}

/// The type of a parameter by the tokens before it: a number of rows, or what is compared or computed with a column of
/// the result. Drivers that ask for types refuse values of other ones.
fn guess(before: [Token<'_>; 3], columns: &[Column]) -> Option<u32> {
    let is = |word: &str, words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    let is_operator = |symbol: u8| b"=<>!+-*/%".contains(&symbol);
    let name = match before {
        [_, _, Token::Word(word)] if is(word, &["LIMIT", "OFFSET"]) => {
            return Some(types::oid(ColumnType::Int8));
        }
        [_, Token::Word(name), Token::Symbol(symbol)] if is_operator(symbol) => name,
        [Token::Word(name), Token::Symbol(a), Token::Symbol(b)] if is_operator(a) && is_operator(b) => name,
        [Token::Word(name), Token::Word(word), Token::Symbol(b'(')] if is(word, &["IN"]) => name,
        _ => return None,
    };
    let column = columns
        .iter()
        .find(|column| column.name.eq_ignore_ascii_case(name))?;
    Some(types::oid(column.kind))
}

/// The types of the parameters: as declared, else that of a cast (`$1::int8`), else that of the column of the result
/// that they are compared with (`id = $1`), else text.
fn parameters(sql: &str, declared: &[u32], columns: &[Column]) -> Vec<u32> {
    let mut types = declared.to_vec();
    let mut guesses = Vec::new();
    let mut before = [Token::Literal; 3];
    for (_, token) in tokens(sql) {
        match (before, token) {
            (_, Token::Parameter(number)) => {
                let count = usize::from(number);
                types.resize(types.len().max(count), 0);
                guesses.resize(types.len(), None);
                if let Some(place) = count.checked_sub(1).and_then(|index| guesses.get_mut(index)) {
                    *place = place.or_else(|| guess(before, columns));
                }
            }
            ([Token::Parameter(number), Token::Symbol(b':'), Token::Symbol(b':')], Token::Word(name)) => {
                let place = usize::from(number)
                    .checked_sub(1)
                    .and_then(|index| types.get_mut(index));
                if let (Some(place), Some(named)) = (place, types::named(name))
                    && *place == 0
                {
                    *place = named;
                }
            }
            _ => {}
        }
        before = [before[1], before[2], token];
    }
    for (index, unknown) in types.iter_mut().enumerate().filter(|(_, kind)| **kind == 0) {
        let guess = guesses.get(index).copied().flatten();
        *unknown = guess.unwrap_or(types::oid(ColumnType::Text));
    }
    types
}

#[cfg(test)]
mod tests;
