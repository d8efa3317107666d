//! The queries of a connection: prepared statements, portals, and the state of the transaction.
//!
//! Source: "Message Flow" of the documentation of PostgreSQL.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use pgwire::messages::Message;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus};

use super::error::SqlError;
use super::frontend::{Frontend, Target};
use super::lexer::statements;
use super::rows;
use super::statement::{Kind, Statement};
use crate::connection::{Connection, Ending, Transport};
use crate::endpoint::{Answer, Endpoint};

/// Most named prepared statements, and most portals, of a connection. Drivers keep 100 to 1000 statements.
const MOST_NAMED: usize = 1000;

/// About the most bytes that the prepared statements of a connection keep.
const MOST_PREPARED_BYTES: usize = 4 * 1024 * 1024;

/// Why a message is not answered in the usual way.
#[derive(Debug)]
pub(super) enum Stop {
    /// With an error.
    Error(SqlError),
    /// The connection ends.
    End(Ending),
    /// The client went away.
    Io(io::Error),
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Error(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How far a portal is.
enum Progress {
    New,
    Rows { body: Bytes, sent: u32, rows: u32 },
    Done,
}

struct Portal<'a> {
    statement: Arc<Statement<'a>>,
    formats: Vec<bool>,
    progress: Progress,
}

/// A connection after the login.
pub(super) struct Session<'a, S> {
    pub(super) connection: Connection<S>,
    endpoint: &'a Endpoint,
    transaction: TransactionStatus,
    statements: HashMap<String, Arc<Statement<'a>>>,
    portals: HashMap<String, Portal<'a>>,
    /// Whether messages are dropped up to the next Sync, as after an error of an extended query.
    skips: bool,
    /// Whether the rows of the last cursor were given.
    is_fetched: bool,
    /// The route of statements that no other is for, or the one that is for all.
    general: usize,
}

impl<'a, S: Transport> Session<'a, S> {
    pub(super) fn new(connection: Connection<S>, endpoint: &'a Endpoint) -> Self {
        Self {
            connection,
            endpoint,
            transaction: TransactionStatus::Idle,
            statements: HashMap::new(),
            portals: HashMap::new(),
            skips: false,
            is_fetched: false,
            general: endpoint.route_of(&Statement::request("")),
        }
    }

    /// Answers a message. An error ends the connection; those of statements are answered here.
    ///
    /// Answers are sent when there are many, not only when all messages that have arrived are answered: 7 bytes that
    /// ask for a description can give a hundred thousand.
    pub(super) async fn handle(&mut self, message: Frontend) -> Result<(), Stop> {
        self.dispatch(message).await?;
        Ok(self.connection.flush_if_full().await?)
    }

    async fn dispatch(&mut self, message: Frontend) -> Result<(), Stop> {
        if self.skips && !matches!(message, Frontend::Sync | Frontend::Terminate) {
            return Ok(());
        }
        match message {
            Frontend::Query(sql) => self.simple(&sql).await,
            Frontend::Sync => {
                self.skips = false;
                if self.transaction == TransactionStatus::Idle {
                    self.portals = HashMap::new();
                }
                self.ready()
            }
            Frontend::Flush => Ok(self.connection.flush().await?),
            Frontend::Terminate => Err(Stop::End(Ending::Close)),
            Frontend::Call => {
                self.failed(&SqlError::new(
                    "0A000",
                    "function calls are not supported by the mock",
                ))?;
                self.ready()
            }
            Frontend::Ignored => Ok(()),
            extended => match self.extended(extended).await {
                Err(Stop::Error(error)) => {
                    self.skips = true;
                    self.failed(&error)
                }
                other => other,
            },
        }
    }

    async fn simple(&mut self, sql: &str) -> Result<(), Stop> {
        let statements = statements(sql);
        if statements.is_empty() {
            self.put(&EmptyQueryResponse::new())?;
        }
        for sql in statements {
            match self.simple_statement(sql).await {
                // The statements after an error are not executed.
                Err(Stop::Error(error)) => {
                    self.failed(&error)?;
                    break;
                }
                other => other?,
            }
        }
        self.ready()
    }

    async fn simple_statement(&mut self, sql: &str) -> Result<(), Stop> {
        let statement = Statement::new(sql, None, self.endpoint);
        let body = self.run(&statement).await?;
        let rows = self.rows_of(&statement);
        if let Some(columns) = &statement.columns {
            rows::describe(&mut self.connection.output, columns, &[])?;
            for row in 0..rows {
                rows::put(&mut self.connection.output, columns, &[], row, &body)?;
                self.connection.flush_if_full().await?;
            }
        }
        self.complete(&statement.kind, rows)?;
        Ok(self.connection.flush_if_full().await?)
    }

    async fn extended(&mut self, message: Frontend) -> Result<(), Stop> {
        match message {
            Frontend::Parse { name, sql, types } => self.parse(name, &sql, &types),
            Frontend::Bind {
                portal,
                statement,
                formats,
            } => self.bind(portal, &statement, formats),
            Frontend::Describe(target, name) => self.describe(target, &name),
            Frontend::Execute { portal, rows } => {
                let Some(mut found) = self.portals.remove(&portal) else {
                    return Err(no_portal(&portal).into());
                };
                let executed = self.execute(&mut found, rows).await;
                self.portals.insert(portal, found);
                executed
            }
            Frontend::Close(target, name) => {
                match target {
                    Target::Statement => drop(self.statements.remove(&name)),
                    Target::Portal => drop(self.portals.remove(&name)),
                }
                self.put(&CloseComplete::new())
            }
            Frontend::Query(_)
            | Frontend::Sync
            | Frontend::Flush
            | Frontend::Terminate
            | Frontend::Call
            | Frontend::Ignored => Ok(()),
        }
    }

    fn parse(&mut self, name: String, sql: &str, types: &[u32]) -> Result<(), Stop> {
        if Statement::is_several(sql) {
            return Err(SqlError::new(
                "42601",
                "cannot insert multiple commands into a prepared statement",
            )
            .into());
        }
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new("42P05", message).into());
        }
        let statement = Statement::new(sql, Some(types), self.endpoint);
        let kept: usize = self
            .statements
            .iter()
            .map(|(name, statement)| name.len() + statement.bytes())
            .sum();
        let bytes = kept + name.len() + statement.bytes();
        let named = self.statements.len() - usize::from(self.statements.contains_key(""));
        let is_full = named >= MOST_NAMED && !name.is_empty();
        if is_full || bytes > MOST_PREPARED_BYTES {
            return Err(SqlError::new("53200", "too many prepared statements for the mock").into());
        }
        self.statements.insert(name, Arc::new(statement));
        self.put(&ParseComplete::new())
    }

    fn bind(&mut self, portal: String, statement: &str, formats: Vec<bool>) -> Result<(), Stop> {
        let statement = Arc::clone(self.statement(statement)?);
        let columns = statement.columns.as_deref().unwrap_or_default().len();
        if formats.len() > 1 && formats.len() != columns {
            let given = formats.len();
            let message = format!("bind message has {given} result formats but query has {columns} columns");
            return Err(SqlError::new("08P01", message).into());
        }
        if !portal.is_empty() && self.portals.contains_key(&portal) {
            return Err(SqlError::new("42P03", format!("cursor \"{portal}\" already exists")).into());
        }
        if self.portals.len() >= MOST_NAMED {
            return Err(SqlError::new("53200", "too many portals for the mock").into());
        }
        let progress = Progress::New;
        self.portals.insert(
            portal,
            Portal {
                statement,
                formats,
                progress,
            },
        );
        self.put(&BindComplete::new())
    }

    fn describe(&mut self, target: Target, name: &str) -> Result<(), Stop> {
        let output = &mut self.connection.output;
        let text: &[bool] = &[];
        let (statement, formats) = match target {
            Target::Statement => {
                let statement = self.statements.get(name).ok_or_else(|| no_statement(name))?;
                let types = statement.parameters.clone();
                ParameterDescription::new(types)
                    .encode(output)
                    .map_err(io::Error::from)?;
                (statement, text)
            }
            Target::Portal => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (&portal.statement, portal.formats.as_slice())
            }
        };
        match &statement.columns {
            Some(columns) => Ok(rows::describe(output, columns, formats)?),
            None => Ok(NoData::new().encode(output).map_err(io::Error::from)?),
        }
    }

    async fn execute(&mut self, portal: &mut Portal<'a>, limit: u32) -> Result<(), Stop> {
        let statement = Arc::clone(&portal.statement);
        if statement.kind == Kind::Empty {
            return self.put(&EmptyQueryResponse::new());
        }
        let (body, sent, rows) = match &portal.progress {
            Progress::New => (self.run(&statement).await?, 0, self.rows_of(&statement)),
            Progress::Rows { body, sent, rows } => (body.clone(), *sent, *rows),
            Progress::Done => return Err(SqlError::new("55000", "portal cannot be run").into()),
        };
        let Some(columns) = &statement.columns else {
            portal.progress = Progress::Done;
            return self.complete(&statement.kind, rows);
        };
        let left = rows.saturating_sub(sent);
        let now = if limit == 0 { left } else { left.min(limit) };
        for row in sent..sent + now {
            rows::put(&mut self.connection.output, columns, &portal.formats, row, &body)?;
            self.connection.flush_if_full().await?;
        }
        portal.progress = Progress::Rows {
            body,
            sent: sent + now,
            rows,
        };
        if now < left {
            return self.put(&PortalSuspended::new());
        }
        self.complete(&statement.kind, now)
    }

    /// Lets the time of a statement pass. The body of its result.
    async fn run(&mut self, statement: &Statement<'_>) -> Result<Bytes, Stop> {
        if self.transaction == TransactionStatus::Error && !statement.kind.ends_error() {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(SqlError::new("25P02", message).into());
        }
        let request = Statement::request(&statement.sql);
        let endpoint = self.endpoint;
        let is_routed = statement.route != self.general;
        let body = match &statement.kind {
            Kind::Copy => return Err(SqlError::new("0A000", "COPY is not supported by the mock").into()),
            kind if kind.is_control() && !is_routed => Bytes::new(),
            _ => match self.connection.meanwhile(endpoint.answer(&request)).await? {
                Answer::Body { bytes, .. } => bytes,
                Answer::Error { code, message, .. } => {
                    return Err(SqlError::new(code.as_deref().unwrap_or("XX000"), message).into());
                }
                Answer::Overloaded => {
                    return Err(SqlError::new("53300", "the server is overloaded: its queue is full").into());
                }
                ending => return Err(Stop::End(Ending::from(ending))),
            },
        };
        Ok(match &statement.kind {
            Kind::Value(_, value) => Bytes::from(value.clone()),
            _ => body,
        })
    }

    /// The rows that a statement gives or changes. The first FETCH after a DECLARE gives all rows and the next ones none,
    /// because clients fetch until there are none.
    fn rows_of(&mut self, statement: &Statement<'_>) -> u32 {
        let ends = statement.kind == Kind::Query("FETCH") && std::mem::replace(&mut self.is_fetched, true);
        if ends { 0 } else { statement.rows }
    }

    /// Writes the tag of a statement, and changes the state as it does.
    fn complete(&mut self, kind: &Kind, rows: u32) -> Result<(), Stop> {
        let before = self.transaction;
        match kind {
            Kind::Begin(_) => self.transaction = TransactionStatus::Transaction,
            Kind::Commit | Kind::Rollback => self.transaction = TransactionStatus::Idle,
            Kind::RollbackTo if before == TransactionStatus::Error => {
                self.transaction = TransactionStatus::Transaction;
            }
            Kind::Session("DISCARD ALL" | "DEALLOCATE ALL") => self.statements = HashMap::new(),
            Kind::Deallocate(name) => drop(self.statements.remove(name)),
            Kind::Other(tag) if tag == "DECLARE CURSOR" => self.is_fetched = false,
            _ => {}
        }
        // A transaction with an error cannot be committed.
        let is_undone = *kind == Kind::Commit && before == TransactionStatus::Error;
        let tag = if is_undone {
            "ROLLBACK".to_owned()
        } else {
            kind.tag(rows)
        };
        self.put(&CommandComplete::new(tag))
    }

    fn failed(&mut self, error: &SqlError) -> Result<(), Stop> {
        if self.transaction == TransactionStatus::Transaction {
            self.transaction = TransactionStatus::Error;
        }
        Ok(error.put(&mut self.connection.output)?)
    }

    fn ready(&mut self) -> Result<(), Stop> {
        let transaction = self.transaction;
        self.put(&ReadyForQuery::new(transaction))
    }

    fn put(&mut self, message: &impl Message) -> Result<(), Stop> {
        message
            .encode(&mut self.connection.output)
            .map_err(io::Error::from)?;
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<&Arc<Statement<'a>>, SqlError> {
        self.statements.get(name).ok_or_else(|| no_statement(name))
    }
}

fn no_statement(name: &str) -> SqlError {
    SqlError::new("26000", format!("prepared statement \"{name}\" does not exist"))
}

fn no_portal(name: &str) -> SqlError {
    SqlError::new("34000", format!("portal \"{name}\" does not exist"))
}
