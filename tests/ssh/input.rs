//! One standard input for a command on many nodes, on real servers.

use std::io::{self, Cursor, Read, Write as _};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use vcluster::base::event::Stream;
use vcluster::ssh::fanout::{self, FanEnd, FanEvent, FanRequest};
use vcluster::ssh::{Ended, ExecRequest, Nodes, Reach, Spool, Via};

use crate::server::Server;

/// Three nodes that are one server.
fn nodes(server: &Server) -> (Nodes, Vec<String>) {
    let names = ["a", "b", "c"].map(String::from).to_vec();
    let reaches = names.iter().map(|name| Reach {
        target: server.node(name),
        via: Via::Direct,
        host: "here".into(),
    });
    (Nodes::new(reaches), names)
}

fn request(command: &str, stdin: impl Read + Send + 'static) -> FanRequest {
    FanRequest {
        exec: ExecRequest {
            command: command.into(),
            timeout: Some(Duration::from_mins(2)),
            ..ExecRequest::default()
        },
        stdin: Some(Spool::of(stdin)),
        fanout: 2,
        cancel: CancellationToken::new(),
    }
}

/// Runs it on all nodes. Returns what each wrote to its standard output, and how it ended, which is the same for all.
async fn run(server: &Server, request: &FanRequest) -> (Vec<String>, FanEnd) {
    let (nodes, names) = nodes(server);
    let (sender, mut events) = mpsc::channel(64);
    let reading = tokio::spawn(async move {
        let mut lines = Vec::new();
        while let Some(event) = events.recv().await {
            if let FanEvent::Line {
                stream: Stream::Stdout,
                line,
                ..
            } = event
            {
                lines.push(line);
            }
        }
        lines
    });
    let results = fanout::run(&nodes, &names, request, sender).await;
    let ended = results[0].1.clone();
    assert!(results.iter().all(|(_, other)| *other == ended), "{results:?}");
    nodes.close().await;
    (reading.await.unwrap(), ended)
}

fn exit(code: u32) -> FanEnd {
    FanEnd::Ended(Ended::Exit(code))
}

async fn reaches_every_node(server: &Server) {
    // Every byte there is, more than any window holds.
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|i| (i * 31 % 256) as u8).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let digest = std::process::Command::new("sha256sum")
        .arg(file.path())
        .output()
        .unwrap();
    let digest = String::from_utf8(digest.stdout).unwrap();
    let digest = digest.split(' ').next().unwrap();
    let (lines, ended) = run(server, &request("sha256sum", Cursor::new(bytes))).await;
    assert_eq!((lines, ended), (vec![format!("{digest}  -"); 3], exit(0)));

    let script = Cursor::new("x=1\necho $((x + 1))\nfalse\n");
    let (lines, ended) = run(server, &request("sh -s", script)).await;
    assert_eq!((lines, ended), (vec!["2".to_owned(); 3], exit(1)));
}

async fn need_not_be_read(server: &Server) {
    for (command, code) in [("true", 0), ("exit 3", 3), ("head -c 1 >/dev/null", 0)] {
        let (lines, ended) = run(server, &request(command, io::repeat(b'y'))).await;
        assert_eq!((lines, ended), (Vec::new(), exit(code)), "{command}");
    }
    // A writer that neither writes nor ends.
    let (silent, _writer) = io::pipe().unwrap();
    let (lines, ended) = run(server, &request("echo done", silent)).await;
    assert_eq!((lines, ended), (vec!["done".to_owned(); 3], exit(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_input_reaches_every_node_on_openssh() {
    reaches_every_node(&Server::openssh("")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_input_reaches_every_node_on_dropbear() {
    reaches_every_node(&Server::dropbear()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_input_without_end_need_not_be_read_on_openssh() {
    need_not_be_read(&Server::openssh("")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_input_without_end_need_not_be_read_on_dropbear() {
    need_not_be_read(&Server::dropbear()).await;
}
