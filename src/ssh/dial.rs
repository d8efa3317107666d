//! Opens a TCP connection to a machine. Its addresses are tried in turn, the next one while the one before it has not
//! answered yet (RFC 8305), so an address that leads nowhere costs a fraction of a second.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::SshError;
use super::transport::Peer;

/// How long the kernel of a host may leave sent data unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_mins(2);

/// How long an address may leave a connection unanswered until the next one is tried too (RFC 8305, section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Where a connection begins, if not where the routes of this machine say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// An address of this machine.
    pub(super) address: Option<IpAddr>,
    /// A network interface of this machine.
    pub(super) interface: Option<String>,
}

impl Source {
    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        if *self == Self::default() {
            return TcpStream::connect(to).await;
        }
        let socket = if to.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        let with = |what: String| {
            move |error: io::Error| io::Error::new(error.kind(), format!("cannot use {what}: {error}"))
        };
        if let Some(name) = &self.interface {
            let bound = socket.bind_device(Some(name.as_bytes()));
            bound.map_err(with(format!("the interface `{name}`")))?;
        }
        if let Some(address) = self.address {
            let bound = socket.bind(SocketAddr::new(address, 0));
            bound.map_err(with(format!("the address {address}")))?;
        }
        socket.connect(to).await
    }
}

/// Opens the socket, with TCP_NODELAY. Data sent to a host must be acknowledged in time: its kernel does that however
/// busy the host is. A node may be paused for longer. The error names the last real error of each address.
pub(super) async fn socket(
    target: &str,
    addresses: &[SocketAddr],
    source: &Source,
    peer: Peer,
    until: Option<Instant>,
) -> Result<TcpStream, SshError> {
    let mut waiting = alternating(addresses);
    let mut attempts = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        if let Some(address) = waiting.pop_front() {
            attempts.push(attempt(source, address, until));
        }
        tokio::select! {
            Some((address, opened)) = attempts.next() => match opened {
                Ok(stream) => {
                    prepare(&stream, peer);
                    return Ok(stream);
                }
                Err(error) => failures.push((address, error)),
            },
            () = sleep(NEXT_ADDRESS), if !waiting.is_empty() => {}
            else => break,
        }
    }
    Err(SshError::Connect {
        target: target.to_owned(),
        source: together(failures),
    })
}

async fn attempt(
    source: &Source,
    address: SocketAddr,
    until: Option<Instant>,
) -> (SocketAddr, io::Result<TcpStream>) {
    let connect = source.connect(address);
    let Some(until) = until else {
        return (address, connect.await);
    };
    let allowed = until.saturating_duration_since(Instant::now());
    let opened = timeout_at(until, connect).await;
    let silent = |_| {
        let text = format!("no answer within {:.1} s", allowed.as_secs_f64());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    };
    (address, opened.unwrap_or_else(silent))
}

fn prepare(stream: &TcpStream, peer: Peer) {
    let _ = stream.set_nodelay(true);
    if peer == Peer::Host {
        let limit = nix::sys::socket::sockopt::TcpUserTimeout;
        let milliseconds = UNACKNOWLEDGED.as_millis() as u32;
        let _ = nix::sys::socket::setsockopt(stream, limit, &milliseconds);
    }
}

/// The addresses in the order of the system, but with the families in turn.
fn alternating(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first() else {
        return VecDeque::new();
    };
    let (mut own, mut other): (VecDeque<SocketAddr>, VecDeque<SocketAddr>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut order = VecDeque::with_capacity(addresses.len());
    while !own.is_empty() || !other.is_empty() {
        order.extend(own.pop_front());
        order.extend(other.pop_front());
    }
    order
}

/// The failures of all addresses as one error.
fn together(mut failures: Vec<(SocketAddr, io::Error)>) -> io::Error {
    let Some((last, error)) = failures.pop() else {
        return io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    };
    if failures.is_empty() {
        return error;
    }
    let mut text = String::new();
    for (address, error) in &failures {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}: {error}; ", address.ip());
    }
    let _ = write!(text, "{}: {error}", last.ip());
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// A connection to a host, from wherever the routes say.
    async fn dialled(addresses: &[SocketAddr], until: Option<Instant>) -> Result<TcpStream, SshError> {
        socket("bm01", addresses, &Source::default(), Peer::Host, until).await
    }

    #[test]
    fn the_families_take_turns() {
        let addresses = ["[fd00::1]:22", "[fd00::2]:22", "10.0.0.1:22", "10.0.0.2:22"].map(at);
        let order: Vec<String> = alternating(&addresses).iter().map(ToString::to_string).collect();
        assert_eq!(
            order,
            ["[fd00::1]:22", "10.0.0.1:22", "[fd00::2]:22", "10.0.0.2:22"]
        );
        assert!(alternating(&[]).is_empty());
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_keep_the_next_one_waiting() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let addresses = [at("127.0.0.1:1"), good];
        let stream = dialled(&addresses, None).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
    }

    #[tokio::test]
    async fn a_connection_begins_at_the_address_that_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = [listener.local_addr().unwrap()];
        let from = |text: &str| Source {
            address: Some(text.parse().unwrap()),
            interface: None,
        };
        let stream = socket("bm01", &to, &from("127.0.0.9"), Peer::Host, None)
            .await
            .unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), at("127.0.0.9:1").ip());
        let error = socket("bm01", &to, &from("192.0.2.1"), Peer::Host, None)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("cannot use the address 192.0.2.1"),
            "{error}"
        );
    }

    /// A listener whose queue is full does not answer further connections.
    #[tokio::test]
    async fn an_address_that_does_not_answer_does_not_keep_the_next_one_waiting() {
        let full = tokio::net::TcpSocket::new_v4().unwrap();
        full.bind(at("127.0.0.1:0")).unwrap();
        let full = full.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let brief = Duration::from_millis(200);
        let mut queued = Vec::new();
        while let Ok(stream) = tokio::time::timeout(brief, TcpStream::connect(silent)).await {
            queued.push(stream.unwrap());
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let stream = dialled(&[silent, good], None).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        // The second address is tried before the first one has run out of time.
        let until = Instant::now() + 2 * NEXT_ADDRESS;
        let error = dialled(&[silent, at("127.0.0.1:1")], Some(until))
            .await
            .unwrap_err()
            .to_string();
        for part in ["no answer within 0.5 s", "Connection refused"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn every_address_is_named_with_its_error() {
        let addresses = [at("127.0.0.1:1"), at("127.0.0.2:1")];
        let error = dialled(&addresses, None).await.unwrap_err();
        let text = error.to_string();
        for part in [
            "bm01",
            "127.0.0.1: Connection refused",
            "127.0.0.2: Connection refused",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let error = dialled(&addresses[..1], None).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot connect to bm01: Connection refused"),
            "{error}"
        );
    }
}
