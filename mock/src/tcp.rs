//! TCP: what one read returns is a request, up to 16 KiB, because TCP has no messages. The answer is the body.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::chunks::Pieces;
use crate::connection::{Ending, finish};
use crate::endpoint::{Answer, Endpoint, Request};
use crate::timer;

/// The most bytes of a request.
const MAX_REQUEST: usize = 16 * 1024;
/// How long a client may read nothing of an answer.
const SEND_TIMEOUT: Duration = Duration::from_mins(1);

/// Serves one accepted connection until it ends or `stop` is cancelled.
pub async fn serve(
    mut stream: TcpStream,
    endpoint: Arc<Endpoint>,
    stop: CancellationToken,
) -> io::Result<()> {
    loop {
        let Some(request) = next(&stream, &stop).await? else {
            return Ok(());
        };
        let request = Request {
            method: "",
            path: "",
            body: &request,
        };
        match endpoint.answer(&request).await {
            Answer::Body { bytes, chunks, .. } => send(&mut stream, Pieces::new(bytes, chunks)).await?,
            answer => return finish(stream, Ending::from(answer), &stop).await,
        }
    }
}

/// The next request; `None` if there will not be any.
async fn next(stream: &TcpStream, stop: &CancellationToken) -> io::Result<Option<Vec<u8>>> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            ready = stream.readable() => ready?,
        }
        // Not before there is something to read: an idle connection has no buffer.
        let mut request = Vec::with_capacity(MAX_REQUEST);
        match stream.try_read_buf(&mut request) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(request)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn send(stream: &mut TcpStream, mut pieces: Pieces) -> io::Result<()> {
    // From the first piece on, so that what each wait is late does not add up.
    let mut due = Instant::now();
    let mut first = true;
    while let Some(mut piece) = pieces.list.pop_front() {
        if !first && !pieces.interval.is_zero() {
            due += pieces.interval;
            timer::until(due).await;
        }
        first = false;
        while piece.has_remaining() {
            timeout(SEND_TIMEOUT, stream.write_buf(&mut piece)).await??;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::spec;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// What a client receives that sends `ping`, and how its connection ends.
    async fn exchange(mock: &str) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mock: spec::Mock = serde_json::from_str(mock).unwrap();
        let endpoint = Arc::new(Endpoint::new("a", &mock, Path::new("/")).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            serve(stream, endpoint, CancellationToken::new()).await
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        let mut received = vec![0; 4096];
        let mut length = 0;
        let ended = loop {
            match timeout(PATIENCE, client.read(&mut received[length..]))
                .await
                .unwrap()
            {
                Ok(0) => break None,
                Ok(read) => length += read,
                Err(error) => break Some(error.kind()),
            }
            // Asks for the end once there is an answer.
            let _ = client.shutdown().await;
        };
        received.truncate(length);
        drop(client);
        let _ = timeout(PATIENCE, server).await.unwrap();
        (received, ended)
    }

    #[tokio::test]
    async fn a_request_gets_the_body() {
        let mock = r#"{"protocol": "tcp", "listen": 1, "body": {"text": "{{request.body}} pong"}}"#;
        assert_eq!(exchange(mock).await, (b"ping pong".to_vec(), None));
    }

    #[tokio::test]
    async fn a_body_in_pieces_arrives_whole() {
        let mock = r#"{"protocol": "tcp", "listen": 1, "body": {"text": "abcdef"},
            "chunks": {"count": 3, "duration": "2ms"}}"#;
        let mock: spec::Mock = serde_json::from_str(mock).unwrap();
        let endpoint = Arc::new(Endpoint::new("a", &mock, Path::new("/")).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            serve(stream, endpoint, stopped).await
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"x").await.unwrap();
        let mut received = [0; 6];
        timeout(PATIENCE, client.read_exact(&mut received))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&received, b"abcdef");
        // The connection stays open for a further request until the stop.
        stop.cancel();
        assert!(timeout(PATIENCE, server).await.unwrap().unwrap().is_ok());
    }

    #[tokio::test]
    async fn errors_end_the_connection_in_their_own_way() {
        let mock = |kind: &str| {
            format!(r#"{{"protocol": "tcp", "listen": 1, "errors": {{"rate": 1, "kind": "{kind}"}}}}"#)
        };
        assert_eq!(exchange(&mock("empty_response")).await, (vec![], None));
        let (random, ended) = exchange(&mock("random_data_then_close")).await;
        assert_eq!((random.len(), ended), (128, None));
        let (received, ended) = exchange(&mock("connection_reset_by_peer")).await;
        assert_eq!((received, ended), (vec![], Some(io::ErrorKind::ConnectionReset)));
    }
}
