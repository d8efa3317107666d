//! `vcluster doctor`: healthy hosts, a dead one, a misconfigured one, what `--fix` repairs, wrong input.

use std::process::Command;

use serde_json::Value;

use crate::world::{Ran, World, json, on_host, program};

const NODES: &str = "groups: { n: { count: 6, place: spread } }\n";

/// The JSON lines of a type.
fn lines(ran: &Ran, kind: &str) -> Vec<Value> {
    let lines = ran.stdout.lines().map(json);
    lines.filter(|line| line["type"] == kind).collect()
}

/// The result of a check for a host: severity and finding.
fn of<'a>(findings: &'a [Value], check: &str, host: &str) -> (&'a str, &'a str) {
    let finding = findings
        .iter()
        .find(|finding| finding["check"] == check && finding["host"] == host)
        .unwrap_or_else(|| panic!("no `{check}` of {host} in {findings:#?}"));
    (
        finding["severity"].as_str().unwrap(),
        finding["what"].as_str().unwrap(),
    )
}

/// Undoes what a test did to a host, even if the test fails.
struct Undo<F: Fn()>(F);

impl<F: Fn()> Drop for Undo<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn lab(args: &[&str]) {
    let lab = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lab");
    program(Command::new(lab).args(args)).code(0);
}

#[test]
fn healthy_hosts_have_no_errors_and_nothing_is_created_on_them() {
    let world = World::new();
    world.topology("bm[01-03]", NODES);
    let ran = world.run(&["doctor"]).code(0);
    for text in [
        "bm[01-03]",
        "6 nodes fit on 3 hosts",
        "libvirt ",
        "all 6 paths between hosts",
    ] {
        assert!(ran.stdout.contains(text), "no `{text}` in\n{}", ran.stdout);
    }
    let ran = world.run(&["doctor", "--format", "json"]).code(0);
    let first = json(ran.stdout.lines().next().unwrap());
    assert_eq!(
        (&first["version"], &first["type"]),
        (&1.into(), &"vcluster".into())
    );
    assert_eq!(lines(&ran, "host").len(), 3);
    assert_eq!(lines(&ran, "doctor")[0]["errors"], 0);
    assert_eq!(world.traces(), Vec::<String>::new());
    assert!(!world.state().exists());
}

#[test]
fn a_host_whose_shell_prints_and_a_config_with_match_blocks_are_like_any_other() {
    let mut world = World::new();
    world.topology("bm01", "groups: { n: { count: 1 } }\n");
    let undo = Undo(|| {
        on_host(
            "bm01",
            "cd && if [ -e .bashrc.kept ]; then mv .bashrc.kept .bashrc; else rm -f .bashrc; fi",
        );
    });
    let change = on_host(
        "bm01",
        "cd && { [ ! -e .bashrc ] || cp -p .bashrc .bashrc.kept; } && echo 'echo Welcome; echo hello >&2' >>.bashrc",
    );
    assert!(change.status.success(), "{change:?}");
    let greeting = on_host("bm01", "true").stdout;
    assert_eq!(String::from_utf8_lossy(&greeting), "Welcome\n");
    let lab = std::fs::read_to_string(std::env::var("VCLUSTER_SSH_CONFIG").unwrap()).unwrap();
    let (names, rest) = lab.split_once("Host bm* ").unwrap();
    let (_, settings) = rest.split_once('\n').unwrap();
    let text = format!("{names}Match originalhost bm* exec \"true\"\n{settings}");
    let config = world.write("config_with_match", &text);
    let config = config.to_str().unwrap().to_owned();
    world.environment.push(("VCLUSTER_SSH_CONFIG", config));
    let ran = world.run(&["doctor"]).code(0);
    assert!(ran.stdout.contains("accepts the login as root"), "{}", ran.stdout);
    world.run(&["up"]).code(0);
    let exec = world.run(&["exec", "--", "echo", "here"]).code(0);
    assert_eq!(exec.stdout, "n001: here\n");
    world.run(&["down", "-y"]).code(0);
    drop(undo);
    assert_eq!(world.traces(), Vec::<String>::new());
}

#[test]
fn a_host_that_is_off_is_an_error_and_the_others_are_still_checked() {
    let world = World::new();
    world.topology("bm[01-03]", NODES);
    let _undo = Undo(|| lab(&["start", "bm03"]));
    lab(&["kill", "bm03"]);
    let args = ["doctor", "--format", "json", "--connect-timeout", "4s"];
    let ran = world.run(&args).code(5);
    let findings = lines(&ran, "finding");
    assert_eq!(of(&findings, "reach", "bm03").0, "error");
    for host in ["bm01", "bm02"] {
        assert_eq!(of(&findings, "reach", host).0, "ok");
        assert_eq!(of(&findings, "versions", host).0, "ok");
    }
    let room = findings
        .iter()
        .find(|finding| finding["check"] == "room")
        .unwrap();
    assert!(
        room["what"].as_str().unwrap().contains("fit on 2 hosts"),
        "{room}"
    );
}

#[test]
fn fix_raises_a_limit_and_starts_a_daemon_and_then_all_is_well() {
    let world = World::new();
    world.topology("bm[01-03]", NODES);
    let change = on_host(
        "bm01",
        "prlimit --pid $(cat /run/libvirtd.pid) --nofile=40:8192 && prlimit --pid $(cat /run/libvirtd.pid) --nofile",
    );
    assert!(change.status.success(), "{change:?}");
    let change = on_host(
        "bm02",
        "p=$(cat /run/libvirtd.pid) && kill $p && while [ -e /proc/$p ]; do sleep 0.1; done",
    );
    assert!(change.status.success(), "{change:?}");

    let sick = world.run(&["doctor", "--format", "json"]).code(5);
    let findings = lines(&sick, "finding");
    assert_eq!(of(&findings, "files", "bm01").0, "error");
    assert!(
        of(&findings, "files", "bm01")
            .1
            .contains("libvirtd may open 40 files")
    );
    assert_eq!(of(&findings, "libvirt", "bm02").0, "error");
    assert_eq!(of(&findings, "files", "bm03").0, "ok");

    let fixed = world
        .run(&["doctor", "--fix"])
        .code(0)
        .says("fix on bm01: prlimit")
        .says("fix on bm02: libvirtd --daemon");
    let has_error = fixed.stdout.lines().any(|line| line.starts_with("error"));
    assert!(!has_error, "{}", fixed.stdout);
    let again = world.run(&["doctor", "--fix"]).code(0);
    assert!(
        again.stderr.contains("no problem has a safe automatic fix"),
        "{}",
        again.stderr
    );
    let seen = on_host("bm02", "virsh -q list --all && echo alive");
    assert!(
        String::from_utf8_lossy(&seen.stdout).contains("alive"),
        "{seen:?}"
    );
}

#[test]
fn a_hidden_command_and_a_foreign_link_are_reported_and_not_touched() {
    let world = World::new();
    world.topology("bm[01-02]", &format!("network: {{ nat: true }}\n{NODES}"));
    let _undo = Undo(|| {
        on_host("bm01", "umount /usr/sbin/nft; ip link del vcb0123abcd");
    });
    let change = on_host(
        "bm01",
        "mount --bind /dev/null /usr/sbin/nft && ip link add vcb0123abcd type bridge",
    );
    assert!(change.status.success(), "{change:?}");
    let ran = world.run(&["doctor", "--format", "json", "--fix"]).code(5);
    let findings = lines(&ran, "finding");
    assert_eq!(of(&findings, "commands", "bm01"), ("error", "not installed: nft"));
    assert_eq!(of(&findings, "commands", "bm02").0, "ok");
    assert_eq!(of(&findings, "links", "bm01").0, "warning");
    let there = on_host("bm01", "ip link show vcb0123abcd");
    assert!(there.status.success(), "what is not ours was touched");
}

#[test]
fn a_host_whose_clock_is_wrong_is_reported_with_the_difference() {
    let world = World::new();
    world.topology("bm[01-02]", NODES);
    let _undo = Undo(|| {
        on_host("bm02", "umount /usr/local/sbin");
    });
    // The simulated hosts share one clock: this one prints a wrong time.
    let change = on_host(
        "bm02",
        "mount -t tmpfs tmpfs /usr/local/sbin && cd /usr/local/sbin && \
         printf '#!/bin/sh\nexec /usr/bin/date -d \"600 seconds ago\" \"$@\"\n' >date && chmod 755 date",
    );
    assert!(change.status.success(), "{change:?}");
    let ran = world.run(&["doctor", "--format", "json"]).code(5);
    let findings = lines(&ran, "finding");
    let (severity, what) = of(&findings, "clock", "bm02");
    assert_eq!(severity, "error", "{what}");
    assert!(what.contains("10m") || what.contains("600"), "{what}");
    assert!(matches!(of(&findings, "clock", "bm01").0, "ok" | "info"));
}

#[test]
fn a_small_path_mtu_and_too_many_nodes_are_errors_in_the_planners_words() {
    let world = World::new();
    world.topology("bm[01-02]", "groups: { n: { count: 21 } }\n");
    let ran = world.run(&["doctor"]).code(5);
    assert!(ran.stdout.contains("`n021` does not fit"), "{}", ran.stdout);

    world.topology("bm[01-02]", "groups: { n: { count: 4, place: spread } }\n");
    let _undo = Undo(|| {
        on_host("bm02", "ip route del 10.90.0.11/32");
    });
    // The device has an MTU of 1600, the path to bm01 a smaller one.
    let change = on_host("bm02", "ip route add 10.90.0.11/32 dev eth0 mtu lock 1400");
    assert!(change.status.success(), "{change:?}");
    let ran = world.run(&["doctor", "--format", "json"]).code(5);
    let findings = lines(&ran, "finding");
    let (severity, what) = of(&findings, "mtu", "bm02");
    assert_eq!(severity, "error");
    assert!(what.contains("does not reach bm01"), "{what}");
}

#[test]
fn clusters_without_a_record_here_are_reported_and_wrong_input_is_refused() {
    let world = World::new();
    world.topology("bm01", "groups: { n: { count: 1 } }\n");
    world.run(&["up"]).code(0);
    let own = world.run(&["doctor"]).code(0);
    assert!(!own.stdout.contains("has no record here"), "{}", own.stdout);
    assert!(
        !own.stdout.contains("not proven"),
        "there is a kernel to check KVM with\n{}",
        own.stdout
    );
    let other = world
        .command(&["doctor"])
        .env("XDG_STATE_HOME", world.path("elsewhere"))
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&other.stdout);
    assert!(
        message.contains("has no record here") && message.contains("vcluster down"),
        "{message}"
    );
    world.run(&["down", "-y"]).code(0);

    world.run(&["doctor", "absent.yaml"]).code(3);
    world.run(&["doctor", "--fxi"]).code(2);
    let broken = world.write("broken.yaml", "name: NAME\nhost: 3\n");
    world.run(&["doctor", broken.to_str().unwrap()]).code(3);
}
