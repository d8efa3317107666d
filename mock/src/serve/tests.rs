use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::*;
use crate::spec;

const PATIENCE: Duration = Duration::from_secs(30);

fn mocks(text: &str) -> Mocks {
    spec::parse(text, Path::new("mocks.yaml")).unwrap()
}

async fn ask(address: SocketAddr) -> Vec<u8> {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"x").await.unwrap();
    client.shutdown().await.unwrap();
    let mut received = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut received))
        .await
        .unwrap()
        .unwrap();
    received
}

#[tokio::test]
async fn mocks_are_served_until_the_stop_and_then_reported() {
    let mocks = mocks(
        "mocks:
  a: { protocol: tcp, listen: 127.0.0.1:0, body: { text: first } }
  b: { protocol: tcp, listen: 127.0.0.1:0, seed: 7, body: { text: second } }
",
    );
    let bound = bind(&mocks, Path::new("/")).unwrap();
    let addresses: Vec<SocketAddr> = bound.listening().map(|mock| mock.first).collect();
    let stop = CancellationToken::new();
    let served = tokio::spawn(bound.run(stop.clone()));
    assert_eq!(ask(addresses[0]).await, b"first");
    assert_eq!(ask(addresses[1]).await, b"second");
    assert_eq!(ask(addresses[1]).await, b"second");
    stop.cancel();
    let report = timeout(PATIENCE, served).await.unwrap().unwrap();
    assert_eq!(report.mocks["a"].observed.answered, 1);
    assert_eq!(report.mocks["b"].observed.answered, 2);
    assert_eq!(report.mocks["b"].observed.connections, 2);
    assert_eq!(report.mocks["b"].seed, 7);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["mocks"]["a"]["protocol"], "tcp");
    assert_eq!(json["mocks"]["a"]["requests"], 1);
}

#[tokio::test]
async fn connections_that_do_not_end_are_closed_after_the_stop() {
    let mocks = mocks("mocks: { a: { protocol: tcp, listen: 127.0.0.1:0, latency: { constant: 1h } } }");
    let bound = bind(&mocks, Path::new("/")).unwrap();
    let address = bound.listening().next().unwrap().first;
    let stop = CancellationToken::new();
    let served = tokio::spawn(bound.run(stop.clone()));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"x").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.cancel();
    let report = timeout(PATIENCE, served).await.unwrap().unwrap();
    assert_eq!(report.mocks["a"].observed.answered, 0);
}

#[tokio::test]
async fn a_connection_beyond_the_most_is_closed_at_once() {
    let mocks = mocks(
        "mocks: { a: { protocol: tcp, listen: 127.0.0.1:0, connection: { max: 1 }, body: { text: b } } }",
    );
    let bound = bind(&mocks, Path::new("/")).unwrap();
    let address = bound.listening().next().unwrap().first;
    let stop = CancellationToken::new();
    let served = tokio::spawn(bound.run(stop.clone()));
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(b"x").await.unwrap();
    let mut byte = [0];
    timeout(PATIENCE, first.read_exact(&mut byte))
        .await
        .unwrap()
        .unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(
        timeout(PATIENCE, second.read(&mut byte)).await.unwrap().unwrap(),
        0
    );
    stop.cancel();
    let report = timeout(PATIENCE, served).await.unwrap().unwrap();
    let observed = &report.mocks["a"].observed;
    assert_eq!((observed.connections, observed.connections_refused), (1, 1));
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_with_its_mock() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = format!("mocks: {{ a: {{ protocol: tcp, listen: '127.0.0.1:{port}' }} }}");
    let error = bind(&mocks(&text), Path::new("/")).unwrap_err();
    assert!(error.to_string().contains("for `a`"), "{error}");
    assert!(error.hint().unwrap().contains("ss -ltnp"), "{error}");
}
