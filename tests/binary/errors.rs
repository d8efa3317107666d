//! Errors for people and for programs: the same words, the same hint, the same exit code.

use serde_json::Value;

use crate::hosts::{CLOSED, topology};
use crate::program::{Ran, Vcluster};
use crate::recorded::recorded;

/// Command lines with their exit codes, run where the cluster `demo` is recorded.
const LINES: [(&str, i32); 18] = [
    ("list --results", 2),
    ("status nowhere", 2),
    ("hosts --nodes web009", 2),
    ("hosts --nodes web003", 2),
    ("hosts --nodes @db", 2),
    ("hosts --nodes web[001", 2),
    ("exec --exclude @all true", 2),
    ("nodeset --expand web[2-1]", 2),
    ("image build nowhere", 2),
    ("gc --hosts root@", 2),
    ("reaper status", 2),
    ("extend --to 2020-01-01T00:00:00Z", 2),
    ("run --step laod", 2),
    ("plan nowhere.yaml", 3),
    ("plan demo.yaml", 5),
    ("exec true", 5),
    ("down --yes", 7),
    ("man --dir /dev/null/man", 1),
];

/// The hints of an error: one, or one for each mistake of a topology. An error without a hint fails the test.
fn hints(line: &str, error: &Value) -> Vec<String> {
    let hints: Vec<&Value> = match error["mistakes"].as_array() {
        Some(mistakes) => mistakes.iter().map(|mistake| &mistake["hint"]).collect(),
        None => vec![&error["hint"]],
    };
    let texts = hints.into_iter().map(|hint| {
        let text = hint.as_str().filter(|text| !text.is_empty());
        text.unwrap_or_else(|| panic!("{line}: no hint in {error}"))
            .to_owned()
    });
    texts.collect()
}

fn run(line: &str, format: &str) -> Ran {
    recorded()
        .file("demo.yaml", &topology(CLOSED))
        .args(["--format", format])
        .args(line.split(' '))
        .run()
}

#[test]
fn an_error_is_the_same_in_both_formats() {
    for (line, code) in LINES {
        let human = run(line, "human").code(code).says("error: ");
        let json = run(line, "json").code(code);
        let error = json.error();
        assert_eq!(error["exit_code"], code, "{line}");
        let message = error["error"].as_str().unwrap();
        assert!(
            human.stderr.contains(message),
            "{line}: no `{message}` in\n{}",
            human.stderr
        );
        for cause in error["causes"].as_array().unwrap() {
            let cause = format!("\n  caused by: {}\n", cause.as_str().unwrap());
            assert!(
                human.stderr.contains(&cause),
                "{line}: no `{cause}` in\n{}",
                human.stderr
            );
        }
        let hints = hints(line, &error);
        if line == "list --results" {
            // clap prints the usage in a form of its own.
            continue;
        }
        let is_topology = error["mistakes"].is_array();
        for hint in hints {
            // Those of a topology stand at its mistakes, any other one at the end.
            let is_there = if is_topology {
                human.stderr.contains(&format!("\n = hint: {hint}\n"))
            } else {
                human.stderr.ends_with(&format!("\nhint: {hint}\n"))
            };
            assert!(is_there, "{line}: no `{hint}` in\n{}", human.stderr);
        }
        let has_one_of_its_own = human.stderr.contains("\nhint: ");
        assert_eq!(has_one_of_its_own, !is_topology, "{line}: {}", human.stderr);
    }
}

#[test]
fn an_error_in_json_has_a_header_before_it_and_nothing_after_it() {
    let ran = run("status nowhere", "json").code(2);
    assert_output!(ran);
    let lines = ran.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["type"], "vcluster");
    assert_eq!(lines[0]["version"], 1);
    assert_eq!(lines[1]["type"], "error");
    let mut keys: Vec<&str> = lines[1].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        ["causes", "elapsed", "error", "exit_code", "hint", "seq", "type"]
    );
}

#[test]
fn the_causes_of_an_error_are_lines_of_their_own() {
    let ran = run("man --dir /dev/null/man", "human")
        .code(1)
        .says("\n  caused by: ");
    assert_output!(ran);
}

#[test]
fn the_format_can_be_given_by_the_environment() {
    let ran = Vcluster::new()
        .env("VCLUSTER_FORMAT", "json")
        .args(["status", "nowhere"])
        .run()
        .code(2);
    assert_eq!(ran.error()["exit_code"], 2);
}

#[test]
fn quiet_hides_no_error() {
    let loud = Vcluster::new().args(["status", "nowhere"]).run().code(2);
    let quiet = Vcluster::new()
        .args(["--quiet", "status", "nowhere"])
        .run()
        .code(2);
    assert_eq!(loud.stderr, quiet.stderr);
}
