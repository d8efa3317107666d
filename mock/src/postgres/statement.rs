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
            "DISCARD" => Self::Session("DISCARD ALL"),
            "DEALLOCATE" if second == "ALL" => Self::Session("DEALLOCATE ALL"),
            "DEALLOCATE" => Self::Session("DEALLOCATE"),
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
    /// A statement with the types of parameters that its client has declared.
    pub(super) fn new(sql: &str, declared: &[u32], endpoint: &'a Endpoint) -> Self {
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
            parameters: parameters(sql, declared),
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

/// The types of the parameters: as declared, else that of a cast (`$1::int8`), else text.
fn parameters(sql: &str, declared: &[u32]) -> Vec<u32> {
    let mut types = declared.to_vec();
    let mut before = [Token::Literal; 3];
    for (_, token) in tokens(sql) {
        match (before, token) {
            (_, Token::Parameter(number)) if types.len() < usize::from(number) => {
                types.resize(usize::from(number), 0);
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
    for unknown in types.iter_mut().filter(|kind| **kind == 0) {
        *unknown = types::oid(ColumnType::Text);
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_have_the_tags_of_postgresql() {
        for (sql, tag) in [
            ("select 1", "SELECT 2"),
            ("(select 1) union (select 2)", "SELECT 2"),
            ("/* hint */ SELECT * FROM t FOR UPDATE", "SELECT 2"),
            ("values (1)", "SELECT 2"),
            ("with a as (select 1) select * from a", "SELECT 2"),
            (
                "with a as (delete from t returning *) insert into b select * from a",
                "INSERT 0 2",
            ),
            ("INSERT INTO t VALUES ($1)", "INSERT 0 2"),
            ("update t set a = 1 returning a", "UPDATE 2"),
            ("delete from t", "DELETE 2"),
            ("begin isolation level serializable", "BEGIN"),
            ("start transaction", "START TRANSACTION"),
            ("end", "COMMIT"),
            ("rollback to savepoint a", "ROLLBACK"),
            ("set search_path to a", "SET"),
            ("show server_version", "SHOW"),
            ("create temp table t (a int)", "CREATE TABLE"),
            ("create unique index i on t (a)", "CREATE INDEX"),
            ("create or replace function f() returns int", "CREATE FUNCTION"),
            ("drop materialized view v", "DROP MATERIALIZED VIEW"),
            ("truncate t", "TRUNCATE TABLE"),
            ("vacuum analyze", "VACUUM"),
            ("explain select 1", "EXPLAIN"),
            ("-- nothing", ""),
        ] {
            assert_eq!(Kind::of(sql).tag(2), tag, "{sql}");
        }
    }

    #[test]
    fn rows_are_given_by_queries_and_by_changes_that_return_them() {
        assert_eq!(
            Kind::of("insert into t values (1) RETURNING id"),
            Kind::Query("INSERT 0")
        );
        assert_eq!(
            Kind::of("insert into t values (' returning ')"),
            Kind::Change("INSERT 0")
        );
        assert_eq!(
            Kind::of("with a as (select 1) update t set b = 1"),
            Kind::Change("UPDATE")
        );
        assert_eq!(Kind::of("rollback work to a"), Kind::RollbackTo);
        assert_eq!(Kind::of("rollback"), Kind::Rollback);
        let version = "PostgreSQL 14.0 (mock of vcluster)".to_owned();
        assert_eq!(
            Kind::of("select pg_catalog.version()"),
            Kind::Value("SELECT 1", version)
        );
        assert_eq!(Kind::of("select version from t"), Kind::Query("SELECT"));
    }

    #[test]
    fn parameters_have_the_declared_type_or_that_of_a_cast() {
        assert_eq!(parameters("select $2::int8, $1, '$9'", &[]), [25, 20]);
        assert_eq!(parameters("select $1::int8", &[23]), [23]);
        assert_eq!(parameters("select $1 :: boolean, $0::int4", &[0, 0]), [16, 25]);
        assert_eq!(parameters("select 1", &[]), Vec::<u32>::new());
        assert_eq!(parameters("select $65535", &[]).len(), 65_535);
    }
}
