//! Hostile nodes: real servers whose commands lie, flood and try to escape, and one that violates the protocol.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vcluster::base::failure::UserFacing;
use vcluster::base::text::LineBuffer;
use vcluster::ssh::fanout::{self, FanEnd, FanEvent, FanRequest};
use vcluster::ssh::transfer::{PullLimits, Pulled, TransferError, pull};
use vcluster::ssh::{Ended, ExecRequest, Nodes, Reach, Session, SshError, Via};

use crate::server::{LIMIT, Server};

/// A server on which a program is replaced.
fn with_program(name: &str, script: &str) -> Server {
    let bin = tempfile::tempdir().unwrap().keep();
    let server = Server::openssh(&format!("SetEnv PATH={}:/usr/bin:/bin", bin.display()));
    let path = bin.join(name);
    fs::write(
        &path,
        format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin; rm -rf {}\n{script}\n",
            bin.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    server
}

fn limits() -> PullLimits {
    PullLimits {
        bytes: 1 << 20,
        entries: 100,
    }
}

async fn pull_x(server: &Server, into: &Path) -> Result<Pulled, TransferError> {
    let session = server.session().await;
    let pulling = pull(
        &session,
        "/etc/hostname",
        into,
        limits(),
        Some(Duration::from_secs(30)),
    );
    tokio::time::timeout(Duration::from_secs(40), pulling)
        .await
        .unwrap()
}

/// Whether the text contains nothing that could control a terminal.
fn harmless(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\n')
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_leads_out_writes_nothing_outside() {
    // Python writes these names: a normal tar would refuse them.
    let archive = |code: &str| {
        format!(
            "exec python3 -c 'import sys,tarfile,io\nt=tarfile.open(fileobj=sys.stdout.buffer,mode=\"w|\")\n\
             def add(n,k=tarfile.REGTYPE,l=\"\",d=b\"bad\"):\n i=tarfile.TarInfo(n); i.type=k; i.linkname=l; i.mode=0o6777\n \
             i.size=len(d) if k==tarfile.REGTYPE else 0; t.addfile(i,io.BytesIO(d))\n{code}\nt.close()'"
        )
    };
    for (code, refused) in [
        ("add(\"../out\")", true),
        ("add(\"/tmp/vcluster-hostile-out\")", true),
        ("add(\"hostname/../../out\")", true),
        ("add(\"a\",tarfile.SYMTYPE,\"..\"); add(\"a/out\")", false),
        ("add(\"hostname\",tarfile.LNKTYPE,\"/etc/passwd\")", true),
        ("add(\"x\\x1b[2J\\n\",tarfile.SYMTYPE,\"/etc/passwd\")", false),
        ("add(\"d\",tarfile.CHRTYPE); add(\"p\",tarfile.FIFOTYPE)", false),
    ] {
        let server = with_program("tar", &archive(code));
        let outer = tempfile::tempdir().unwrap();
        let into = outer.path().join("in");
        let result = pull_x(&server, &into).await;
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1, "{code}");
        assert!(!Path::new("/tmp/vcluster-hostile-out").exists(), "{code}");
        for entry in fs::read_dir(&into).unwrap().map(Result::unwrap) {
            let meta = fs::symlink_metadata(entry.path()).unwrap();
            assert!(!meta.is_symlink(), "{code}: {:?}", entry.path());
            assert_eq!(
                meta.permissions().mode() & 0o7022,
                0,
                "{code}: {:?}",
                entry.path()
            );
        }
        let words = match &result {
            Err(error) => error.to_string(),
            Ok(pulled) => [pulled.skipped.lines(100), pulled.outside.lines(100)]
                .concat()
                .join("\n"),
        };
        assert!(harmless(&words), "{code}: {words:?}");
        if refused {
            assert!(
                matches!(result, Err(TransferError::Refused { .. })),
                "{code}: {result:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_without_end_is_cut_off_in_bounded_time_and_room() {
    let header = "python3 -c 'import sys,tarfile\ni=tarfile.TarInfo(\"x\"); i.type=KIND; i.size=SIZE\n\
                  h=i.tobuf(tarfile.GNU_FORMAT)\nwhile True: sys.stdout.buffer.write(h*REPEAT + PAD)'";
    let of = |kind: &str, size: &str, pad: &str| {
        header
            .replace("KIND", kind)
            .replace("SIZE", size)
            .replace("PAD", pad)
            .replace("REPEAT", "64")
    };
    let endless = [
        of("b\"g\"", "0", "b\"\""),
        of("b\"L\"", "0", "b\"\""),
        of("b\"0\"", "0", "b\"\""),
        of("b\"6\"", "1<<40", "bytes(1<<16)"),
        "exec cat /dev/zero".to_owned(),
        "exec yes".to_owned(),
    ];
    for script in endless {
        let server = with_program("tar", &script);
        let into = tempfile::tempdir().unwrap();
        // Refused for what it is, and not because its time is over.
        let error = pull_x(&server, into.path()).await.unwrap_err();
        assert!(
            !matches!(error, TransferError::Ssh(SshError::CommandTimeout { .. })),
            "{script}: {error}"
        );
        let kept: u64 = fs::read_dir(into.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(kept <= (1 << 20) + (64 << 10), "{script}: {kept} bytes are kept");
        let words = error.to_string();
        assert!(harmless(&words) && words.len() < 2_000, "{script}: {words:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_without_end_is_passed_over_and_read_no_further() {
    let endless = "python3 -c 'import sys,tarfile\ni=tarfile.TarInfo(\"x\"); i.size=1<<40\n\
                   sys.stdout.buffer.write(i.tobuf(tarfile.GNU_FORMAT))\nwhile True: sys.stdout.buffer.write(bytes(1<<16))'";
    let server = with_program("tar", endless);
    let into = tempfile::tempdir().unwrap();
    let pulled = pull_x(&server, into.path()).await.unwrap();
    let named = "x (it is larger than what is left of the limit (`pull --limit`))";
    assert_eq!(pulled.skipped.lines(9), [named]);
    // What is there is fetched on its own.
    assert_eq!((pulled.files, into.path().join("x").exists()), (1, false));
    assert!(into.path().join("hostname").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_with_a_wrong_digest_are_an_error() {
    let server = with_program("sha256sum", "echo 0000  ./hostname; printf '\\033[2J\\n'");
    let into = tempfile::tempdir().unwrap();
    let error = pull_x(&server, into.path()).await.unwrap_err();
    assert!(matches!(error, TransferError::Digest { .. }), "{error}");
    let loud = with_program(
        "tar",
        "printf '\\033]0;title\\007 no\\n' >&2; yes | head -c 10000000 >&2; exit 2",
    );
    let error = pull_x(&loud, into.path()).await.unwrap_err().to_string();
    assert!(harmless(&error) && error.len() < 1_000, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_without_end_takes_bounded_memory_and_ends_with_its_time() {
    let server = Server::openssh("");
    let session = server.session().await;
    let request = ExecRequest {
        command: "yes | tr -d '\\n'; :".into(),
        timeout: Some(Duration::from_secs(2)),
        limit: 10_000,
        ..ExecRequest::default()
    };
    match session.exec(&request).await {
        Err(SshError::CommandTimeout { output, .. }) => {
            assert_eq!((output.stdout.len(), output.truncated), (10_000, true));
        }
        other => panic!("{other:?}"),
    }
    // Line by line: chunks of bounded length, and escapes sanitized before printing.
    let names = vec!["n1".to_owned()];
    let nodes = Nodes::new([Reach {
        target: server.node("n1"),
        via: Via::Direct,
        host: "gate".into(),
    }]);
    let request = FanRequest {
        exec: ExecRequest {
            command: "printf '\\033[2J\\302\\2332J\\342\\200\\256\\033]0;t\\007'; yes | tr -d '\\n' | head -c 5000000".into(),
            timeout: Some(Duration::from_secs(30)),
            ..ExecRequest::default()
        },
        stdin: None,
        fanout: 1,
        cancel: CancellationToken::new(),
    };
    let (sender, mut events) = mpsc::channel(8);
    let reading = tokio::spawn(async move {
        let (mut longest, mut all) = (0, 0);
        while let Some(event) = events.recv().await {
            if let FanEvent::Line { line, .. } = event {
                longest = longest.max(line.len());
                all += line.len();
                let shown = vcluster::base::text::sanitize(&line).into_owned();
                assert!(harmless(&shown) && !shown.contains('\u{202e}'));
                let mut buffer = LineBuffer::default();
                buffer.push(line.as_bytes(), |_| panic!("unexpected line end"));
                assert!(harmless(&buffer.finish().unwrap()));
            }
        }
        (longest, all)
    });
    let ended = fanout::run(&nodes, &names, &request, sender).await;
    assert_eq!(ended, [("n1".to_owned(), FanEnd::Ended(Ended::Exit(0)))]);
    let (longest, all) = reading.await.unwrap();
    assert!(longest <= 16 * 1024 + 3 && all > 5_000_000, "{longest} {all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_talks_without_end_before_it_says_ssh_is_left_in_bounded_time() {
    for line in [
        &b"hello\r\n"[..],
        &b"x"[..],
        b"SSH-2.0-",
        b"SSH-2.0-x\r\n\0\0\0\x01",
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let talking = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let piece = line.repeat(1000);
            while stream.write_all(&piece).await.is_ok() {
                count.fetch_add(piece.len(), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let server = Server::openssh("");
        let mut target = server.node("n1");
        target.address = address;
        target.timeout = Some(Duration::from_secs(3));
        let connecting = timeout(LIMIT, Session::connect_node(None, &target));
        let error = connecting.await.expect("an end").err().unwrap();
        assert!(harmless(&error.to_string()), "{error}");
        // The client no longer reads from it.
        let _ = timeout(LIMIT, talking).await.expect("the connection is closed");
    }
}

/// A server that opens channels to its client.
struct Grasping {
    opened: Arc<AtomicUsize>,
}

impl russh::server::Handler for Grasping {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: russh::server::VerifiedPublicKey<'_>,
    ) -> Result<russh::server::Auth, russh::Error> {
        Ok(russh::server::Auth::Accept)
    }

    async fn auth_succeeded(&mut self, session: &mut russh::server::Session) -> Result<(), russh::Error> {
        let (handle, opened) = (session.handle(), self.opened.clone());
        tokio::spawn(async move {
            for _ in 0..20 {
                let agent = handle.channel_open_agent().await.is_ok();
                let tcp = handle
                    .channel_open_forwarded_tcpip("127.0.0.1", 22, "127.0.0.1", 1)
                    .await;
                let any = [agent, tcp.is_ok(), handle.channel_open_session().await.is_ok()];
                opened.fetch_add(any.iter().filter(|opened| **opened).count(), Ordering::Relaxed);
                opened.fetch_add(
                    usize::from(handle.channel_open_x11("x", 1).await.is_ok()),
                    Ordering::Relaxed,
                );
            }
            opened.fetch_add(1_000, Ordering::Relaxed);
        });
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cannot_open_channels_to_the_controller() {
    let real = Server::openssh("");
    let opened = Arc::new(AtomicUsize::new(0));
    let key = russh::keys::PrivateKey::read_openssh_file(real.path("host")).unwrap();
    let config = Arc::new(russh::server::Config {
        keys: vec![key],
        ..russh::server::Config::default()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = real.node("n1");
    target.address = listener.local_addr().unwrap();
    let count = opened.clone();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let running = russh::server::run_stream(config, stream, Grasping { opened: count }).await;
        let _ = running.unwrap().await;
    });
    let session = Session::connect_node(None, &target).await.unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while opened.load(Ordering::Relaxed) < 1_000 {
        assert!(Instant::now() < end, "the server has not finished its attempts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(opened.load(Ordering::Relaxed), 1_000, "channels were opened");
    assert!(!session.is_closed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_host_key_is_an_error_with_both_keys_and_gets_no_login() {
    let server = Server::openssh("");
    let other = Server::openssh("");
    let mut target = server.node("n1");
    target.host_key = other.host_key();
    let error = Session::connect_node(None, &target).await.err().unwrap();
    let (message, hint) = (error.to_string(), error.hint().unwrap());
    for key in [server.host_key(), other.host_key()] {
        assert!(message.contains(&vcluster::ssh::fingerprint(&key)), "{message}");
    }
    assert!(
        message.contains("n1") && hint.contains("vcluster console"),
        "{message} {hint}"
    );
    let log = server.log();
    assert!(
        !log.contains("Accepted") && !log.contains("userauth-request"),
        "{log}"
    );
}
