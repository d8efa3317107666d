use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::SendRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::spec;

const PATIENCE: Duration = Duration::from_secs(30);

/// A mock that serves one connection, and that connection.
struct World {
    client: TcpStream,
    endpoint: Arc<Endpoint>,
    stop: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

/// A mock of HTTP with these further keys.
async fn world(keys: &str) -> World {
    let text = format!(r#"{{"protocol": "http", "listen": 1{keys}}}"#);
    let mock: spec::Mock = serde_json::from_str(&text).unwrap();
    let endpoint = Arc::new(Endpoint::new("a", &mock, Path::new("/")).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(stream, Arc::clone(&endpoint), stop.clone()));
    World {
        client,
        endpoint,
        stop,
        server,
    }
}

impl World {
    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// All that is received until the mock closes the connection.
    async fn rest(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        let read = timeout(PATIENCE, self.client.read_to_end(&mut bytes))
            .await
            .unwrap();
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// All that is received for a request that asks for the end of the connection.
    async fn get(&mut self, path: &str) -> io::Result<String> {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        ))
        .await;
        self.rest().await
    }

    async fn ended(self) {
        drop(self.client);
        let _ = timeout(PATIENCE, self.server).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_request_gets_the_body_of_its_route() {
    let keys = r#", "body": {"text": "other"}, "routes": [
        {"match": {"method": "GET", "path": "/items/*"}, "body": {"text": "{\"id\": \"{{request.path}}\"}"}}]"#;
    let mut world = world(keys).await;
    world.send("GET /items/7?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    world
        .send("POST /items/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
        .await;
    let received = world.rest().await.unwrap();
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    assert!(
        received.contains("content-type: application/json\r\n"),
        "{received}"
    );
    assert!(
        received.contains("\r\n\r\n{\"id\": \"/items/7\"}HTTP/1.1 200 OK"),
        "{received}"
    );
    assert!(received.ends_with("\r\n\r\nother"), "{received}");
    let observed = world.endpoint.observed();
    assert_eq!((observed.requests, observed.answered), (2, 2));
    assert_eq!(observed.routes[0].requests, 1);
    world.ended().await;
}

#[tokio::test]
async fn an_error_has_its_status() {
    let mut world =
        world(r#", "errors": {"rate": 1, "kind": "status", "status": 429, "message": "slow down"}"#).await;
    let received = world.get("/").await.unwrap();
    assert!(
        received.starts_with("HTTP/1.1 429 Too Many Requests\r\n"),
        "{received}"
    );
    assert!(received.ends_with("slow down"), "{received}");
    world.ended().await;
}

#[tokio::test]
async fn a_full_queue_is_a_503() {
    let keys = r#", "capacity": {"workers": 1, "queue": 0}, "latency": {"constant": "1h"}"#;
    let mut world = world(keys).await;
    let endpoint = Arc::clone(&world.endpoint);
    let request = endpoint_request();
    // Takes the only worker.
    let mut first = Box::pin(endpoint.answer(&request));
    assert!(futures::poll!(&mut first).is_pending());
    let received = world.get("/").await.unwrap();
    assert!(
        received.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{received}"
    );
    world.ended().await;
}

fn endpoint_request() -> crate::endpoint::Request<'static> {
    crate::endpoint::Request {
        method: "GET",
        path: "/",
        body: b"",
    }
}

#[tokio::test]
async fn faults_end_the_connection_in_their_own_way() {
    let keys = |kind: &str| format!(r#", "errors": {{"rate": 1, "kind": "{kind}"}}"#);
    let mut empty = world(&keys("empty_response")).await;
    assert_eq!(empty.get("/").await.unwrap(), "");
    empty.ended().await;
    let mut random = world(&keys("random_data_then_close")).await;
    let received = random.get("/").await.unwrap();
    assert!(
        !received.is_empty() && !received.starts_with("HTTP"),
        "{received}"
    );
    random.ended().await;
    let mut reset = world(&keys("connection_reset_by_peer")).await;
    let error = reset.get("/").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    reset.ended().await;
}

#[tokio::test]
async fn a_request_without_an_answer_ends_when_the_client_leaves_or_the_mock_stops() {
    let keys = r#", "errors": {"rate": 1, "kind": "timeout"}"#;
    let mut leaves = world(keys).await;
    leaves.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    leaves.ended().await;
    let mut stops = world(keys).await;
    stops.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let endpoint = Arc::clone(&stops.endpoint);
    let arrived = async {
        while endpoint.observed().errors.is_empty() {
            sleep(PEEK_PAUSE).await;
        }
    };
    timeout(PATIENCE, arrived).await.unwrap();
    stops.stop.cancel();
    assert_eq!(stops.rest().await.unwrap(), "");
    stops.ended().await;
}

#[tokio::test]
async fn a_body_in_pieces_is_sent_in_chunks() {
    let mut world = world(r#", "body": {"text": "abcdef"}, "chunks": {"count": 3, "duration": "2ms"}"#).await;
    let received = world.get("/").await.unwrap();
    assert!(received.contains("transfer-encoding: chunked"), "{received}");
    assert!(
        received.ends_with("2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n0\r\n\r\n"),
        "{received}"
    );
    world.ended().await;
}

#[tokio::test]
async fn hostile_heads_are_refused() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(40_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(2_000));
    for head in [
        long.as_str(),
        many.as_str(),
        "\u{0}\u{1}\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut world = world("").await;
        // The mock may close the connection before all of it is sent.
        let _ = world.client.write_all(head.as_bytes()).await;
        if let Ok(received) = world.rest().await {
            assert!(
                received.is_empty() || received.starts_with("HTTP/1.1 4"),
                "{received}"
            );
        }
        assert_eq!(world.endpoint.observed().requests, 0);
        world.ended().await;
    }
}

#[tokio::test]
async fn an_idle_connection_ends_with_the_stop() {
    let mut idle = world("").await;
    idle.stop.cancel();
    assert_eq!(idle.rest().await.unwrap(), "");
    idle.ended().await;
}

/// A client of HTTP/2 on the connection of a world, and its task.
async fn two(
    world: World,
) -> (
    SendRequest<Empty<Bytes>>,
    JoinHandle<io::Result<()>>,
    Arc<Endpoint>,
) {
    let io = TokioIo::new(world.client);
    let (calls, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    (calls, world.server, world.endpoint)
}

fn two_request(method: &str, path: &str) -> hyper::Request<Empty<Bytes>> {
    let request = hyper::Request::builder().method(method);
    request.uri(format!("http://a{path}")).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn responses_of_http2_that_have_no_body_are_sent_without_one() {
    let keys = r#", "body": {"text": "abc"}, "routes": [
        {"match": {"path": "/none"}, "errors": {"rate": 1, "kind": "status", "status": 204, "message": "x"}}]"#;
    let (mut calls, server, _) = two(world(keys).await).await;
    let head = calls.send_request(two_request("HEAD", "/")).await.unwrap();
    assert_eq!(head.headers()["content-length"], "3");
    assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
    let none = calls.send_request(two_request("GET", "/none")).await.unwrap();
    assert_eq!(none.status(), 204);
    assert!(!none.headers().contains_key("content-length"));
    assert!(none.into_body().collect().await.unwrap().to_bytes().is_empty());
    let get = calls.send_request(two_request("GET", "/")).await.unwrap();
    assert_eq!(get.into_body().collect().await.unwrap().to_bytes(), "abc");
    drop(calls);
    let _ = timeout(PATIENCE, server).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_fault_of_a_connection_of_http2_ends_all_requests_on_it() {
    for kind in [
        "empty_response",
        "random_data_then_close",
        "connection_reset_by_peer",
    ] {
        let keys = format!(
            r#", "latency": {{"constant": "1h"}}, "routes": [{{"match": {{"path": "/bad"}},
            "latency": {{"constant": "1ms"}}, "errors": {{"rate": 1, "kind": "{kind}"}}}}]"#
        );
        let (mut calls, server, endpoint) = two(world(&keys).await).await;
        let slow = calls.send_request(two_request("GET", "/slow"));
        let bad = calls.send_request(two_request("GET", "/bad"));
        let (slow, bad) = timeout(PATIENCE, async { tokio::join!(slow, bad) })
            .await
            .unwrap();
        assert!(slow.is_err() && bad.is_err(), "{kind}");
        let _ = timeout(PATIENCE, server).await.unwrap().unwrap();
        let counted = async {
            while endpoint.observed().abandoned == 0 {
                sleep(PEEK_PAUSE).await;
            }
        };
        timeout(PATIENCE, counted).await.unwrap();
        assert_eq!(endpoint.observed().errors.len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_client_that_begins_with_http2_gets_http2() {
    let mut world = world("").await;
    world.send("PRI ").await;
    world.send("* HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    // An empty SETTINGS frame.
    world
        .client
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let mut frame = [0; 9];
    timeout(PATIENCE, world.client.read_exact(&mut frame))
        .await
        .unwrap()
        .unwrap();
    // SETTINGS of stream 0: RFC 9113, section 6.5.
    assert_eq!((frame[3], &frame[5..]), (4, &[0, 0, 0, 0][..]));
    world.ended().await;
}
