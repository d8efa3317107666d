//! A proxy that records how long a service takes, while it forwards all bytes unchanged.
//!
//! The time of a request is from the moment its last byte arrives here to the moment the answer begins (Redis: is
//! complete) here. A request that waits behind an earlier one of its connection begins when that one is answered. For
//! TCP, the time is that of the connection.
//!
//! Its own cost is a copy of each byte; the two connections and their buffers of 16 KiB are all that it keeps.

mod connection;
mod http;
mod redis;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::spec::Protocol;
use watch::{Clock, Watch};
use writer::Writer;

/// Connections at a time; further ones wait until one ends.
const MAX_CONNECTIONS: usize = 20_000;

/// Time to connect to the service.
const CONNECT: Duration = Duration::from_secs(10);

/// Pause after a connection that could not be accepted, usually because of the limit of open files.
const PAUSE: Duration = Duration::from_millis(100);

/// What is recorded, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients connect to.
    pub listen: SocketAddr,
    /// The service, as `HOST:PORT`.
    pub to: String,
    /// What is spoken: by message for HTTP, by command for Redis, by connection otherwise.
    pub protocol: Protocol,
    /// The file of JSON lines. It must not exist.
    pub out: PathBuf,
}

/// What was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Requests that were written.
    pub requests: u64,
    /// Requests that were not written, because the disk was too slow.
    pub dropped: u64,
    /// Connections.
    pub connections: u64,
    /// Connections for which the service could not be reached.
    pub unreachable: u64,
    /// Connections that spoke another protocol, or a part of it that is not recorded. They were forwarded.
    pub not_understood: u64,
}

/// Why nothing could be recorded.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address cannot be listened on.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be created or written.
    #[error("failed to write the recording {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The protocol cannot be recorded.
    #[error("requests of {0} cannot be recorded")]
    Protocol(&'static str),
}

impl ProxyError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Listen { .. } => Some("choose another port with --listen"),
            Self::Write { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Some("a recording is never overwritten: choose another file with --out, or remove it")
            }
            Self::Write { .. } => Some("choose another file with --out, on a disk with free space"),
            Self::Protocol(_) => {
                Some("record http, redis or tcp; write JSON lines for anything else (docs/mocks.md)")
            }
        }
    }
}

/// What all connections share.
struct Shared {
    to: String,
    protocol: Protocol,
    clock: Clock,
    writer: Writer,
    unreachable: AtomicU64,
    not_understood: AtomicU64,
}

/// A proxy that listens.
pub struct Proxy {
    listener: TcpListener,
    shared: Arc<Shared>,
    written: tokio::task::JoinHandle<std::io::Result<u64>>,
    out: PathBuf,
}

impl Proxy {
    /// Listens, and creates the file.
    pub async fn bind(options: &Options) -> Result<Self, ProxyError> {
        if matches!(options.protocol, Protocol::Grpc | Protocol::Postgres) {
            return Err(ProxyError::Protocol(options.protocol.as_str()));
        }
        let listener = TcpListener::bind(options.listen).await;
        let listener = listener.map_err(|source| ProxyError::Listen {
            address: options.listen,
            source,
        })?;
        let (writer, written) =
            Writer::create(&options.out).map_err(|source| write_error(&options.out, source))?;
        Ok(Self {
            listener,
            shared: Arc::new(Shared {
                to: options.to.clone(),
                protocol: options.protocol,
                clock: Clock::start(),
                writer,
                unreachable: AtomicU64::new(0),
                not_understood: AtomicU64::new(0),
            }),
            written,
            out: options.out.clone(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Forwards and records until `stop` is cancelled or the file cannot be written.
    pub async fn run(self, stop: CancellationToken) -> Result<Summary, ProxyError> {
        let Self {
            listener,
            shared,
            mut written,
            out,
        } = self;
        let mut connections = JoinSet::new();
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut count = 0;
        let ended_early = loop {
            let accepted = async {
                // The semaphore is never closed.
                let permit = Arc::clone(&permits).acquire_owned().await;
                (listener.accept().await, permit)
            };
            tokio::select! {
                () = stop.cancelled() => break None,
                result = &mut written => break Some(result),
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                (accepted, permit) = accepted => match accepted {
                    Ok((client, _)) => {
                        count += 1;
                        let shared = Arc::clone(&shared);
                        connections.spawn(async move {
                            serve(client, &shared).await;
                            drop(permit);
                        });
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
            }
        };
        drop(listener);
        // What is open is cut, as its clients would cut it; what it has recorded is written.
        connections.shutdown().await;
        let mut summary = Summary {
            requests: 0,
            dropped: shared.writer.dropped(),
            connections: count,
            unreachable: shared.unreachable.load(Ordering::Relaxed),
            not_understood: shared.not_understood.load(Ordering::Relaxed),
        };
        // The writer ends when nothing can send to it any more.
        drop(shared);
        let result = match ended_early {
            Some(result) => result,
            None => written.await,
        };
        let result = result.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        summary.requests = result.map_err(|source| write_error(&out, source))?;
        Ok(summary)
    }
}

fn write_error(path: &Path, source: std::io::Error) -> ProxyError {
    ProxyError::Write {
        path: path.to_owned(),
        source,
    }
}

/// What reads connections of a protocol.
fn watch_of(protocol: Protocol) -> Box<dyn Watch> {
    match protocol {
        Protocol::Http => Box::new(http::Http::default()),
        Protocol::Redis => Box::new(redis::Redis::default()),
        Protocol::Tcp | Protocol::Postgres | Protocol::Grpc => Box::new(watch::Connection::default()),
    }
}

/// Forwards one connection.
async fn serve(client: TcpStream, shared: &Shared) {
    let Ok(Ok(server)) = timeout(CONNECT, TcpStream::connect(&shared.to)).await else {
        shared.unreachable.fetch_add(1, Ordering::Relaxed);
        return;
    };
    // Small messages must not wait for more of them here.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let mut watch = watch_of(shared.protocol);
    watch.begin(shared.clock.now());
    let recorder = connection::Recorder::new(watch, &shared.clock, &shared.writer);
    connection::forward(client, server, &recorder).await;
    if !recorder.finish() {
        shared.not_understood.fetch_add(1, Ordering::Relaxed);
    }
}
