//! Listens on the addresses of all mocks and runs their connections until it is stopped.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::endpoint::Endpoint;
use crate::error::MockError;
use crate::report::{MockReport, Report, VERSION};
use crate::spec::{Listen, Mock, Mocks, Protocol};
use crate::{grpc, http, postgres, redis, tcp, timer};

/// Connections that the system has accepted and the mock has not; the system may have a lower limit
/// (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;
/// The pause after the system has refused to accept, which it does when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections may take to end after the stop, before they are closed.
const GRACE: Duration = Duration::from_secs(2);
/// After this time without an acknowledgement, a client is gone.
const CLIENT_GONE: Duration = Duration::from_mins(1);

/// Mocks that listen and do not serve yet. Connections wait in the backlog.
#[derive(Debug)]
pub struct Bound {
    mocks: Vec<BoundMock>,
}

#[derive(Debug)]
struct BoundMock {
    name: String,
    listen: Listen,
    listeners: Vec<(TcpListener, SocketAddr, Arc<Endpoint>)>,
}

/// A mock that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its first address, with the port that the system chose if it was 0.
    pub first: SocketAddr,
    /// The number of its endpoints. Their ports follow one another.
    pub endpoints: usize,
    /// The seed of its random draws.
    pub seed: u64,
}

/// Listens on all addresses of the mocks and serves them until `stop` is cancelled. Files of a mock are looked up in
/// `dir`.
pub async fn serve(mocks: &Mocks, dir: &Path, stop: CancellationToken) -> Result<Report, MockError> {
    let bound = bind(mocks, dir)?;
    Ok(bound.run(stop).await)
}

/// Listens on all addresses of the mocks. It has to be called inside a runtime of tokio.
pub fn bind(mocks: &Mocks, dir: &Path) -> Result<Bound, MockError> {
    let problems = mocks.problems();
    if !problems.is_empty() {
        return Err(MockError::Invalid { problems });
    }
    let bound = mocks.mocks.iter().map(|(name, mock)| bind_mock(name, mock, dir));
    Ok(Bound {
        mocks: bound.collect::<Result<_, _>>()?,
    })
}

fn bind_mock(name: &str, mock: &Mock, dir: &Path) -> Result<BoundMock, MockError> {
    let first = Arc::new(Endpoint::new(name, mock, dir)?);
    let mut listeners = Vec::with_capacity(mock.listen.count());
    for (index, address) in mock.listen.addresses().enumerate() {
        let failed = |source| MockError::Listen {
            mock: name.to_owned(),
            address,
            source,
        };
        let listener = listen(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let endpoint = match index {
            0 => Arc::clone(&first),
            _ => Arc::new(first.sibling(mock, index as u64)),
        };
        listeners.push((listener, bound, endpoint));
    }
    Ok(BoundMock {
        name: name.to_owned(),
        listen: mock.listen,
        listeners,
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A mock that was stopped can be started again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Bound {
    /// The mocks in the order of their file.
    pub fn listening(&self) -> impl Iterator<Item = Listening<'_>> {
        self.mocks.iter().filter_map(|mock| {
            let (_, first, endpoint) = mock.listeners.first()?;
            Some(Listening {
                name: &mock.name,
                protocol: endpoint.protocol(),
                first: *first,
                endpoints: mock.listeners.len(),
                seed: endpoint.seed(),
            })
        })
    }

    /// Serves until `stop` is cancelled. Then connections have two seconds to end before they are closed.
    pub async fn run(self, stop: CancellationToken) -> Report {
        let start = Instant::now();
        let connections = TaskTracker::new();
        let close = CancellationToken::new();
        let mut served = Vec::with_capacity(self.mocks.len());
        for mock in self.mocks {
            let endpoints = mock.listeners.len();
            let first = mock
                .listeners
                .first()
                .map(|(_, _, endpoint)| Arc::clone(endpoint));
            for (listener, _, endpoint) in mock.listeners {
                let acceptor = Acceptor {
                    listener,
                    endpoint,
                    stop: stop.clone(),
                    close: close.clone(),
                    connections: connections.clone(),
                };
                connections.spawn(acceptor.run());
            }
            if let Some(first) = first {
                served.push((mock.name, mock.listen, endpoints, first));
            }
        }
        stop.cancelled().await;
        let seconds = start.elapsed().as_secs_f64();
        connections.close();
        if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
            close.cancel();
            connections.wait().await;
        }
        let mocks = served.into_iter().map(|(name, listen, endpoints, first)| {
            let report = MockReport {
                protocol: first.protocol(),
                listen,
                endpoints,
                seed: first.seed(),
                observed: first.observed(),
            };
            (name, report)
        });
        Report {
            version: VERSION,
            seconds,
            mocks: mocks.collect(),
        }
    }
}

/// Accepts the connections of one endpoint.
struct Acceptor {
    listener: TcpListener,
    endpoint: Arc<Endpoint>,
    /// No more connections and requests.
    stop: CancellationToken,
    /// Connections that have not ended by themselves end now.
    close: CancellationToken,
    connections: TaskTracker,
}

impl Acceptor {
    async fn run(self) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.start(stream),
                // The client left before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    self.endpoint.accept_failed();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn start(&self, stream: TcpStream) {
        let Some(guard) = self.endpoint.connected() else {
            return;
        };
        prepare(&stream);
        let endpoint = Arc::clone(&self.endpoint);
        let stop = self.stop.clone();
        let close = self.close.clone();
        self.connections.spawn(async move {
            let _guard = guard;
            let delay = endpoint.limits().accept_delay.unwrap_or_default().0;
            let connection = async {
                if !delay.is_zero() {
                    timer::until(Instant::now() + delay).await;
                }
                // What a client does is no failure of the mock.
                let _ = run(stream, endpoint, stop).await;
            };
            close.run_until_cancelled(connection).await;
        });
    }
}

/// Answers are sent at once, and a client that is gone is noticed whatever the protocol.
fn prepare(stream: &TcpStream) {
    // A socket without these options works all the same.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(CLIENT_GONE));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(CLIENT_GONE));
}

async fn run(stream: TcpStream, endpoint: Arc<Endpoint>, stop: CancellationToken) -> io::Result<()> {
    // In a box each, so that the task of a connection is not as large as that of the largest protocol.
    match endpoint.protocol() {
        Protocol::Http => Box::pin(http::serve(stream, endpoint, stop)).await,
        Protocol::Tcp => Box::pin(tcp::serve(stream, endpoint, stop)).await,
        Protocol::Redis => Box::pin(redis::serve(stream, endpoint, stop)).await,
        Protocol::Postgres => Box::pin(postgres::serve(stream, endpoint, stop)).await,
        Protocol::Grpc => Box::pin(grpc::serve(stream, endpoint, stop)).await,
    }
}

/// Raises the limit of open files of this process to its hard limit, for many connections. Returns the limit.
pub fn raise_open_files() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

#[cfg(test)]
mod tests;
