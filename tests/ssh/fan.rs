//! Many nodes: reused sessions, commands on all nodes, files in both directions.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use vcluster::ssh::fanout::{self, FanEnd, FanEvent, FanRequest};
use vcluster::ssh::transfer::{Archive, PullLimits, TransferError, pull, push};
use vcluster::ssh::{Ended, ExecRequest, HostWay, Nodes, Reach, Session, Via};

use crate::server::{Server, wait_until};

fn request(command: &str, limit: Option<Duration>) -> FanRequest {
    let exec = ExecRequest {
        command: command.into(),
        timeout: limit,
        ..ExecRequest::default()
    };
    FanRequest {
        exec,
        stdin: None,
        fanout: 64,
        cancel: CancellationToken::new(),
    }
}

async fn run(
    nodes: &Nodes,
    names: &[String],
    request: &FanRequest,
) -> (Vec<(String, FanEnd)>, Vec<FanEvent>) {
    let (sender, mut events) = mpsc::channel(64);
    let collecting = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(event) = events.recv().await {
            all.push(event);
        }
        all
    });
    let results = fanout::run(nodes, names, request, sender).await;
    (results, collecting.await.unwrap())
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|i| format!("n{i:03}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_on_150_nodes_through_a_stock_host_is_never_refused_and_sessions_are_kept() {
    let gate = Server::openssh("");
    let node = Server::openssh("");
    let host = Arc::new(gate.host_session().await);
    let names = names(150);
    let reaches = names.iter().map(|name| Reach {
        target: node.node(name),
        via: Via::Host(HostWay::fixed(host.clone())),
        host: "gate".into(),
    });
    let nodes = Nodes::new(reaches);
    for _ in 0..2 {
        let begun = Instant::now();
        let (results, events) = run(&nodes, &names, &request("echo one; printf two >&2; exit 3", None)).await;
        eprintln!("150 nodes: {:?}", begun.elapsed());
        assert_eq!(results.len(), 150);
        for ((got, ended), name) in results.iter().zip(&names) {
            assert_eq!((got, ended), (name, &FanEnd::Ended(Ended::Exit(3))));
        }
        let lines = events
            .iter()
            .filter(|event| matches!(event, FanEvent::Line { .. }))
            .count();
        let ends = events
            .iter()
            .filter(|event| matches!(event, FanEvent::Ended { .. }))
            .count();
        let odd: Vec<_> = events
            .iter()
            .filter(|e| matches!(e, FanEvent::Line { line, .. } if line != "one" && line != "two"))
            .collect();
        assert_eq!((lines, ends), (300, 150), "{odd:?}");
    }
    // All the "nodes" are one sshd here, so a login may be refused temporarily and retried.
    assert_eq!(node.log().matches("Accepted publickey").count(), 150);
    assert_eq!(gate.log().matches("Accepted publickey").count(), 1);
    nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_ends_on_its_own_and_a_lost_session_is_opened_again() {
    let good = Server::openssh("");
    let mut dead = good.node("dead");
    dead.address = "127.0.0.1:1".parse().unwrap();
    dead.timeout = Some(Duration::from_secs(1));
    let reach = |target| Reach {
        target,
        via: Via::Direct,
        host: "here".into(),
    };
    let nodes = Nodes::new([reach(good.node("a")), reach(good.node("slow")), reach(dead)]);
    let all: Vec<String> = ["a", "slow", "dead", "stranger"].map(String::from).into();
    let command = "cd /; echo $PPID; if [ -n \"$SSH_CONNECTION\" ]; then sleep 30; fi";
    let (results, _) = run(&nodes, &all, &request(command, Some(Duration::from_millis(800)))).await;
    assert_eq!(results[1].1, FanEnd::TimedOut(Duration::from_millis(800)));
    assert!(
        matches!(&results[2].1, FanEnd::NotStarted(reason) if reason.contains("dead")),
        "{results:?}"
    );
    assert!(matches!(&results[3].1, FanEnd::NotStarted(reason) if reason.contains("stranger")));

    let (_, events) = run(&nodes, &all[..1], &request("echo $PPID", None)).await;
    let FanEvent::Line { line, .. } = &events[0] else {
        panic!("{events:?}")
    };
    let pid = nix::unistd::Pid::from_raw(line.parse().unwrap());
    let session = nodes.session(&all[0]).await.unwrap();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until("the session is lost", || session.is_closed()).await;
    let (results, _) = run(&nodes, &all[..1], &request("true", None)).await;
    assert_eq!(results[0].1, FanEnd::Ended(Ended::Exit(0)));

    let stopped = request("sleep 30", None);
    stopped.cancel.cancel();
    let (results, _) = run(&nodes, &all[..2], &stopped).await;
    assert!(results.iter().all(|(_, ended)| *ended == FanEnd::Cancelled));

    // When the user interrupts, running commands are killed on the nodes.
    let mark = format!("40{}", std::process::id());
    let interrupted = request(&format!("sleep {mark}"), None);
    let cancel = interrupted.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    });
    let (results, _) = run(&nodes, &all[..2], &interrupted).await;
    assert!(results.iter().all(|(_, ended)| *ended == FanEnd::Cancelled));
    nodes.close().await;
    assert_eq!(crate::server::running("sleep", &mark), None);
}

fn tree(root: &Path) {
    fs::create_dir_all(root.join("d/empty")).unwrap();
    fs::write(root.join("d/run me"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("d/run me"), fs::Permissions::from_mode(0o751)).unwrap();
    fs::write(root.join("-n"), vec![9; 3_000_000]).unwrap();
    fs::write(root.join("it's $(x)é"), "odd").unwrap();
    fs::write(root.join("n".repeat(180)), "long").unwrap();
    symlink("d/run me", root.join("link")).unwrap();
}

fn same(a: &Path, b: &Path) {
    let output = std::process::Command::new("diff")
        .arg("-r")
        .arg("--no-dereference")
        .arg(a)
        .arg(b)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let mode = |root: &Path| fs::metadata(root.join("d/run me")).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(a), mode(b));
    assert!(b.join("d/empty").is_dir());
}

async fn there_and_back(server: &Server, session: &Session) {
    let source = server.path("source");
    fs::create_dir(&source).unwrap();
    tree(&source);
    let there = server.path("there/deep er");
    let archive = Arc::new(Archive::pack(std::slice::from_ref(&source), there.to_str().unwrap()).unwrap());
    assert_eq!(archive.files(), 4);
    for _ in 0..2 {
        push(session, &archive, Some(Duration::from_secs(30)))
            .await
            .unwrap();
        same(&source, &there.join("source"));
    }
    let back = server.path("back/node1");
    let from = there.join("source");
    let limit = Some(Duration::from_secs(30));
    for _ in 0..2 {
        let pulled = pull(
            session,
            from.to_str().unwrap(),
            &back,
            PullLimits::default(),
            limit,
        )
        .await
        .unwrap();
        assert_eq!((pulled.files, pulled.skipped.count()), (4, 0));
        same(&source, &back.join("source"));
    }
    // One file under a new name; a directory in its place is an error.
    let one = server.path("one.conf");
    fs::write(&one, "content").unwrap();
    let target = server.path("etc/two.conf");
    let archive = Arc::new(Archive::pack(std::slice::from_ref(&one), target.to_str().unwrap()).unwrap());
    push(session, &archive, None).await.unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "content");
    let archive = Arc::new(Archive::pack(std::slice::from_ref(&one), there.to_str().unwrap()).unwrap());
    let error = push(session, &archive, None).await.unwrap_err();
    assert!(error.to_string().contains("is a directory there"), "{error}");
    let archive = Arc::new(Archive::pack(&[one], "/proc/nothing/").unwrap());
    assert!(matches!(
        push(session, &archive, None).await,
        Err(TransferError::Remote { .. })
    ));
    // A missing path, and a file that is too large.
    let error = pull(session, "/nonexistent/x", &back, PullLimits::default(), None)
        .await
        .unwrap_err();
    assert!(
        error.to_string().to_lowercase().contains("no such file") || error.to_string().contains("can't cd"),
        "{error}"
    );
    let few = PullLimits {
        bytes: 1000,
        entries: 100,
    };
    let pulled = pull(session, from.to_str().unwrap(), &back, few, None)
        .await
        .unwrap();
    assert_eq!((pulled.files, pulled.skipped.count()), (3, 1), "{pulled:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_there_and_back_on_openssh() {
    let server = Server::openssh("");
    there_and_back(&server, &server.session().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_there_and_back_with_busybox_on_dropbear() {
    let server = Server::dropbear();
    let session = server.session().await;
    there_and_back(&server, &session).await;
}
