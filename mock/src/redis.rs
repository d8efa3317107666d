//! Redis: RESP2, and RESP3 after `HELLO 3`.
//!
//! A connection is answered in order, also where its client sends several commands before it reads. Transactions
//! (MULTI, EXEC) run their commands at EXEC. Data is not stored: a command gets the body of its route as the kind of
//! reply that its clients expect.

mod command;
mod control;
mod reply;
mod request;
mod shape;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, Ending, Transport, Wait};
use crate::endpoint::{Answer, Endpoint, Request};
use command::Command;
use reply::{Reply, Version};
use request::Reader;
use shape::Shape;

/// Most commands of a transaction.
const MOST_QUEUED: usize = 1024;

/// Most bytes that the commands of a transaction keep.
const MOST_QUEUED_BYTES: usize = 1024 * 1024;

/// Serves one accepted connection until it ends or `stop` is cancelled. What has arrived before is answered.
///
/// An error concerns this connection only: its client went away or did not read or write in time.
pub async fn serve(stream: TcpStream, endpoint: Arc<Endpoint>, stop: CancellationToken) -> io::Result<()> {
    converse(stream, &endpoint, &stop).await
}

/// Answers the commands of a connection until it ends.
async fn converse<S: Transport>(stream: S, endpoint: &Endpoint, stop: &CancellationToken) -> io::Result<()> {
    let mut reader = Reader::default();
    let mut session = Session::new(Connection::new(stream), endpoint);
    loop {
        match reader.read(&mut session.connection.input) {
            Ok(true) => {
                if let Some(ending) = session.run(reader.command()).await? {
                    return session.connection.end(ending, stop).await;
                }
            }
            Ok(false) => {
                session.connection.flush().await?;
                let idle = reader.is_between_commands() && session.connection.input.is_empty();
                let wait = if idle { Wait::Request } else { Wait::Rest };
                let received = stop.run_until_cancelled(session.connection.receive(wait)).await;
                if !received.unwrap_or(Ok(false))? {
                    return Ok(());
                }
            }
            Err(error) => {
                session.send(&Reply::error(error)).await?;
                return session.connection.end(Ending::Close, stop).await;
            }
        }
    }
}

/// The commands of a transaction that has begun.
#[derive(Debug, Default)]
struct Queue {
    commands: Vec<Command>,
    bytes: usize,
    /// Whether a command was refused, so that EXEC is refused too.
    aborted: bool,
}

struct Session<'a, S> {
    connection: Connection<S>,
    endpoint: &'a Endpoint,
    version: Version,
    queue: Option<Queue>,
    /// The route of requests that no other is for, or the one that is for all.
    general: usize,
}

impl<'a, S: Transport> Session<'a, S> {
    fn new(connection: Connection<S>, endpoint: &'a Endpoint) -> Self {
        let nothing = Request {
            method: "",
            path: "",
            body: b"",
        };
        Self {
            connection,
            endpoint,
            version: Version::default(),
            queue: None,
            general: endpoint.route_of(&nothing),
        }
    }

    async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        reply.send(&mut self.connection, self.version).await
    }

    /// Answers a command. If the connection ends after it: how.
    async fn run(&mut self, command: &Command) -> io::Result<Option<Ending>> {
        let name = command.name();
        match name.as_str() {
            "MULTI" => {
                let nested = self.queue.is_some();
                self.queue.get_or_insert_default();
                let reply = if nested {
                    Reply::error("MULTI calls can not be nested")
                } else {
                    Reply::Simple("OK")
                };
                self.send(&reply).await?;
            }
            "DISCARD" => {
                let begun = self.queue.take().is_some();
                let reply = if begun {
                    Reply::Simple("OK")
                } else {
                    Reply::error("DISCARD without MULTI")
                };
                self.send(&reply).await?;
            }
            "EXEC" => return self.execute().await,
            "QUIT" => {
                self.send(&Reply::Simple("OK")).await?;
                return Ok(Some(Ending::Close));
            }
            _ if self.queue.is_some() && name != "RESET" => {
                let reply = self.queued(command);
                self.send(&reply).await?;
            }
            _ => return self.answer(&name, command).await,
        }
        Ok(None)
    }

    /// Keeps a command for EXEC.
    fn queued(&mut self, command: &Command) -> Reply {
        let queue = self.queue.get_or_insert_default();
        let kept = command.clone();
        queue.bytes += kept.allocated() + size_of::<Command>();
        if queue.commands.len() >= MOST_QUEUED || queue.bytes > MOST_QUEUED_BYTES {
            queue.aborted = true;
            queue.commands = Vec::new();
            return Reply::error("the transaction is too large for the mock");
        }
        queue.commands.push(kept);
        Reply::Simple("QUEUED")
    }

    /// Answers the commands of a transaction, each with its own service time.
    async fn execute(&mut self) -> io::Result<Option<Ending>> {
        let Some(queue) = self.queue.take() else {
            self.send(&Reply::error("EXEC without MULTI")).await?;
            return Ok(None);
        };
        if queue.aborted {
            let aborted = "EXECABORT Transaction discarded because of previous errors.";
            self.send(&Reply::Error(aborted.to_owned())).await?;
            return Ok(None);
        }
        reply::head(&mut self.connection.output, '*', queue.commands.len());
        for command in &queue.commands {
            if let Some(ending) = self.answer(&command.name(), command).await? {
                return Ok(Some(ending));
            }
        }
        Ok(None)
    }

    async fn answer(&mut self, name: &str, command: &Command) -> io::Result<Option<Ending>> {
        let key = String::from_utf8_lossy(command.argument(1).unwrap_or_default());
        let request = Request {
            method: name,
            path: &key,
            body: command.argument(2).unwrap_or_default(),
        };
        let is_control = control::is_control(name);
        if is_control && self.endpoint.route_of(&request) == self.general {
            let reply = control::reply(name, command, &mut self.version);
            self.reset_after(name);
            self.send(&reply).await?;
            return Ok(None);
        }
        let endpoint = self.endpoint;
        let reply = match self.connection.meanwhile(endpoint.answer(&request)).await? {
            Answer::Body { .. } if is_control => {
                self.reset_after(name);
                control::reply(name, command, &mut self.version)
            }
            Answer::Body { bytes, .. } => Shape::of(name, command).reply(bytes, command),
            Answer::Error { code, message, .. } => {
                Reply::Error(format!("{} {message}", code.as_deref().unwrap_or("ERR")))
            }
            Answer::Overloaded => Reply::error("the server is overloaded: its queue is full"),
            ending => return Ok(Some(Ending::from(ending))),
        };
        self.send(&reply).await?;
        Ok(None)
    }

    /// RESET ends a transaction.
    fn reset_after(&mut self, name: &str) {
        if name == "RESET" {
            self.queue = None;
        }
    }
}
