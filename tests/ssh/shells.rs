//! Hosts whose login shell prints, or is no POSIX shell: scripts run as if it were `sh`.

use std::fs;
use std::time::Duration;

use vcluster::host::{ConnectOptions, HostLogin};
use vcluster::inventory::HostEndpoint;
use vcluster::ssh::{CommandShell, ExecRequest, SshError};

use crate::server::{Server, asleep, wait_until_not_asleep};

/// Login shells, as scripts.
const SHELLS: &[(&str, &str)] = &[
    ("prints first", r#"echo Welcome; echo hello >&2; exec sh "$@""#),
    (
        "prints before and after, and stays",
        r#"printf Welcome; sh "$@"; s=$?; echo bye; echo bye >&2; exit $s"#,
    ),
    ("is slow", r#"sleep 0.3; exec sh "$@""#),
    ("is no POSIX shell", NO_POSIX),
];

/// Accepts only what fish and csh read as `sh` does. Between single quotes, fish reads a backslash before a backslash or a
/// quote, and csh newlines and exclamation marks; outside of them, neither has the expansions of POSIX.
const NO_POSIX: &str = r#"n='
'
case $2 in
*"$n"* | *'!'* | *"\\'"* | *'\\'*) echo "Unmatched '."; exit 1 ;;
esac
case $(printf %s "$2" | sed "s/'[^']*'//g") in
*'`'* | *'('* | *'{'* | *';'* | *'"'*) echo 'Variable name must begin with a letter.'; exit 1 ;;
esac
exec sh "$@""#;

fn endpoint(server: &Server) -> HostEndpoint {
    server.host();
    HostEndpoint {
        name: "bm01".parse().unwrap(),
        uri: format!(
            "qemu+ssh://root@127.0.0.1:{}/system?known_hosts={}",
            server.port,
            server.path("known_hosts").display()
        ),
        identity: Some(server.path("client")),
        address: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_on_a_host_run_whatever_its_login_shell_is() {
    for (what, shell) in SHELLS {
        let server = Server::with_shell(shell);
        let login = HostLogin::open(&endpoint(&server), &ConnectOptions::default())
            .await
            .unwrap();
        let script = r#"printf 'it'\''s \\ %s!\n' "${1:+$(echo known)}"
for i in 1 2; do echo $i; done
"#;
        let output = login.script("try it", script).await;
        assert_eq!(output.unwrap(), "it's \\ known!\n1\n2\n", "{what}");
        let error = login.script("try it", "echo why >&2; exit 3").await.unwrap_err();
        assert!(error.to_string().ends_with("on `bm01`: why"), "{what}: {error}");
        login.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_runs_out_of_time_is_killed_whatever_the_login_shell_is() {
    for (index, (what, shell)) in SHELLS.iter().enumerate() {
        let server = Server::with_shell(shell);
        let session = server.host_session().await;
        let mark = format!("8{}{index}", std::process::id());
        let request = ExecRequest {
            command: format!("echo begun; sleep {mark}; true"),
            shell: CommandShell::Sh,
            timeout: Some(Duration::from_millis(1500)),
            ..ExecRequest::default()
        };
        match session.exec(&request).await {
            Err(SshError::CommandTimeout { output, .. }) => assert_eq!(output.stdout, b"begun\n", "{what}"),
            other => panic!("{what}: {other:?}"),
        }
        wait_until_not_asleep(&mark).await;
        assert!(!asleep(&mark));
        session.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_and_output_of_any_bytes_pass_a_shell_that_prints() {
    let server = Server::with_shell(SHELLS[1].1);
    let session = server.host_session().await;
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|number| (number * 7 % 256) as u8)
        .collect();
    let request = ExecRequest {
        command: "exec cat".into(),
        shell: CommandShell::Sh,
        stdin: bytes.clone(),
        ..ExecRequest::default()
    };
    let output = session.exec(&request).await.unwrap();
    assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
    assert!(
        output.is_success() && output.stderr.is_empty(),
        "{:?}",
        output.ended
    );
    session.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bash_with_a_greeting_in_its_settings_is_like_any_other_shell() {
    let server = Server::with_shell("exec bash \"$@\"");
    fs::write(server.path(".bashrc"), "echo Welcome\necho hello >&2\n").unwrap();
    let login = HostLogin::open(&endpoint(&server), &ConnectOptions::default())
        .await
        .unwrap();
    assert_eq!(login.script("try it", "id -u\n").await.unwrap(), "0\n");
    login.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_a_shell_is_named_as_what_it_is() {
    let server = Server::with_shell("echo 'This account is currently not available.'; exit 0");
    let login = HostLogin::open(&endpoint(&server), &ConnectOptions::default())
        .await
        .unwrap();
    let error = login.script("try it", "id -u\n").await.unwrap_err().to_string();
    assert!(
        error.contains("did not start `sh`; it printed: This account is currently not available."),
        "{error}"
    );
    login.close().await;
}
