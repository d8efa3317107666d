//! Mocks as clients see them: over TCP, with the bytes that clients send. Real clients are in `scripts/mock-check`.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vcluster_mock::report::Report;
use vcluster_mock::{serve, spec};

const PATIENCE: Duration = Duration::from_secs(30);

const MOCKS: &str = "
mocks:
  cache: { protocol: redis, listen: '127.0.0.1:0', body: { text: value } }
  shop: { protocol: postgres, listen: '127.0.0.1:0', columns: [{ name: id, type: int8 }], rows: 2 }
  stock: { protocol: grpc, listen: '127.0.0.1:0', body: { text: abc } }
";

/// Mocks that are served until `end`.
struct Served {
    addresses: HashMap<String, SocketAddr>,
    stop: CancellationToken,
    report: JoinHandle<Report>,
}

impl Served {
    fn new() -> Self {
        let mocks = spec::parse(MOCKS, Path::new("mocks.yaml")).unwrap();
        let bound = serve::bind(&mocks, Path::new(".")).unwrap();
        let addresses = bound
            .listening()
            .map(|mock| (mock.name.to_owned(), mock.first))
            .collect();
        let stop = CancellationToken::new();
        let report = tokio::spawn(bound.run(stop.clone()));
        Self {
            addresses,
            stop,
            report,
        }
    }

    async fn connect(&self, mock: &str) -> TcpStream {
        TcpStream::connect(self.addresses[mock]).await.unwrap()
    }

    /// What a client receives that sends this and then no more.
    async fn received(&self, mock: &str, sent: &[u8]) -> Vec<u8> {
        let mut client = self.connect(mock).await;
        // A mock that refuses what was sent may have closed the connection meanwhile.
        let _ = client.write_all(sent).await;
        let _ = client.shutdown().await;
        let mut received = Vec::new();
        let _ = timeout(PATIENCE, client.read_to_end(&mut received))
            .await
            .unwrap();
        received
    }

    async fn end(self) -> Report {
        self.stop.cancel();
        timeout(PATIENCE, self.report).await.unwrap().unwrap()
    }
}

/// The login of a client of PostgreSQL without parameters.
fn login() -> Vec<u8> {
    b"\0\0\0\x09\0\x03\0\0\0".to_vec()
}

fn query(sql: &str) -> Vec<u8> {
    let mut message = b"Q".to_vec();
    message.extend_from_slice(&(sql.len() as u32 + 5).to_be_bytes());
    message.extend_from_slice(sql.as_bytes());
    message.push(0);
    message
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A field of a head in HPACK, without compression; `name` is a number in its table, or a text.
fn field(name: &[u8], value: &str) -> Vec<u8> {
    let mut field = name.to_vec();
    field.push(value.len() as u8);
    field.extend_from_slice(value.as_bytes());
    field
}

/// The call of a client of gRPC, as the first one of a connection.
fn call(path: &str) -> Vec<u8> {
    let head = [
        // POST and http are 3 and 6 in the table, `:path` is 4, `:authority` 1, `content-type` 31.
        b"\x83\x86".to_vec(),
        field(b"\x04", path),
        field(b"\x01", "stock"),
        field(b"\x0f\x10", "application/grpc"),
        field(b"\0\x02te", "trailers"),
    ]
    .concat();
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, b""),
        frame(1, 4, 1, &head),
        frame(0, 1, 1, b"\0\0\0\0\x02hi"),
    ]
    .concat()
}

/// The next frame: kind, flags, stream, payload.
async fn next_frame(client: &mut TcpStream) -> (u8, u8, u32, Vec<u8>) {
    let mut head = [0; 9];
    timeout(PATIENCE, client.read_exact(&mut head))
        .await
        .unwrap()
        .unwrap();
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    timeout(PATIENCE, client.read_exact(&mut payload))
        .await
        .unwrap()
        .unwrap();
    (kind, flags, u32::from_be_bytes(stream), payload)
}

#[tokio::test]
async fn a_pipeline_of_redis_is_answered_completely_and_in_order() {
    let served = Served::new();
    let mut sent = Vec::new();
    let mut expected = Vec::new();
    for _ in 0..5000 {
        sent.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n");
        expected.extend_from_slice(b"$5\r\nvalue\r\n+OK\r\n");
    }
    let mut client = served.connect("cache").await;
    let (mut reading, mut writing) = client.split();
    let mut received = vec![0; expected.len()];
    let exchange = async { tokio::join!(writing.write_all(&sent), reading.read_exact(&mut received)) };
    let (written, read) = timeout(PATIENCE, exchange).await.unwrap();
    written.unwrap();
    read.unwrap();
    assert!(received == expected);
    let report = served.end().await;
    assert_eq!(report.mocks["cache"].observed.answered, 10_000);
    assert_eq!(report.mocks["cache"].observed.connections, 1);
}

#[tokio::test]
async fn a_client_of_postgresql_logs_in_and_reads_rows() {
    let served = Served::new();
    let received = served
        .received("shop", &[login(), query("select id from t")].concat())
        .await;
    assert!(
        received.starts_with(b"R\0\0\0\x08\0\0\0\0S"),
        "{}",
        received.escape_ascii()
    );
    let rows = b"D\0\0\0\x0b\0\x01\0\0\0\x011D\0\0\0\x0b\0\x01\0\0\0\x012C\0\0\0\x0dSELECT 2\0Z\0\0\0\x05I";
    assert!(received.ends_with(rows), "{}", received.escape_ascii());
    assert_eq!(served.end().await.mocks["shop"].observed.answered, 1);
}

#[tokio::test]
async fn a_call_of_grpc_gets_its_message_and_then_its_trailers() {
    let served = Served::new();
    let mut client = served.connect("stock").await;
    client.write_all(&call("/stock.Items/Get")).await.unwrap();
    let mut frames = Vec::new();
    loop {
        let (kind, flags, stream, payload) = next_frame(&mut client).await;
        if stream == 1 && kind <= 1 {
            let is_last = flags & 1 == 1;
            frames.push((kind, is_last, payload));
            if is_last {
                break;
            }
        }
    }
    let kinds: Vec<(u8, bool)> = frames
        .iter()
        .map(|(kind, is_last, _)| (*kind, *is_last))
        .collect();
    assert_eq!(kinds, [(1, false), (0, false), (1, true)]);
    assert_eq!(frames[1].2, b"\0\0\0\0\x03abc");
    drop(client);
    assert_eq!(served.end().await.mocks["stock"].observed.answered, 1);
}

#[tokio::test]
async fn clients_of_another_protocol_do_not_disturb_a_mock() {
    let served = Served::new();
    let http = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec();
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    for mock in ["cache", "shop", "stock"] {
        for sent in [
            http.clone(),
            tls.clone(),
            vec![0; 100_000],
            vec![0xff; 100_000],
            vec![b'\n'; 100_000],
        ] {
            served.received(mock, &sent).await;
        }
    }
    assert!(served.received("shop", &http).await.starts_with(b"E"));
    assert_eq!(served.received("cache", b"PING\r\n").await, b"+PONG\r\n");
    assert!(
        served
            .received("shop", &[login(), query("select 1")].concat())
            .await
            .ends_with(b"I")
    );
    let report = served.end().await;
    assert_eq!(report.mocks["shop"].observed.answered, 1);
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_stop() {
    let served = Served::new();
    let mut clients = Vec::new();
    for mock in ["cache", "shop", "stock"] {
        for _ in 0..50 {
            clients.push(served.connect(mock).await);
        }
    }
    let mut last = served.connect("cache").await;
    last.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 7];
    timeout(PATIENCE, last.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let begun = std::time::Instant::now();
    let report = served.end().await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(report.mocks["cache"].observed.requests, 0);
}
