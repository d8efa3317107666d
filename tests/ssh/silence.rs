//! A remote side that is silent after the end of a command: what is on its way arrives, and what never comes delays the
//! result only a little.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use russh::server::{Auth, ChannelOpenHandle, Msg, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use vcluster::ssh::{ExecRequest, Output, Session, SshError};

use crate::server::{LIMIT, Server};

/// What comes after the exit status.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// More output, which the network holds back for longer than anything may be silent that it does not hold back.
    Late,
    /// Nothing: the connection ends.
    Cut,
    /// Nothing, while the remote side answers.
    Nothing,
}

/// The network between the two sides.
#[derive(Clone, Default)]
struct Network {
    is_stalled: Arc<AtomicBool>,
    cut: CancellationToken,
}

impl Network {
    /// Carries what one side writes to the other.
    async fn carry(self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut buffer = vec![0; 64 << 10];
        let carrying = async {
            while let Ok(count @ 1..) = from.read(&mut buffer).await {
                while self.is_stalled.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(20)).await;
                }
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        };
        self.cut.run_until_cancelled(carrying).await;
    }
}

/// A server whose commands write a line and end with 0.
struct Ending {
    rest: Rest,
    network: Network,
}

impl russh::server::Handler for Ending {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut russh::server::Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut russh::server::Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        let (handle, rest, network) = (session.handle(), self.rest, self.network.clone());
        tokio::spawn(async move {
            handle.data(channel, "early\n").await.unwrap();
            handle.exit_status_request(channel, 0).await.unwrap();
            // Until both have arrived.
            sleep(Duration::from_millis(300)).await;
            match rest {
                Rest::Late => {
                    network.is_stalled.store(true, Ordering::Relaxed);
                    handle.data(channel, "late\n").await.unwrap();
                    handle.eof(channel).await.unwrap();
                    handle.close(channel).await.unwrap();
                    sleep(Duration::from_secs(6)).await;
                    network.is_stalled.store(false, Ordering::Relaxed);
                }
                Rest::Cut => network.cut.cancel(),
                Rest::Nothing => {}
            }
        });
        Ok(())
    }
}

/// Runs a command on such a server.
async fn run(rest: Rest) -> Result<Output, SshError> {
    let real = Server::openssh("");
    let key = russh::keys::PrivateKey::read_openssh_file(real.path("host")).unwrap();
    let config = Arc::new(russh::server::Config {
        keys: vec![key],
        ..russh::server::Config::default()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = real.node("n1");
    target.address = listener.local_addr().unwrap();
    let network = Network::default();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (from_client, to_client) = stream.into_split();
        let (from_server, to_server) = tokio::io::split(ours);
        tokio::spawn(network.clone().carry(from_client, to_server));
        tokio::spawn(network.clone().carry(from_server, to_client));
        let running = russh::server::run_stream(config, theirs, Ending { rest, network }).await;
        let _ = running.unwrap().await;
    });
    let session = Session::connect_node(None, &target).await.unwrap();
    let request = ExecRequest {
        command: "ends".into(),
        ..ExecRequest::default()
    };
    timeout(LIMIT, session.exec(&request)).await.expect("an end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_that_the_network_holds_back_after_the_exit_status_is_waited_for() {
    let output = run(Rest::Late).await.unwrap();
    assert_eq!(
        (output.code(), output.stdout.as_slice()),
        (Some(0), &b"early\nlate\n"[..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_after_the_exit_status_and_before_the_output_is_lost() {
    let error = run(Rest::Cut).await.unwrap_err();
    assert!(matches!(error, SshError::Lost { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_side_that_answers_and_sends_nothing_more_is_left_after_a_few_seconds() {
    let began = Instant::now();
    let output = run(Rest::Nothing).await.unwrap();
    assert_eq!(
        (output.code(), output.stdout.as_slice()),
        (Some(0), &b"early\n"[..])
    );
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
