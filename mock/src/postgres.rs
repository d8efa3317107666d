//! PostgreSQL: version 3.0 of its protocol, with simple and extended queries.
//!
//! A result has the columns and rows of the route of its statement; a statement that changes rows changes as many.
//! Data is not stored and SQL is not checked. Any user may log in without a password and without encryption. COPY,
//! function calls and the request to cancel a query are refused or ignored.

mod error;
mod frontend;
mod lexer;
mod rows;
mod session;
mod startup;
mod statement;
#[cfg(test)]
mod tests;
mod types;

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, Ending, Transport, Wait};
use crate::endpoint::Endpoint;
use session::{Session, Stop};

/// Serves one accepted connection until it ends or `stop` is cancelled. What has arrived before is answered.
///
/// An error concerns this connection only: its client went away or did not read or write in time.
pub async fn serve(stream: TcpStream, endpoint: Arc<Endpoint>, stop: CancellationToken) -> io::Result<()> {
    converse(stream, &endpoint, &stop).await
}

/// Logs a client in and answers its messages until the connection ends.
async fn converse<S: Transport>(stream: S, endpoint: &Endpoint, stop: &CancellationToken) -> io::Result<()> {
    let mut connection = Connection::new(stream);
    let login = stop.run_until_cancelled(startup::login(&mut connection)).await;
    if let Some(ending) = login.unwrap_or(Ok(Some(Ending::Close)))? {
        return connection.end(ending, stop).await;
    }
    let mut session = Session::new(connection, endpoint);
    loop {
        let handled = match frontend::next(&mut session.connection.input) {
            Ok(Some(message)) => session.handle(message).await,
            Ok(None) => {
                session.connection.flush().await?;
                let wait = if session.connection.input.is_empty() {
                    Wait::Request
                } else {
                    Wait::Rest
                };
                let received = stop.run_until_cancelled(session.connection.receive(wait)).await;
                if !received.unwrap_or(Ok(false))? {
                    return Ok(());
                }
                Ok(())
            }
            Err(error) => Err(Stop::Error(error)),
        };
        let ending = match handled {
            Ok(()) => continue,
            Err(Stop::Error(error)) => {
                error.put(&mut session.connection.output)?;
                Ending::Close
            }
            Err(Stop::End(ending)) => ending,
            Err(Stop::Io(error)) => return Err(error),
        };
        return session.connection.end(ending, stop).await;
    }
}
