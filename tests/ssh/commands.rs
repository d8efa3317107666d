//! Commands, terminals and tunnels over one session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vcluster::ssh::{Ended, ExecEvent, ExecRequest, Output, Session, ShellRequest, SshError};

use crate::server::{LIMIT, Server, asleep};

fn command(text: &str) -> ExecRequest {
    ExecRequest {
        command: text.into(),
        ..ExecRequest::default()
    }
}

fn limited(text: &str, limit: Duration) -> ExecRequest {
    ExecRequest {
        timeout: Some(limit),
        ..command(text)
    }
}

async fn exec(session: &Session, text: &str) -> Output {
    session
        .exec(&limited(text, Duration::from_secs(30)))
        .await
        .unwrap()
}

async fn basics(session: &Session) {
    let output = session
        .exec(&command("echo out; echo err >&2; exit 3"))
        .await
        .unwrap();
    assert_eq!(output.ended, Some(Ended::Exit(3)));
    assert_eq!(
        (output.stdout.as_slice(), output.stderr.as_slice()),
        (&b"out\n"[..], &b"err\n"[..])
    );

    let killed = session.exec(&command("kill -TERM $$")).await.unwrap();
    assert_eq!(killed.ended, Some(Ended::Signal("TERM".into())));

    let stdin: Vec<u8> = (0..5_000_000_u32)
        .flat_map(u32::to_le_bytes)
        .take(5_000_000)
        .collect();
    let request = ExecRequest {
        stdin: stdin.clone(),
        ..command("cat")
    };
    assert!(session.exec(&request).await.unwrap().stdout == stdin);

    let request = ExecRequest {
        limit: 1000,
        ..command("head -c 3000000 /dev/zero; echo end >&2")
    };
    let output = session.exec(&request).await.unwrap();
    assert_eq!(
        (output.stdout.len(), output.truncated, output.code()),
        (1000, true, Some(0))
    );
    assert_eq!(output.stderr, b"end\n");

    let quoted = exec(session, r#"printf '%s|' "a b" 'it'\''s' $((1+1))"#).await;
    assert_eq!(quoted.stdout, b"a b|it's|2|");
}

async fn no_leak(session: Session) {
    for i in 0..50 {
        assert_eq!(
            exec(&session, &format!("echo {i}")).await.stdout,
            format!("{i}\n").into_bytes()
        );
    }
    let session = Arc::new(session);
    let mut all = tokio::task::JoinSet::new();
    for i in 0..30 {
        let session = session.clone();
        all.spawn(async move { exec(&session, &format!("sleep 0.1; echo {i}")).await.code() });
    }
    assert!(all.join_all().await.into_iter().all(|code| code == Some(0)));
    // Dropped receivers and cancelled commands release their slots as well.
    for _ in 0..25 {
        drop(session.stream(&command("sleep 0.5")).await.unwrap());
        let request = limited("sleep 60", Duration::from_mins(1));
        let cut = tokio::time::timeout(Duration::from_millis(30), session.exec(&request)).await;
        assert!(cut.is_err(), "{cut:?}");
    }
    assert_eq!(exec(&session, "echo still").await.stdout, b"still\n");
}

async fn time_runs_out(session: &Session) {
    let mark = format!("30{}", std::process::id());
    for _ in 0..12 {
        let request = limited(&format!("echo begun; sleep {mark}"), Duration::from_secs(2));
        match session.exec(&request).await {
            Err(SshError::CommandTimeout { output, .. }) => assert_eq!(output.stdout, b"begun\n"),
            other => panic!("{other:?}"),
        }
    }
    // The commands that timed out were killed, and no slot was lost.
    assert_eq!(crate::server::running("sleep", &mark), None);
    assert_eq!(exec(session, "echo still").await.stdout, b"still\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_give_status_signal_and_output_on_openssh() {
    let server = Server::openssh("");
    basics(&server.session().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_give_status_signal_and_output_on_dropbear() {
    let server = Server::dropbear();
    basics(&server.session().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_slot_of_max_sessions_is_lost_on_openssh() {
    let server = Server::openssh("");
    no_leak(server.host_session().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_slot_is_lost_on_dropbear() {
    let server = Server::dropbear();
    no_leak(server.session().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_runs_out_of_time_is_killed_on_openssh() {
    let server = Server::openssh("");
    time_runs_out(&server.session().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_runs_out_of_time_is_killed_on_dropbear() {
    let server = Server::dropbear();
    time_runs_out(&server.session().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_keeps_the_output_open_does_not_delay_the_result() {
    let server = Server::openssh("");
    let session = server.session().await;
    let mark = format!("36{}", std::process::id());
    let output = exec(&session, &format!("sleep {mark} & echo $!; exit 4")).await;
    assert_eq!(output.code(), Some(4));
    assert!(asleep(&mark), "the result waited for the daemon");
    let daemon = String::from_utf8(output.stdout).unwrap();
    assert_eq!(exec(&session, &format!("kill {daemon}")).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_delivers_events_as_they_happen() {
    let server = Server::openssh("");
    let session = server.session().await;
    let go = server.path("go");
    let mut events = session
        .stream(&command(&format!(
            "echo one; until [ -e {go} ]; do sleep 0.05; done; echo two; exit 5",
            go = go.display()
        )))
        .await
        .unwrap();
    assert_eq!(events.recv().await, Some(ExecEvent::Stdout(b"one\n".to_vec())));
    // The second line is written only now.
    std::fs::write(&go, "").unwrap();
    assert_eq!(events.recv().await, Some(ExecEvent::Stdout(b"two\n".to_vec())));
    assert_eq!(events.recv().await, Some(ExecEvent::Ended(Ended::Exit(5))));
    assert_eq!(events.recv().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_output_is_not_taken_waits_and_loses_nothing() {
    const BYTES: usize = 64 << 20;
    let server = Server::openssh("");
    let session = server.session().await;
    let place = tempfile::tempdir().unwrap();
    let done = place.path().join("done");
    let text = format!("head -c {BYTES} /dev/zero && touch {}", done.display());
    let mut events = session.stream(&command(&text)).await.unwrap();
    // Without a bound, the whole output arrives in this time.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        !done.exists(),
        "{BYTES} bytes were taken from the node, and wait here"
    );
    let (mut taken, mut ended) = (0, None);
    while let Some(event) = events.recv().await {
        match event {
            ExecEvent::Stdout(bytes) => taken += bytes.len(),
            other => ended = Some(other),
        }
    }
    assert_eq!((taken, ended), (BYTES, Some(ExecEvent::Ended(Ended::Exit(0)))));
    assert!(done.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_is_reported_as_lost() {
    let server = Server::openssh("");
    let session = server.session().await;
    let pid = exec(&session, "echo $PPID").await;
    let pid: i32 = String::from_utf8(pid.stdout).unwrap().trim().parse().unwrap();
    let mut events = session.stream(&command("echo one; sleep 300")).await.unwrap();
    assert_eq!(events.recv().await, Some(ExecEvent::Stdout(b"one\n".to_vec())));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    let end = tokio::time::timeout(LIMIT, events.recv()).await.unwrap();
    assert!(matches!(end, Some(ExecEvent::Lost(_))), "{end:?}");
    assert!(session.is_closed());
    assert!(matches!(
        session.exec(&command("true")).await,
        Err(SshError::Lost { .. })
    ));
}

async fn echo_server() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_connections_carry_bulk_both_ways_at_once_and_close() {
    let server = Server::openssh("");
    let session = server.session().await;
    let address = echo_server().await;
    let stream = session.tcp(address).await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    let sent: Vec<u8> = (0..8_000_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        write.write_all(&copy).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    read.read_to_end(&mut got).await.unwrap();
    writing.await.unwrap();
    assert!(got == sent);
    // Many in parallel: they do not count against MaxSessions.
    let mut open = Vec::new();
    for _ in 0..40 {
        open.push(session.tcp(address).await.unwrap());
    }
    assert_eq!(exec(&session, "echo yes").await.stdout, b"yes\n");
    let refused = session.tcp("127.0.0.1:1".parse().unwrap()).await.err().unwrap();
    assert!(refused.to_string().contains("127.0.0.1:1"), "{refused}");
    assert!(refused.is_transient());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_unix_socket_is_reached_and_its_stream_may_be_dropped_on_any_thread() {
    let server = Server::openssh("");
    let session = server.session().await;
    let path = server.path("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"hello").await;
        }
    });
    let mut stream = session.unix(path.to_str().unwrap()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
    std::thread::spawn(move || drop(stream)).join().unwrap();
    assert!(session.unix("/nonexistent").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_echoes_and_follows_the_window() {
    let server = Server::openssh("");
    let session = server.session().await;
    let request = ShellRequest {
        command: Some("stty size; read line; stty size; test -t 0 && exit 7".into()),
        term: "xterm".into(),
        columns: 91,
        rows: 33,
    };
    let mut shell = session.shell(&request).await.unwrap();
    let (mut text, mut typed, mut status) = (String::new(), false, None);
    while let Some(event) = shell.next().await {
        match event {
            ExecEvent::Stdout(data) => text.push_str(&String::from_utf8_lossy(&data)),
            ExecEvent::Ended(Ended::Exit(code)) => status = Some(code),
            other => panic!("{other:?}"),
        }
        if text.contains("33 91") && !typed {
            typed = true;
            shell.resize(100, 40).await;
            shell.input(b"go\n".to_vec()).await;
        }
    }
    assert!(text.contains("40 100"), "{text:?}");
    assert_eq!(status, Some(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_falls_silent_is_noticed_in_bounded_time_idle_or_in_the_middle_of_a_write() {
    let server = Server::openssh("");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, real) = (listener.local_addr().unwrap().port(), server.address());
    let (silence, silent) = tokio::sync::watch::channel(false);
    let mut closes = silent.clone();
    tokio::spawn(async move {
        loop {
            let (mut from, _) = tokio::select! {
                accepted = listener.accept() => accepted.unwrap(),
                // The machine is gone: no new connection is accepted.
                _ = closes.changed() => return,
            };
            let mut silent = silent.clone();
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(real).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                    _ = silent.changed() => std::future::pending().await,
                }
            });
        }
    });
    let mut node = server.node("node");
    node.address.set_port(port);
    let node = Session::connect_node(None, &node).await.unwrap();
    let mut host = server.host();
    host.port = Some(port);
    let known = server.path("known_hosts");
    let line = std::fs::read_to_string(&known).unwrap();
    std::fs::write(&known, line.replace(&real.port().to_string(), &port.to_string())).unwrap();
    let mut sessions = Vec::new();
    for _ in 0..2 {
        sessions.push(Session::connect_host(&host).await.unwrap());
    }
    let mut slow = node.stream(&command("sleep 1000")).await.unwrap();
    let mut idle = sessions[0].stream(&command("sleep 1000")).await.unwrap();
    let request = ExecRequest {
        stdin: vec![0; 60_000_000],
        ..command("sleep 2; cat > /dev/null")
    };
    let mut busy = sessions[1].stream(&request).await.unwrap();
    silence.send(true).unwrap();
    let begun = Instant::now();
    for events in [&mut idle, &mut busy] {
        let end = tokio::time::timeout(Duration::from_secs(80), events.recv())
            .await
            .unwrap();
        assert!(
            matches!(&end, Some(ExecEvent::Lost(reason)) if reason.contains("stopped answering")),
            "{end:?}"
        );
        eprintln!("noticed after {:?}", begun.elapsed());
    }
    // A node counts as dead only if its host reports it, never because it is silent.
    assert!(slow.try_recv().is_err() && !node.is_closed());
}
