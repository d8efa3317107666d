//! Paths to hosts that fail after they worked: a network or a name service that is away for a while.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use vcluster::base::event::Stream;
use vcluster::ssh::{HostTarget, HostWay, Nodes, Reach, Session, SshError, Via};
use vcluster::supervise::{self, Ended, Kind, Sink, Step, Way};

use crate::server::{Server, wait_until};

/// A host whose name cannot be looked up: it is too long for any name service.
fn unknown_name(host: &HostTarget) -> HostTarget {
    HostTarget {
        host: "x".repeat(64),
        ..host.clone()
    }
}

/// Loses a session.
async fn lose(session: &Session) {
    session.cut();
    wait_until("the session is closed", || session.is_closed()).await;
}

/// The error of a path to a host that was reached, after what `breaks` does and a few attempts.
async fn error_after(server: &Server, target: HostTarget, breaks: impl Fn()) -> SshError {
    let session = Arc::new(server.host_session().await);
    let way = HostWay::new(session.clone(), target);
    assert!(way.session().await.is_ok());
    breaks();
    lose(&session).await;
    let mut error = None;
    for _ in 0..3 {
        error = way.session().await.err();
        // So long that the next attempt is a new one.
        sleep(Duration::from_millis(600)).await;
    }
    error.expect("a lost path")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_was_reached_is_lost_until_it_is_another_one_or_rejects_the_login() {
    let server = Server::openssh("");
    let target = server.host();
    // A name that does not exist is an error at the start of a command, and it is not tried until the time is over.
    let first = Session::connect_host(&unknown_name(&target)).await;
    assert!(matches!(first.err(), Some(SshError::Connect { .. })));

    let error = error_after(&server, unknown_name(&target), || {}).await;
    assert!(matches!(error, SshError::Lost { .. }), "{error}");
    let known = server.path("known_hosts");
    let other = Server::openssh("");
    let key = other.host_key().to_openssh().unwrap();
    let change = || std::fs::write(&known, format!("[127.0.0.1]:{} {key}\n", server.port)).unwrap();
    let error = error_after(&server, target, change).await;
    assert!(matches!(error, SshError::HostKey(_)), "{error}");
    let reject = || std::fs::remove_file(other.path("authorized_keys")).unwrap();
    let error = error_after(&other, other.host(), reject).await;
    assert!(matches!(error, SshError::Login { .. }), "{error}");
}

fn through(way: Arc<HostWay>, node: &Server) -> Nodes {
    Nodes::new([Reach {
        target: node.node("node"),
        via: Via::Host(way),
        host: "gate".into(),
    }])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_ends_with_the_path_to_the_host_is_a_lost_connection() {
    let (gate, node) = (Server::openssh(""), Server::openssh(""));
    let session = Arc::new(gate.host_session().await);
    let nodes = through(HostWay::fixed(session.clone()), &node);
    node.suspend();
    let cut = async {
        sleep(Duration::from_millis(500)).await;
        session.cut();
    };
    let (login, ()) = tokio::join!(nodes.session("node"), cut);
    node.resume();
    let error = login.err().expect("a lost path");
    assert!(matches!(error, SshError::Lost { .. }), "{error}");
}

/// A port that leads to a server, or while it is broken to something that is no SSH server, as in some networks before
/// one has logged in there.
#[derive(Default)]
struct Detour {
    broken: AtomicBool,
    met: AtomicUsize,
}

impl Detour {
    /// Returns the port.
    async fn open(self: &Arc<Self>, to: SocketAddr) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let detour = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&detour).serve(from, to));
            }
        });
        port
    }

    async fn serve(self: Arc<Self>, mut from: TcpStream, to: SocketAddr) {
        if self.broken.load(Ordering::Relaxed) {
            self.met.fetch_add(1, Ordering::Relaxed);
            let _ = from.write_all(&[b'x'; 1000]).await;
            let _ = from.read_to_end(&mut Vec::new()).await;
        } else {
            let mut to = TcpStream::connect(to).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
        }
    }
}

/// Loses the session at the first output.
struct Loses {
    session: Arc<Session>,
    detour: Arc<Detour>,
    output: Vec<u8>,
}

impl Sink for Loses {
    fn take(&mut self, _: Stream, bytes: &[u8]) -> io::Result<()> {
        if self.output.is_empty() {
            self.detour.broken.store(true, Ordering::Relaxed);
            self.session.cut();
        }
        self.output.extend_from_slice(bytes);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_continues_after_its_host_could_not_be_reached_for_any_reason() {
    let (gate, node) = (Server::openssh(""), Server::openssh(""));
    let detour = Arc::new(Detour::default());
    let port = detour.open(gate.address()).await;
    let target = HostTarget {
        port: Some(port),
        ..gate.host()
    };
    let key = gate.host_key().to_openssh().unwrap();
    std::fs::write(gate.path("known_hosts"), format!("[127.0.0.1]:{port} {key}\n")).unwrap();
    let session = Arc::new(Session::connect_host(&target).await.unwrap());
    let nodes = through(HostWay::new(session.clone(), target), &node);
    let cancel = CancellationToken::new();
    let way = Way {
        nodes: &nodes,
        node: "node",
        cancel: &cancel,
        start_timeout: Duration::from_secs(30),
    };
    let process = std::process::id().to_string();
    let step = Step {
        begun: false,
        kind: Kind::Workload,
        id: supervise::id(Kind::Workload, &["detour", &process]),
        owner: "test".into(),
        command: "echo one; sleep 4; echo two".into(),
        timeout: Duration::from_mins(1),
        watch: Vec::new(),
        arrived: None,
    };
    let mut sink = Loses {
        session,
        detour: detour.clone(),
        output: Vec::new(),
    };
    let repair = async {
        while detour.met.load(Ordering::Relaxed) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_secs(1)).await;
        detour.broken.store(false, Ordering::Relaxed);
    };
    let work = supervise::follow(&way, &step, None, &mut sink);
    let both = tokio::time::timeout(Duration::from_mins(1), async { tokio::join!(work, repair) });
    let (end, ()) = Box::pin(both).await.expect("the step does not end");
    assert_eq!(end.unwrap().ended, Ended::Exit(0));
    assert_eq!(String::from_utf8(sink.output).unwrap(), "one\ntwo\n");
    nodes.close().await;
}
