//! Hosts that cannot be reached: exit code 5, or 7 where something may be left on them.

use std::net::TcpListener;

use crate::program::{Ran, Vcluster};

/// A host at a port of this machine where nothing listens.
pub(crate) const CLOSED: &str = "qemu+ssh://root@127.0.0.1:1/system";

/// A topology of two nodes on the host `bm01`.
pub(crate) fn topology(uri: &str) -> String {
    format!("name: demo\nhosts:\n  bm01: {{ uri: \"{uri}\" }}\ngroups:\n  web: {{ count: 2 }}\n")
}

/// A port of this machine that takes connections and never answers, and the URI of a host there.
pub(crate) fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("qemu+ssh://root@127.0.0.1:{port}/system"))
}

/// Runs a command on `demo.yaml`, whose only host is closed.
fn closed<'a>(args: impl IntoIterator<Item = &'a str>) -> Ran {
    Vcluster::new()
        .file("demo.yaml", &topology(CLOSED))
        .args(args)
        .run()
}

#[test]
fn plan_names_the_host_that_it_cannot_reach_and_what_to_check() {
    let ran = closed(["plan", "demo.yaml"])
        .code(5)
        .prints_nothing()
        .says("plan demo: 2 nodes on 1 host\n")
        .says("`bm01`")
        .says("127.0.0.1:1: Connection refused")
        .says("hint: ")
        .says("sshd");
    assert_output!(ran);
    assert!(!ran.path("state").exists(), "a plan left a state directory");
}

#[test]
fn up_with_dry_run_is_the_same_as_plan() {
    for line in [
        "plan demo.yaml",
        "plan --adopt demo.yaml",
        "up --dry-run demo.yaml",
        "up --dry-run --adopt demo.yaml",
    ] {
        let ran = closed(line.split(' '))
            .code(5)
            .prints_nothing()
            .says("plan demo: 2 nodes on 1 host\n")
            .says("hint: ");
        assert!(!ran.path("state").exists(), "{line} left a state directory");
    }
}

#[test]
fn plan_refuses_options_that_do_not_change_a_plan() {
    for option in [
        "--dry-run",
        "--keep",
        "--no-configure",
        "--boot-timeout=5m",
        "--boots=2",
        "--summary=summary.json",
    ] {
        let name = option.split('=').next().unwrap();
        closed(["plan", option, "demo.yaml"])
            .code(2)
            .prints_nothing()
            .says(&format!("unexpected argument '{name}' found"));
    }
}

#[test]
fn plan_as_json_ends_with_the_error() {
    let ran = closed(["plan", "--format", "json", "demo.yaml"]).code(5);
    assert_output!(ran);
    let error = ran.error();
    assert_eq!(error["exit_code"], 5);
    assert!(error["error"].as_str().unwrap().contains("bm01"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("sshd"), "{error}");
    let lines = ran.lines();
    assert_eq!(lines[0]["type"], "vcluster");
    assert_eq!(lines[0]["version"], 1);
    for (number, line) in lines.iter().enumerate().skip(1) {
        assert_eq!(line["seq"], number, "{line}");
    }
    let failed = lines.iter().find(|line| line["state"] == "failed").unwrap();
    assert_eq!(failed["host"], "bm01");
}

#[test]
fn with_quiet_only_what_failed_is_said_and_with_verbose_every_stage() {
    let quiet = closed(["--quiet", "plan", "demo.yaml"])
        .code(5)
        .says("failed: bm01");
    assert!(!quiet.stderr.contains("plan demo"), "{}", quiet.stderr);
    assert_output!(quiet);
    closed(["--verbose", "plan", "demo.yaml"])
        .code(5)
        .says("bm01: connect ...\n");
}

#[test]
fn every_host_that_cannot_be_reached_is_named() {
    let text = topology(CLOSED).replace("bm01", "bm[01-03]");
    Vcluster::new()
        .file("demo.yaml", &text)
        .args(["plan", "demo.yaml"])
        .run()
        .code(5)
        .says("error: failed to reach the hosts: bm[01-03]: ")
        .says("failed: bm01: ")
        .says("failed: bm02: ")
        .says("failed: bm03: ");
}

#[test]
fn a_libvirt_socket_that_does_not_exist_is_named() {
    let text = topology("qemu+unix:///system?socket=/nowhere/libvirt-sock");
    let ran = Vcluster::new()
        .file("demo.yaml", &text)
        .args(["plan", "demo.yaml"])
        .run()
        .code(5)
        .says("`bm01`")
        .says("/nowhere/libvirt-sock");
    assert_output!(ran);
}

#[test]
fn a_host_that_never_answers_fails_after_the_connect_timeout() {
    let (listener, uri) = silent();
    let ran = Vcluster::new()
        .file("demo.yaml", &topology(&uri))
        .args(["plan", "--connect-timeout", "1s", "demo.yaml"])
        .run()
        .code(5)
        .says("127.0.0.1")
        .says("1s");
    drop(listener);
    assert_output!(ran);
}

#[test]
fn up_that_reaches_no_host_leaves_no_state() {
    let ran = closed(["up", "demo.yaml"]).code(5).says("hint: ");
    assert_output!(ran);
    assert!(!ran.path("state/vcluster/demo").exists(), "it left a directory");
    ran.again().args(["list"]).run().code(0).says("no clusters");
}

#[test]
fn doctor_finds_the_host_that_cannot_be_reached() {
    let ran = closed(["doctor", "--quiet", "demo.yaml"])
        .code(5)
        .prints("reach on bm01")
        .prints("Connection refused")
        .prints("sshd");
    assert_output!(ran);
    let ran = closed(["doctor", "--format", "json", "demo.yaml"]).code(5);
    let lines = ran.lines();
    let last = lines.last().unwrap();
    assert_eq!(last["type"], "doctor");
    assert_eq!(last["cluster"], "demo");
    let found = lines
        .iter()
        .find(|line| line["check"] == "reach" && line["severity"] == "error");
    assert_eq!(found.unwrap()["host"], "bm01");
}

#[test]
fn down_says_that_something_may_be_left_on_a_host_that_it_cannot_reach() {
    let down = ["down", "demo", "--yes", "--hosts", CLOSED];
    let ran = closed(down).code(7).prints_nothing().says("left").says("hint: ");
    assert_output!(ran);
    let ran = closed(down.into_iter().chain(["--format", "json"])).code(7);
    assert_eq!(ran.error()["exit_code"], 7);
}

#[test]
fn down_without_a_terminal_asks_for_yes_on_the_command_line() {
    let ran = closed(["down", "demo", "--hosts", CLOSED])
        .code(2)
        .says("terminal")
        .says("hint: ")
        .says("-y");
    assert_output!(ran);
}

#[test]
fn gc_says_that_something_may_be_left_on_a_host_that_it_cannot_reach() {
    let ran = closed(["gc", "demo.yaml", "--dry-run"])
        .code(7)
        .says("bm01")
        .says("hint: ");
    assert_output!(ran);
}

#[test]
fn reaper_fails_on_a_host_that_it_cannot_reach() {
    let ran = closed(["reaper", "status", "demo.yaml"])
        .code(5)
        .says("bm01")
        .says("hint: ");
    assert_output!(ran);
    for (line, what) in [
        ("reaper install demo.yaml", "failed to install the reaper"),
        ("reaper remove demo.yaml", "failed to remove the reaper"),
    ] {
        closed(line.split(' ')).code(5).says(what);
    }
}
