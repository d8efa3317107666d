//! Hostile nodes on which something else answers in place of the supervisor: the controller neither panics nor waits
//! without end nor grows, and does not take its word for an end.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use vcluster::base::event::Stream;
use vcluster::ssh::{Nodes, Reach, Via};
use vcluster::supervise::{self, Discard, End, Ended, Kind, Lost, Sink, Step, StepError, Way};

use crate::server::{LIMIT, Server};

/// What answers every command; `CASE` in its command line selects how.
const IMPOSTOR: &str = r#"#!/usr/bin/python3
import os, re, struct, sys, time

out = sys.stdout.buffer
last = 2**64 - 1
asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")

def frame(kind, payload):
    out.write(kind + struct.pack(">I", len(payload)) + payload)

def hello(at=0, state=b"started 0"):
    frame(b"h", b"1 boot %d %d %s" % (at, at, state))

def wait():
    out.flush()
    sys.stdin.buffer.read()

def text():
    out.write(b"Welcome to this machine\n" * 100000)
    wait()

def garbage():
    hello()
    while True:
        out.write(b"\xff" * 65536)

def no_greeting():
    frame(b"x", b"exit 0 1")
    wait()

def two_greetings():
    hello()
    hello(7)
    wait()

def beyond():
    hello(last)
    frame(b"o", b"x" * 100)
    wait()

def absurd():
    hello(last)
    frame(b"m", b"cpu %d\nlink a\x1b %d 1 1 1\nwatch asked-for 1 1 1 1 %d\nwatch other 1 1 1 1 1" % (last, last, 2**32 - 1))
    frame(b"x", b"signal 4294967295 18446744073709551615")
    wait()

def never_started():
    hello(0, b"waiting")
    while True:
        frame(b"e", b"x" * 65536)

def output():
    hello()
    while True:
        frame(b"o", b"x" * 65536)

def reports():
    hello()
    while True:
        frame(b"r", b"y" * 65536)

def measures():
    hello()
    while True:
        frame(b"m", b"".join(b"unknown %d\n" % at for at in range(4000)))
        # A build without optimization reads them more slowly than they come.
        time.sleep(0.01)

def measures_nonsense():
    hello()
    frame(b"m", b"cpu none\n")
    wait()

def complaints():
    while True:
        sys.stderr.buffer.write(b"z" * 65536)

def leaves():
    hello()
    out.flush()

def silent():
    wait()

def gone():
    frame(b"g", b"boot")
    wait()

try:
    globals()[re.search("case-([a-z_]+)", asked).group(1)]()
except OSError:
    os._exit(0)
"#;

/// Counts the output.
#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn take(&mut self, _: Stream, bytes: &[u8]) -> io::Result<()> {
        self.0 += bytes.len() as u64;
        Ok(())
    }
}

fn impostor() -> Server {
    let directory = tempfile::tempdir().unwrap().keep();
    let path = directory.join("impostor");
    fs::write(&path, IMPOSTOR).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Server::openssh(&format!("ForceCommand {}", path.display()))
}

fn nodes(server: &Server) -> Nodes {
    Nodes::new([Reach {
        target: server.node("node"),
        via: Via::Direct,
        host: "node".into(),
    }])
}

fn step(case: &str) -> Step {
    Step {
        kind: Kind::Workload,
        id: supervise::id(Kind::Workload, &[case]),
        owner: format!("case-{case}"),
        command: "true".into(),
        timeout: Duration::from_secs(2),
        watch: vec!["asked-for".into()],
        begun: false,
        arrived: None,
    }
}

/// Follows a step; returns how it ended and how much output arrived.
async fn follow(server: &Server, case: &str) -> (Result<End, StepError>, u64) {
    let (nodes, cancel) = (nodes(server), CancellationToken::new());
    let way = Way {
        nodes: &nodes,
        node: "node",
        cancel: &cancel,
        start_timeout: Duration::from_secs(10),
    };
    let (step, mut count) = (step(case), Count::default());
    let followed = supervise::follow(&way, &step, None, &mut count);
    let ended = tokio::time::timeout(Duration::from_mins(1), followed)
        .await
        .unwrap_or_else(|_| panic!("{case}: no end"));
    let closing = tokio::time::timeout(Duration::from_secs(20), nodes.close());
    closing.await.unwrap_or_else(|_| panic!("{case}: not closed"));
    (ended, count.0)
}

/// Memory of this process, in bytes.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

/// The error, which must be unconfirmed.
fn unconfirmed(case: &str, ended: Result<End, StepError>) -> StepError {
    match ended {
        Err(StepError::Unconfirmed(error)) => *error,
        other => panic!("{case}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_supervisor_says_is_an_error_that_proves_no_end() {
    let server = impostor();
    for case in [
        "text",
        "garbage",
        "no_greeting",
        "two_greetings",
        "beyond",
        "measures_nonsense",
    ] {
        let (ended, _) = follow(&server, case).await;
        let error = unconfirmed(case, ended);
        assert!(matches!(error, StepError::Nonsense(_)), "{case}: {error:?}");
        assert!(
            !error.to_string().chars().any(char::is_control),
            "{case}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_no_node_can_mean_do_no_harm() {
    let server = impostor();
    let (ended, count) = follow(&server, "absurd").await;
    let end = ended.unwrap();
    assert!(matches!(end.ended, Ended::Signal(_)), "{end:?}");
    let all = Lost {
        stdout: u64::MAX,
        stderr: u64::MAX,
    };
    assert_eq!((end.lost, count), (all, 0));
    let measured = end.measured.unwrap();
    assert!(measured.cpu_seconds.is_finite() && measured.cpu_seconds > 1e16);
    assert_eq!(measured.links["a?"].received_bytes, u64::MAX);
    let watched: Vec<(&str, u32)> = measured
        .watched
        .iter()
        .map(|(name, watched)| (name.as_str(), watched.processes))
        .collect();
    assert_eq!(watched, [("asked-for", u32::MAX)]);
    let (ended, _) = follow(&server, "gone").await;
    assert!(matches!(ended, Err(StepError::Gone)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_never_ends_is_left_in_bounded_time_and_memory() {
    let server = impostor();
    let (began, before) = (Instant::now(), memory());
    let all = [
        "never_started",
        "output",
        "reports",
        "measures",
        "complaints",
        "leaves",
        "silent",
    ];
    let followed = all.map(|case| follow(&server, case));
    for (case, (ended, count)) in all.into_iter().zip(futures::future::join_all(followed).await) {
        match unconfirmed(case, ended) {
            StepError::TimedOut { doing, .. } => {
                let length = doing.map_or(0, |doing| doing.len());
                assert_eq!(length, if case == "reports" { 64 << 10 } else { 0 }, "{case}");
            }
            other => panic!("{case}: {other:?}"),
        }
        let flows = ["never_started", "output"].contains(&case);
        assert_eq!(count > 0, flows, "{case}: {count}");
    }
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    let grown = memory().saturating_sub(before);
    assert!(grown < 256 << 20, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greeting_without_an_end_does_not_confirm_that_a_step_was_stopped() {
    let server = impostor();
    let (nodes, cancel) = (nodes(&server), CancellationToken::new());
    for (case, is_nonsense) in [("leaves", false), ("no_greeting", true)] {
        let began = Instant::now();
        let stopped = supervise::stop(&nodes, "node", &step(case), &mut Discard, &cancel).await;
        match stopped {
            Err(StepError::Unconfirmed(error)) => {
                assert_eq!(matches!(*error, StepError::Nonsense(_)), is_nonsense, "{error:?}");
                assert_eq!(
                    matches!(*error, StepError::NoAnswer { .. }),
                    !is_nonsense,
                    "{error:?}"
                );
            }
            other => panic!("{case}: {other:?}"),
        }
        assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    }
    nodes.close().await;
}
