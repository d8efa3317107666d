//! What a command says while a host takes the connection and does not answer: after two seconds, on standard error.

use crate::hosts::{silent, topology};
use crate::program::{Ran, Vcluster};
use crate::recorded::recorded_at;

/// Time for the host to answer: longer than two seconds, and shorter than until the second mention.
const TIMEOUT: [&str; 2] = ["--connect-timeout", "4s"];

/// The line; the time follows.
const LINE: &str = "waiting: connecting to bm01 (";

/// Runs the commands at the same time, each in a place of its own.
fn all<const N: usize>(programs: [Vcluster; N]) -> [Ran; N] {
    let begun = programs.map(|program| (program.begin(), program));
    begun.map(|(child, program)| program.finish(child))
}

#[test]
fn a_host_that_does_not_answer_is_named_before_the_error() {
    let (listener, uri) = silent();
    let on_demo = |args: &[&str]| {
        let (verb, rest) = args.split_first().unwrap();
        let program = recorded_at(&uri).args([*verb]).args(TIMEOUT);
        program.args(rest.iter().copied())
    };
    let ran = all([
        on_demo(&["exec", "true"]),
        on_demo(&["ssh", "web001", "true"]),
        on_demo(&["console", "web001"]),
        on_demo(&["pull", "/etc/hostname", "fetched"]),
        on_demo(&["run"]),
        on_demo(&["extend"]),
    ]);
    for ran in ran {
        let ran = ran.code(5).prints_nothing().says(LINE).says("error: ");
        let (line, error) = (ran.stderr.find(LINE), ran.stderr.find("error: "));
        assert!(line < error, "{}", ran.text());
        assert_eq!(ran.stderr.matches("waiting: ").count(), 1, "{}", ran.text());
    }
    drop(listener);
}

#[test]
fn a_wait_changes_nothing_on_stdout() {
    let (listener, uri) = silent();
    let on_demo = || recorded_at(&uri);
    let plan = |args: &[&str]| {
        let program = Vcluster::new().file("demo.yaml", &topology(&uri));
        program
            .args(args.iter().copied())
            .args(TIMEOUT)
            .args(["demo.yaml"])
    };
    let [quiet, status, exec, events, doctor] = all([
        on_demo().args(["--quiet", "exec"]).args(TIMEOUT).args(["true"]),
        on_demo().args(["status", "--format", "json"]).args(TIMEOUT),
        on_demo()
            .args(["exec", "--format", "json"])
            .args(TIMEOUT)
            .args(["true"]),
        plan(&["plan", "--format", "json"]),
        plan(&["doctor", "--format", "json"]),
    ]);
    drop(listener);

    let quiet = quiet.code(5).prints_nothing();
    assert!(!quiet.stderr.contains("waiting: "), "{}", quiet.text());

    let status = status.code(5).says(LINE);
    assert_eq!(status.json()["nodes"][0]["state"], "unreachable");

    // The header and the error, nothing else.
    let exec = exec.code(5).says(LINE);
    assert_eq!(exec.lines().len(), 2, "{}", exec.text());
    assert_eq!(exec.lines()[1]["type"], "error");

    // Where events are lines on stdout, the wait is one of them.
    let events = events.code(5);
    assert_eq!(events.error()["exit_code"], 5);
    let slow: Vec<_> = events
        .lines()
        .into_iter()
        .filter(|line| line["event"] == "slow")
        .collect();
    assert_eq!(slow.len(), 1, "{}", events.text());
    let text = slow[0]["text"].as_str().unwrap();
    assert!(text.starts_with("connecting to bm01 ("), "{text}");

    let doctor = doctor.code(5).says("waiting: an answer from bm01 (");
    assert_eq!(doctor.lines().last().unwrap()["type"], "doctor");
}
