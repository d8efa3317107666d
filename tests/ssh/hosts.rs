//! Host keys, client keys and jump hosts.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use vcluster::base::failure::UserFacing;
use vcluster::ssh::{
    ExecRequest, HostKeyError, LoginRetry, Session, SshConfig, SshError, fingerprint, login_with_retry,
};

use crate::server::{Server, keygen};

async fn refused(server: &Server, config: &SshConfig) -> SshError {
    let target = server.host();
    Session::connect_host_with(&target, config)
        .await
        .err()
        .expect("a refusal")
}

async fn hello(session: &Session) {
    let request = ExecRequest {
        command: "echo hello".into(),
        ..ExecRequest::default()
    };
    assert_eq!(session.exec(&request).await.unwrap().stdout, b"hello\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_host_key_is_refused_with_its_fingerprint_and_the_command_that_accepts_it() {
    let server = Server::openssh("");
    let mut target = server.host();
    fs::write(server.path("none"), "# nothing\n").unwrap();
    target.known_hosts = Some(server.path("none"));
    let config = server.config("");
    let error = Session::connect_host_with(&target, &config).await.err().unwrap();
    assert!(
        error.to_string().contains(&fingerprint(&server.host_key())),
        "{error}"
    );
    assert!(!error.is_transient());
    let hint = error.hint().unwrap();
    assert!(
        hint.contains(&format!("-p {} root@127.0.0.1 true", server.port)),
        "{hint}"
    );
    // The command from the hint works.
    let command = hint.split_once("accept it: ").unwrap().1;
    let command = command.replacen(
        "ssh ",
        "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes ",
        1,
    );
    Command::new("sh")
        .arg("-c")
        .arg(&command)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    hello(&Session::connect_host_with(&target, &config).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accept_new_writes_the_key_down_once_and_never_takes_a_changed_one() {
    let server = Server::openssh("");
    let mut target = server.host();
    let known = server.path("new/known_hosts");
    target.known_hosts = None;
    let config = server.config(&format!(
        "UserKnownHostsFile {}\nGlobalKnownHostsFile none\nStrictHostKeyChecking accept-new\n",
        known.display()
    ));
    for _ in 0..2 {
        hello(&Session::connect_host_with(&target, &config).await.unwrap()).await;
    }
    let text = fs::read_to_string(&known).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let found = Command::new("ssh-keygen")
        .args(["-F", &format!("[127.0.0.1]:{}", server.port), "-f"])
        .arg(&known)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(found.success());

    let other = Server::openssh("");
    let line = format!(
        "[127.0.0.1]:{} {}\n",
        server.port,
        other.host_key().to_openssh().unwrap()
    );
    fs::write(&known, format!("# a comment\n{line}")).unwrap();
    let error = Session::connect_host_with(&target, &config).await.err().unwrap();
    let text = error.to_string();
    for part in [
        fingerprint(&server.host_key()),
        fingerprint(&other.host_key()),
        format!("{}:2", known.display()),
    ] {
        assert!(text.contains(&part), "{text}");
    }
    let hint = error.hint().unwrap();
    let removal = hint.split_once("right: ").unwrap().1;
    let removed = Command::new("sh")
        .arg("-c")
        .arg(removal)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(removed.unwrap().success(), "{removal}");
    hello(&Session::connect_host_with(&target, &config).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashed_wildcard_aliased_and_other_kinds_of_known_hosts_are_found() {
    let server = Server::openssh("");
    let key = server.host_key().to_openssh().unwrap();
    let rsa = fs::read_to_string(server.path("host_rsa.pub")).unwrap();
    let mut target = server.host();
    let known = server.path("known_hosts");
    for (text, config) in [
        (format!("[127.0.0.*]:{} {key}\n", server.port), ""),
        (format!("garbage\n\n[127.0.0.1]:{0}\t{key}\n", server.port), ""),
        // Only the RSA key is known: the client must request that one.
        (format!("[127.0.0.1]:{} {rsa}\n", server.port), ""),
        (format!("my-alias {key}\n"), "HostKeyAlias My-Alias\n"),
    ] {
        fs::write(&known, text).unwrap();
        target.known_hosts = Some(known.clone());
        hello(
            &Session::connect_host_with(&target, &server.config(config))
                .await
                .unwrap(),
        )
        .await;
    }
    // Hashed by ssh-keygen itself.
    fs::write(&known, format!("[127.0.0.1]:{} {key}\n", server.port)).unwrap();
    let hashed = Command::new("ssh-keygen")
        .arg("-H")
        .arg("-f")
        .arg(&known)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(hashed.unwrap().success());
    assert!(fs::read_to_string(&known).unwrap().starts_with("|1|"));
    hello(
        &Session::connect_host_with(&target, &server.config(""))
            .await
            .unwrap(),
    )
    .await;
    // Refusals: negated, revoked, an authority only.
    for (text, part) in [
        (
            format!("[127.0.0.*]:*,![127.0.0.1]:{} {key}\n", server.port),
            "is not known",
        ),
        (
            format!("@revoked * {key}\n[127.0.0.1]:{} {key}\n", server.port),
            "is revoked",
        ),
        (format!("@cert-authority * {key}\n"), "certificate authority only"),
    ] {
        fs::write(&known, text).unwrap();
        let error = Session::connect_host_with(&target, &server.config(""))
            .await
            .err()
            .unwrap();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_host_key_than_ours_is_refused_at_once() {
    let server = Server::openssh("");
    let other = Server::openssh("");
    let mut target = server.node("worker1");
    target.host_key = other.host_key();
    let error = login_with_retry(None, &target, LoginRetry::default(), || None)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, SshError::HostKey(key) if matches!(**key, HostKeyError::Pinned { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("worker1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_from_files_of_the_config_and_the_error_names_what_failed() {
    let server = Server::openssh("");
    let config = server.config(&format!(
        "Host gate\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile %d/client\n UserKnownHostsFile {}\n",
        server.port,
        server.path("known_hosts").display()
    ));
    let mut target = server.host();
    target.identity = None;
    target.known_hosts = None;
    target.port = None;
    target.user = None;
    target.host = "gate".into();
    hello(&Session::connect_host_with(&target, &config).await.unwrap()).await;

    keygen(&server.path("locked"), "ed25519", "secret");
    keygen(&server.path("stranger"), "ecdsa", "");
    keygen(&server.path("open"), "ed25519", "");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(server.path("open"), mode).unwrap();
    let mut target = server.host();
    target.identity = None;
    let config = server.config(
        "IdentityFile %d/locked\nIdentityFile %d/stranger\nIdentityFile %d/missing\nIdentityFile %d/open\n",
    );
    let error = Session::connect_host_with(&target, &config).await.err().unwrap();
    let text = error.to_string();
    for part in [
        "locked is encrypted",
        "stranger",
        "missing",
        "open is readable by others",
        "`root`",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(error.hint().unwrap().contains("ssh-add"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsa_and_ecdsa_keys_and_the_default_names_work() {
    let server = Server::openssh("");
    let folder = server.path(".ssh");
    fs::create_dir(&folder).unwrap();
    let mut target = server.host();
    target.identity = None;
    for kind in ["rsa", "ecdsa"] {
        let path = folder.join(format!("id_{kind}"));
        keygen(&path, kind, "");
        fs::copy(path.with_extension("pub"), server.path("authorized_keys")).unwrap();
        hello(
            &Session::connect_host_with(&target, &server.config(""))
                .await
                .unwrap(),
        )
        .await;
        fs::remove_file(path).unwrap();
    }
}

fn agent(directory: &Path, keys: &[&Path]) -> (std::process::Child, std::path::PathBuf) {
    let socket = directory.join("agent");
    let child = Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..500 {
        if socket.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    for key in keys {
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &socket)
            .status()
            .unwrap();
        assert!(added.success());
    }
    (child, socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_is_used_and_the_configured_key_comes_first() {
    let server = Server::openssh("MaxAuthTries 2");
    let mut keys = Vec::new();
    for i in 0..5 {
        let path = server.path(&format!("other{i}"));
        keygen(&path, "ed25519", "");
        keys.push(path);
    }
    keys.push(server.path("client"));
    let (mut child, socket) = agent(
        server.directory.path(),
        &keys.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
    );
    let mut target = server.host();
    target.identity = None;
    fs::rename(server.path("client"), server.path("moved")).unwrap();
    // Only the public half of the right key is available, as with a hardware key.
    let mut config = server.config("IdentityFile %d/client.pub\nIdentitiesOnly yes\n");
    config.agent = Some(socket.clone());
    hello(&Session::connect_host_with(&target, &config).await.unwrap()).await;
    // With IdentityAgent and without a configured key: too many keys for the server.
    let config = server.config(&format!("IdentityAgent {}\n", socket.display()));
    let error = refused_without_identity(&server, &config).await;
    assert!(error.to_string().contains("MaxAuthTries"), "{error}");
    assert!(error.hint().unwrap().contains("IdentitiesOnly"), "{error}");
    // The key that the topology names comes before those of the agent.
    let mut target = server.host();
    target.identity = Some(server.path("moved"));
    hello(&Session::connect_host_with(&target, &config).await.unwrap()).await;
    let _ = child.kill();
    let _ = child.wait();
}

fn sign(server: &Server, key: &str) {
    let signed = Command::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(server.path("ca"))
        .args(["-I", "test", "-n", "root"])
        .arg(server.path(&format!("{key}.pub")))
        .status();
    assert!(signed.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_offered_from_files_and_signed_for_by_a_file_or_the_agent() {
    let server = Server::openssh("");
    keygen(&server.path("ca"), "ed25519", "");
    keygen(&server.path("rsa"), "rsa", "");
    let ca = fs::read_to_string(server.path("ca.pub")).unwrap();
    fs::write(server.path("authorized_keys"), format!("cert-authority {ca}")).unwrap();
    let mut target = server.host();
    target.identity = None;
    let plain = server.config("IdentityFile %d/client\n");
    let error = Session::connect_host_with(&target, &plain).await.err().unwrap();
    assert!(matches!(error, SshError::Login { .. }), "{error}");
    // Beside the key file.
    for key in ["client", "rsa"] {
        sign(&server, key);
        let config = server.config(&format!("IdentityFile %d/{key}\n"));
        hello(&Session::connect_host_with(&target, &config).await.unwrap()).await;
    }
    // Named, and elsewhere.
    fs::rename(server.path("client-cert.pub"), server.path("other")).unwrap();
    let named = "IdentityFile %d/client\nCertificateFile %d/other\n";
    hello(
        &Session::connect_host_with(&target, &server.config(named))
            .await
            .unwrap(),
    )
    .await;
    // The agent has the key, but not the certificate.
    let key = server.path("client");
    let (mut child, socket) = agent(server.directory.path(), &[key.as_path()]);
    fs::remove_file(&key).unwrap();
    let mut config = server.config("IdentityFile %d/client.pub\nCertificateFile %d/other\n");
    config.agent = Some(socket);
    hello(&Session::connect_host_with(&target, &config).await.unwrap()).await;
    let _ = child.kill();
    let _ = child.wait();
}

async fn refused_without_identity(server: &Server, config: &SshConfig) -> SshError {
    let mut target = server.host();
    target.identity = None;
    Session::connect_host_with(&target, config)
        .await
        .err()
        .expect("a refusal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_and_hosts_are_reached_through_another_host() {
    let gate = Server::openssh("");
    let inner = Server::openssh("");
    let micro = Server::dropbear();
    let host = gate.host_session().await;
    for server in [&inner, &micro] {
        let session = Session::connect_node(Some(&host), &server.node("inner"))
            .await
            .unwrap();
        hello(&session).await;
        let request = ExecRequest {
            command: "cat".into(),
            stdin: vec![7; 3_000_000],
            ..ExecRequest::default()
        };
        assert_eq!(session.exec(&request).await.unwrap().stdout.len(), 3_000_000);
        session.close().await;
    }
    // The same by ProxyJump, with the jump host's own settings.
    let target = inner.host();
    gate.host();
    let config = inner.config(&format!(
        "Host gate\n HostName 127.0.0.1\n Port {0}\n IdentityFile {1}/client\n UserKnownHostsFile {1}/known_hosts\n\
         Host 127.0.0.1\n ProxyJump root@gate\n",
        gate.port,
        gate.directory.path().display()
    ));
    let session = Session::connect_host_with(&target, &config).await.unwrap();
    hello(&session).await;
    assert!(
        gate.log().matches("Accepted publickey").count() >= 2,
        "{}",
        gate.log()
    );
    // Through two of them, of which the second has settings of its own, and by a command.
    let second = Server::openssh("");
    second.host();
    let hops = |server: &Server, name: &str| {
        format!(
            "Host {name}\n HostName 127.0.0.1\n Port {0}\n User root\n IdentityFile {1}/client\n UserKnownHostsFile {1}/known_hosts\n",
            server.port,
            server.directory.path().display()
        )
    };
    let config = inner.config(&format!(
        "{}{}Match originalhost 127.0.0.1 exec \"true\"\n ProxyJump gate,second\n",
        hops(&gate, "gate"),
        hops(&second, "second")
    ));
    hello(&Session::connect_host_with(&target, &config).await.unwrap()).await;
    assert!(second.log().contains("Accepted publickey"), "{}", second.log());
    let config = inner.config("ProxyCommand busybox nc %h %p\n");
    hello(&Session::connect_host_with(&target, &config).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_or_is_silent_fails_in_bounded_time_and_is_named() {
    let server = Server::openssh("");
    let mut target = server.host();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    target.port = Some(silent.local_addr().unwrap().port());
    target.timeout = Duration::from_millis(500);
    let config = server.config("");
    let error = Session::connect_host_with(&target, &config).await.err().unwrap();
    assert!(matches!(error, SshError::Timeout { .. }), "{error}");
    drop(silent);
    target.timeout = Duration::from_secs(5);
    let error = Session::connect_host_with(&target, &config).await.err().unwrap();
    assert!(matches!(error, SshError::Connect { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    let denied = server.config("IdentityFile none\n");
    let mut target = server.host();
    target.identity = None;
    let error = Session::connect_host_with(&target, &denied).await.err().unwrap();
    assert!(error.to_string().contains("no key to offer"), "{error}");
    assert!(matches!(
        refused(&server, &server.config("ProxyCommand x\nProxyUseFdpass yes\n")).await,
        SshError::Unsupported { .. }
    ));
    let error = refused(&server, &server.config("ProxyCommand echo no way >&2\n")).await;
    assert!(error.to_string().contains("no way"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_login_ends_when_the_machine_died_and_succeeds_when_it_comes_up() {
    let server = Server::openssh("");
    let mut target = server.node("worker1");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    target.address = listener.local_addr().unwrap();
    drop(listener);
    let mut looks = 0;
    let stop = || {
        looks += 1;
        (looks > 3).then(|| "the domain is shut off".to_owned())
    };
    let error = login_with_retry(None, &target, LoginRetry::default(), stop)
        .await
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "the domain is shut off");

    let short = LoginRetry {
        deadline: Duration::from_millis(900),
        ..LoginRetry::default()
    };
    let error = login_with_retry(None, &target, short, || None)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, SshError::Connect { .. }),
        "the last real error, not {error}"
    );

    // A port that answers only later.
    let (late, real) = (target.address, server.address());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let listener = tokio::net::TcpListener::bind(late).await.unwrap();
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = tokio::net::TcpStream::connect(real).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    hello(
        &login_with_retry(None, &target, LoginRetry::default(), || None)
            .await
            .unwrap(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_logins_at_once_to_one_host_with_stock_limits_are_never_refused() {
    let server = Server::openssh("");
    let (target, config) = (server.host(), server.config(""));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..150 {
        let (target, config) = (target.clone(), config.clone());
        all.spawn(async move { Session::connect_host_with(&target, &config).await });
    }
    let begun = cpu();
    let mut sessions = Vec::new();
    while let Some(session) = all.join_next().await {
        sessions.push(session.unwrap().unwrap());
    }
    eprintln!("{:.2} ms of CPU per login", (cpu() - begun) * 1000.0 / 150.0);
    let log = server.log();
    assert!(
        !log.contains("throttling") && !log.contains("drop connection"),
        "{log}"
    );
    hello(&sessions[149]).await;
}

fn cpu() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}
