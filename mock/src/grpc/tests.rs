use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::spec;

/// A client with its server.
struct Client {
    calls: SendRequest<Full<Bytes>>,
    server: JoinHandle<io::Result<()>>,
    endpoint: Arc<Endpoint>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Received {
    http: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
    /// The code of the status, in trailers or, without a message, in headers.
    code: String,
    message: String,
}

fn endpoint(rest: &str) -> Arc<Endpoint> {
    let mock: spec::Mock =
        serde_saphyr::from_str(&format!("protocol: grpc\nlisten: 127.0.0.1:0\n{rest}")).unwrap();
    Arc::new(Endpoint::new("stock", &mock, Path::new(".")).unwrap())
}

impl Client {
    async fn new(rest: &str) -> Self {
        let (endpoint, stop) = (endpoint(rest), CancellationToken::new());
        let (client, server) = tokio::io::duplex(1 << 16);
        let server = tokio::spawn(converse(server, Arc::clone(&endpoint), stop.clone()));
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client));
        let (calls, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        Self {
            calls,
            server,
            endpoint,
            stop,
        }
    }

    async fn call(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Received, hyper::Error> {
        let mut request = HttpRequest::builder()
            .method("POST")
            .uri(format!("http://stock{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let (parts, body) = self.calls.clone().send_request(request).await?.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let text = |name: &str| {
            let value = trailers.get(name).or_else(|| parts.headers.get(name));
            value
                .map(|value| value.to_str().unwrap().to_owned())
                .unwrap_or_default()
        };
        let (code, message) = (text("grpc-status"), text("grpc-message"));
        Ok(Received {
            http: parts.status,
            bytes: body.to_bytes(),
            code,
            message,
            headers: parts.headers,
        })
    }

    async fn unary(&self, path: &str) -> Result<Received, hyper::Error> {
        self.call(
            path,
            &[("content-type", "application/grpc"), ("te", "trailers")],
            b"\0\0\0\0\x02hi",
        )
        .await
    }
}

#[tokio::test]
async fn a_call_gets_the_body_as_its_message_and_the_status_in_trailers() {
    let client = Client::new("body: { text: 'abc' }").await;
    let received = client.unary("/stock.Items/Get").await.unwrap();
    assert_eq!(received.http, StatusCode::OK);
    assert_eq!(received.headers["content-type"], "application/grpc");
    assert!(!received.headers.contains_key("grpc-status"));
    assert_eq!(&received.bytes[..], b"\0\0\0\0\x03abc");
    assert_eq!(received.code, "0");
    assert_eq!(client.endpoint.observed().requests, 1);
}

#[tokio::test]
async fn a_body_may_depend_on_the_message_of_the_call() {
    let client = Client::new("body: { text: '{{request.path}} {{request.body}}' }").await;
    let received = client.unary("/a.B/C").await.unwrap();
    assert_eq!(&received.bytes[5..], b"/a.B/C hi");
}

#[tokio::test]
async fn an_error_is_a_status_without_a_message() {
    let client = Client::new(
        "routes: [{ match: { path: /stock.Items/* }, errors: { rate: 1, kind: status, status: 5, message: no item } }]",
    )
    .await;
    let received = client.unary("/stock.Items/Get").await.unwrap();
    assert_eq!(
        (received.code.as_str(), received.message.as_str()),
        ("5", "no item")
    );
    assert!(received.bytes.is_empty() && received.headers.contains_key("grpc-status"));
    assert_eq!(client.unary("/stock.Orders/Get").await.unwrap().code, "0");
}

#[tokio::test]
async fn what_is_no_call_is_refused() {
    let client = Client::new("").await;
    let plain = client
        .call("/", &[("content-type", "text/plain")], b"")
        .await
        .unwrap();
    assert_eq!(plain.http, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let grpc = ("content-type", "application/grpc");
    let compressed = client
        .call("/a.B/C", &[grpc, ("grpc-encoding", "gzip")], b"\x01\0\0\0\0")
        .await
        .unwrap();
    assert_eq!(compressed.code, "12");
    assert_eq!(compressed.headers["grpc-accept-encoding"], "identity");
    let empty = client.call("/a.B/C", &[grpc], b"").await.unwrap();
    assert_eq!(empty.code, "13");
    let large = client
        .call("/a.B/C", &[grpc], b"\0\xff\xff\xff\xff")
        .await
        .unwrap();
    assert_eq!(large.code, "8");
    assert_eq!(client.endpoint.observed().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_call_ends_it() {
    let client = Client::new("latency: { constant: 10s }\ncapacity: { workers: 1 }").await;
    let begun = Instant::now();
    let headers = [("content-type", "application/grpc"), ("grpc-timeout", "100m")];
    let received = client.call("/a.B/C", &headers, b"\0\0\0\0\0").await.unwrap();
    assert_eq!(received.code, "4");
    assert!(begun.elapsed() < Duration::from_secs(1));
    // Its worker is free.
    assert_eq!(client.unary("/a.B/C").await.unwrap().code, "0");
    assert!(begun.elapsed() < Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_connection_are_served_at_the_same_time_up_to_the_capacity() {
    let client = Client::new("latency: { constant: 1s }\ncapacity: { workers: 2, queue: 0 }").await;
    let begun = Instant::now();
    let (a, b, c) = tokio::join!(
        client.unary("/a.B/C"),
        client.unary("/a.B/C"),
        client.unary("/a.B/C")
    );
    assert!(begun.elapsed() < Duration::from_millis(1500));
    let mut codes = [a, b, c].map(|received| received.unwrap().code);
    codes.sort();
    assert_eq!(codes, ["0", "0", "14"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_does_not_stop_the_others() {
    let client =
        Client::new("routes: [{ match: { path: /a.B/Never }, errors: { rate: 1, kind: timeout } }]").await;
    let never = timeout(Duration::from_hours(1), client.unary("/a.B/Never"));
    let (never, other) = tokio::join!(never, client.unary("/a.B/C"));
    assert!(never.is_err());
    assert_eq!(other.unwrap().code, "0");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_does_not_hold_up_the_stop() {
    let client = Client::new("errors: { rate: 1, kind: timeout }").await;
    let (never, ()) = tokio::join!(client.unary("/a.B/Never"), async {
        while client.endpoint.observed().errors.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client.stop.cancel();
    });
    assert_eq!(never.unwrap().code, "14");
    client.server.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_the_schema_is_told_at_once_that_there_is_none() {
    let client = Client::new("").await;
    // The stream of such a client stays open; what matters is that its message is not waited for.
    for version in ["v1", "v1alpha"] {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let begun = Instant::now();
        let headers = [("content-type", "application/grpc")];
        let received = client.call(&path, &headers, b"").await.unwrap();
        assert_eq!(received.code, "12", "{}", received.message);
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(client.endpoint.observed().requests, 0);
}

#[tokio::test]
async fn faults_of_a_connection_end_it() {
    for kind in [
        "empty_response",
        "connection_reset_by_peer",
        "random_data_then_close",
    ] {
        let client = Client::new(&format!("errors: {{ rate: 1, kind: {kind} }}")).await;
        assert!(client.unary("/a.B/C").await.is_err(), "{kind}");
        client.server.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_connection_ends_when_the_mock_stops() {
    let client = Client::new("").await;
    assert_eq!(client.unary("/a.B/C").await.unwrap().code, "0");
    client.stop.cancel();
    client.server.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn clients_that_do_not_begin_as_http_2_are_given_up() {
    for first in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI"] {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(first).await.unwrap();
        converse(server, endpoint(""), CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_follows_the_preface_may_be_anything() {
    let endpoint = endpoint("");
    for rest in [&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"", &[0; 500]] {
        let (mut client, server) = tokio::io::duplex(4096);
        client.write_all(lent::PREFACE).await.unwrap();
        client.write_all(rest).await.unwrap();
        client.shutdown().await.unwrap();
        // Whether this is an error depends on HTTP/2. It ends.
        let _ = converse(server, Arc::clone(&endpoint), CancellationToken::new()).await;
    }
}
