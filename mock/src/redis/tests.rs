use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::spec;

fn endpoint(rest: &str) -> Endpoint {
    let mock: spec::Mock =
        serde_saphyr::from_str(&format!("protocol: redis\nlisten: 127.0.0.1:0\n{rest}")).unwrap();
    Endpoint::new("cache", &mock, Path::new(".")).unwrap()
}

/// What a client receives that sends an input and then no more.
async fn received(endpoint: &Endpoint, input: &[u8]) -> String {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(input).await.unwrap();
    client.shutdown().await.unwrap();
    converse(server, endpoint, &CancellationToken::new())
        .await
        .unwrap();
    let mut output = Vec::new();
    client.read_to_end(&mut output).await.unwrap();
    String::from_utf8(output).unwrap()
}

#[tokio::test]
async fn commands_are_answered_in_order_also_if_they_arrive_together() {
    let endpoint = endpoint("body: { text: '{{request.method}} {{request.path}}' }");
    let input = b"*2\r\n$3\r\nGET\r\n$1\r\nb\r\nSET k v\r\nPING\r\nget a\r\nINCR n\r\nQUIT\r\nPING\r\n";
    assert_eq!(
        received(&endpoint, input).await,
        "$5\r\nGET b\r\n+OK\r\n+PONG\r\n$5\r\nGET a\r\n:1\r\n+OK\r\n"
    );
    assert_eq!(endpoint.observed().requests, 4);
}

#[tokio::test]
async fn what_clients_send_first_is_answered_without_a_request() {
    let endpoint = endpoint("errors: { rate: 1, kind: error, message: broken }");
    let input =
        b"CLIENT SETINFO LIB-NAME x\r\nSELECT 3\r\nECHO hi\r\nCONFIG GET save\r\nCOMMAND DOCS\r\nAUTH p\r\n";
    assert_eq!(
        received(&endpoint, input).await,
        "+OK\r\n+OK\r\n$2\r\nhi\r\n*2\r\n$4\r\nsave\r\n$0\r\n\r\n*0\r\n+OK\r\n"
    );
    assert_eq!(received(&endpoint, b"GET a\r\n").await, "-ERR broken\r\n");
    let info = received(&endpoint, b"INFO\r\n").await;
    assert!(info.contains("redis_version:7.2.0\r\n"), "{info}");
}

#[tokio::test]
async fn hello_chooses_the_version() {
    let endpoint = endpoint("body: { text: v }");
    let three = received(
        &endpoint,
        b"HELLO 3\r\nHGETALL h\r\nXREAD STREAMS s 0\r\nRESET\r\nHGETALL h\r\n",
    )
    .await;
    assert!(three.starts_with("%7\r\n$6\r\nserver\r\n"), "{three}");
    assert!(
        three.ends_with("%1\r\n$5\r\nfield\r\n$1\r\nv\r\n_\r\n+RESET\r\n*2\r\n$5\r\nfield\r\n$1\r\nv\r\n"),
        "{three}"
    );
    let unknown = received(&endpoint, b"HELLO 4\r\n").await;
    assert_eq!(unknown, "-NOPROTO unsupported protocol version\r\n");
}

#[tokio::test]
async fn each_channel_is_left_with_a_message_of_its_own() {
    let endpoint = endpoint("");
    assert_eq!(
        received(&endpoint, b"UNSUBSCRIBE a b\r\nUNSUBSCRIBE\r\n").await,
        "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n\
         *3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"
    );
}

#[tokio::test]
async fn a_route_gives_a_command_about_the_connection_a_request_too() {
    let endpoint = endpoint(
        "routes: [{ match: { command: ping }, errors: { rate: 1, kind: error, message: away, code: LOADING } }]",
    );
    assert_eq!(
        received(&endpoint, b"PING\r\nECHO a\r\n").await,
        "-LOADING away\r\n$1\r\na\r\n"
    );
    assert_eq!(endpoint.observed().requests, 1);
}

#[tokio::test]
async fn a_transaction_is_answered_as_one_array() {
    let endpoint = endpoint("body: { text: v }");
    let input = b"MULTI\r\nSET a 1\r\nPING\r\nGET a\r\nEXEC\r\nEXEC\r\nMULTI\r\nMULTI\r\nDISCARD\r\nDISCARD\r\nGET a\r\n";
    assert_eq!(
        received(&endpoint, input).await,
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n+PONG\r\n$1\r\nv\r\n-ERR EXEC without MULTI\r\n\
         +OK\r\n-ERR MULTI calls can not be nested\r\n+OK\r\n-ERR DISCARD without MULTI\r\n$1\r\nv\r\n"
    );
}

#[tokio::test]
async fn a_transaction_has_a_largest_size() {
    let endpoint = endpoint("");
    let mut input = b"MULTI\r\n".to_vec();
    input.extend_from_slice(&b"GET a\r\n".repeat(MOST_QUEUED + 1));
    input.extend_from_slice(b"EXEC\r\n");
    let output = received(&endpoint, &input).await;
    assert_eq!(output.matches("+QUEUED").count(), MOST_QUEUED);
    assert!(
        output.ends_with("-EXECABORT Transaction discarded because of previous errors.\r\n"),
        "{output}"
    );
    assert_eq!(endpoint.observed().requests, 0);
}

#[tokio::test]
async fn what_is_not_redis_gets_an_error_and_the_end() {
    let endpoint = endpoint("");
    let output = received(&endpoint, b"*1\r\n:1\r\nPING\r\n").await;
    assert_eq!(output, "-ERR Protocol error: expected '$', got ':'\r\n");
    // An HTTP request is read as lines of words, as Redis does.
    assert!(
        received(&endpoint, b"GET / HTTP/1.1\r\n\r\n")
            .await
            .starts_with("$0\r\n")
    );
}

#[tokio::test]
async fn faults_end_the_connection_after_earlier_answers() {
    for (kind, expected) in [
        ("empty_response", "+PONG\r\n"),
        ("connection_reset_by_peer", "+PONG\r\n"),
    ] {
        let endpoint = endpoint(&format!("errors: {{ rate: 1, kind: {kind} }}"));
        assert_eq!(received(&endpoint, b"PING\r\nGET a\r\nPING\r\n").await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_out_never_answers() {
    let endpoint = endpoint("errors: { rate: 1, kind: timeout }");
    let (mut client, server) = tokio::io::duplex(1024);
    client.write_all(b"GET a\r\n").await.unwrap();
    let (wait, stop) = (std::time::Duration::from_hours(1), CancellationToken::new());
    let result = tokio::time::timeout(wait, converse(server, &endpoint, &stop)).await;
    assert!(result.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_service_time_passes_before_the_answer() {
    let endpoint = endpoint("latency: { constant: 40ms }");
    let begun = tokio::time::Instant::now();
    received(&endpoint, b"GET a\r\nGET b\r\nPING\r\n").await;
    let taken = begun.elapsed().as_secs_f64();
    assert!((0.080..0.090).contains(&taken), "{taken}");
}

#[tokio::test]
async fn a_long_list_is_sent_in_parts() {
    let endpoint = endpoint("body: { size: 1KiB }");
    let (mut client, server) = tokio::io::duplex(4096);
    client.write_all(b"LRANGE k 0 599\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    let (mut output, stop) = (Vec::new(), CancellationToken::new());
    let (result, read) = tokio::join!(
        converse(server, &endpoint, &stop),
        client.read_to_end(&mut output)
    );
    result.unwrap();
    read.unwrap();
    assert_eq!(
        output.len(),
        "*600\r\n".len() + 600 * ("$1024\r\n".len() + 1024 + 2)
    );
}

#[tokio::test]
async fn a_connection_ends_when_the_mock_stops() {
    let endpoint = Arc::new(endpoint(""));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let stop = CancellationToken::new();
    let result = tokio::spawn(serve(server, endpoint, stop.clone()));
    client.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 7];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
    stop.cancel();
    result.await.unwrap().unwrap();
    assert_eq!(client.read(&mut answer).await.unwrap(), 0);
}
