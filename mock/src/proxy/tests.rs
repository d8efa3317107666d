//! What the proxy sees of connections, and the proxy as a whole on 127.0.0.1.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::watch::{NotUnderstood, Seen};
use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Shows bytes to a reader, in pieces of one byte as well, and returns what it has seen.
fn watched(protocol: Protocol, turns: &[(&str, &[u8])]) -> Result<Vec<Seen>, NotUnderstood> {
    let run = |piece: usize| {
        let mut watch = watch_of(protocol);
        let mut seen = Vec::new();
        for (number, (from, bytes)) in turns.iter().enumerate() {
            let now = ms(10 * (number as u64 + 1));
            for part in bytes.chunks(piece) {
                match *from {
                    "client" => watch.request(part, now)?,
                    _ => watch.answer(part, now, &mut seen)?,
                }
            }
        }
        watch.end(ms(1_000), true, &mut seen);
        Ok(seen)
    };
    let whole = run(usize::MAX);
    assert_eq!(whole, run(1), "in pieces of one byte");
    whole
}

/// Route, milliseconds, status and size of each.
fn shown(seen: &[Seen]) -> Vec<(&str, u128, u16, u64)> {
    let row = |seen: &Seen| seen.ended.saturating_sub(seen.started).as_millis();
    seen.iter()
        .map(|one| {
            (
                one.route.as_str(),
                row(one),
                one.status.unwrap_or(0),
                one.bytes.unwrap_or(0),
            )
        })
        .collect()
}

#[test]
fn http_is_recorded_by_message_with_all_kinds_of_bodies() {
    let turns: [(&str, &[u8]); 8] = [
        ("client", b"POST /orders HTTP/1.1\r\nContent-Length: 3\r\n\r\n"),
        ("service", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("client", b"abc"),
        (
            "service",
            b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
        ),
        ("client", b"HEAD /items/7 HTTP/1.1\r\n\r\n"),
        ("service", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"),
        ("client", b"\r\nGET /a?b=c HTTP/1.0\r\n\r\n"),
        ("service", b"HTTP/1.0 503 No\r\n\r\nuntil the end"),
    ];
    let seen = watched(Protocol::Http, &turns).unwrap();
    assert_eq!(
        shown(&seen),
        [
            ("POST /orders", 10, 201, 5),
            ("HEAD /items/*", 10, 200, 0),
            ("GET /a", 10, 503, 13),
        ]
    );
}

#[test]
fn an_answer_before_its_request_is_complete_is_not_recorded() {
    let turns: [(&str, &[u8]); 2] = [
        ("client", b"POST /orders HTTP/1.1\r\nContent-Length: 3\r\n\r\na"),
        ("service", b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),
    ];
    assert_eq!(watched(Protocol::Http, &turns), Err(NotUnderstood));
}

#[test]
fn pipelined_requests_begin_when_the_one_before_is_answered() {
    let turns: [(&str, &[u8]); 3] = [
        ("client", b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"),
        ("service", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("service", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    ];
    let seen = watched(Protocol::Http, &turns).unwrap();
    assert_eq!(shown(&seen), [("GET /a", 10, 204, 0), ("GET /b", 10, 200, 2)]);
}

#[test]
fn a_service_that_closes_without_an_answer_is_an_error() {
    let turns: [(&str, &[u8]); 1] = [("client", b"GET /a HTTP/1.1\r\n\r\n")];
    let seen = watched(Protocol::Http, &turns).unwrap();
    assert_eq!(shown(&seen), [("GET /a", 990, 0, 0)]);
    assert_eq!(seen[0].error, Some("empty_response"));
}

#[test]
fn redis_is_recorded_by_command_with_nested_answers() {
    let turns: [(&str, &[u8]); 4] = [
        (
            "client",
            b"*2\r\n$3\r\nget\r\n$1\r\nk\r\nPING\r\n*3\r\n$6\r\nLRANGE\r\n$1\r\nl\r\n$0\r\n\r\n",
        ),
        ("service", b"$5\r\nhello\r\n"),
        ("service", b"+PONG\r\n>2\r\n+push\r\n$1\r\nx\r\n"),
        ("service", b"*2\r\n*1\r\n:1\r\n%1\r\n$-1\r\n-ERR\r\n"),
    ];
    let seen = watched(Protocol::Redis, &turns).unwrap();
    assert_eq!(
        shown(&seen),
        [("GET", 10, 0, 5), ("PING", 10, 0, 0), ("LRANGE", 10, 0, 0)]
    );
    let error: [(&str, &[u8]); 2] = [("client", b"INCR x\r\n"), ("service", b"-WRONGTYPE x\r\n")];
    assert_eq!(watched(Protocol::Redis, &error).unwrap()[0].error, Some("error"));
}

#[test]
fn what_is_not_understood_ends_the_recording_of_its_connection() {
    let long = vec![b'x'; 70_000];
    let deep = b"*1\r\n".repeat(40);
    let cases: [(Protocol, &str, &[u8]); 10] = [
        (Protocol::Http, "client", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (Protocol::Http, "client", b"\x16\x03\x01\n\n"),
        (Protocol::Http, "client", &long),
        (
            Protocol::Http,
            "client",
            b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ),
        (
            Protocol::Http,
            "client",
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        ),
        (Protocol::Redis, "client", b"SUBSCRIBE news\r\n"),
        (Protocol::Redis, "client", b"*1\r\n$99999999999\r\n"),
        (Protocol::Redis, "client", b"*1\r\n:1\r\n"),
        (Protocol::Redis, "service", b"+OK\r\n"),
        (Protocol::Redis, "service", &deep),
    ];
    for (protocol, from, bytes) in cases {
        let seen = watched(protocol, &[(from, bytes)]);
        assert_eq!(
            seen,
            Err(NotUnderstood),
            "{:?}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(40)])
        );
    }
}

/// A service that answers each line of HTTP with a fixed answer, then closes.
async fn service(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 1_024];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer).await;
        }
    });
    address
}

fn options(directory: &Path, to: String) -> Options {
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        to,
        protocol: Protocol::Http,
        out: directory.join("r.jsonl"),
    }
}

#[tokio::test]
async fn requests_through_the_proxy_are_answered_unchanged_and_written() {
    let directory = tempfile::tempdir().unwrap();
    let to = service(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let options = options(directory.path(), to.to_string());
    let proxy = Proxy::bind(&options).await.unwrap();
    let address = proxy.address().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(proxy.run(stop.clone()));
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /items/5 HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.ends_with(b"\r\n\r\nok"), "{answer:?}");
    }
    stop.cancel();
    let summary = running.await.unwrap().unwrap();
    assert_eq!(
        (summary.requests, summary.connections, summary.dropped),
        (3, 3, 0)
    );
    let written = std::fs::read_to_string(&options.out).unwrap();
    assert_eq!(written.lines().count(), 3, "{written}");
    assert!(
        written.contains(r#""route":"GET /items/*""#) && written.contains(r#""status":200"#),
        "{written}"
    );
}

#[tokio::test]
async fn a_service_that_is_not_there_is_counted_and_its_client_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    // A port that was free just now.
    let unused = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = Proxy::bind(&options(directory.path(), unused.to_string()))
        .await
        .unwrap();
    let address = proxy.address().unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(proxy.run(stop.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    stop.cancel();
    let summary = running.await.unwrap().unwrap();
    assert_eq!((summary.requests, summary.unreachable), (0, 1));
}

#[tokio::test]
async fn a_recording_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path(), "127.0.0.1:1".to_owned());
    std::fs::write(&options.out, "precious").unwrap();
    let error = Proxy::bind(&options).await.err().unwrap();
    assert!(error.hint().unwrap().contains("never overwritten"), "{error}");
    assert_eq!(std::fs::read_to_string(&options.out).unwrap(), "precious");
}
