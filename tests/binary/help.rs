//! Help and version.

use crate::program::Vcluster;

/// All verbs and their own verbs, in the order of the help.
const VERBS: [&str; 50] = [
    "validate",
    "plan",
    "doctor",
    "up",
    "down",
    "run",
    "test",
    "scale",
    "compare",
    "runs",
    "runs list",
    "runs show",
    "runs export",
    "runs remove",
    "report",
    "configure",
    "status",
    "restart",
    "stop",
    "start",
    "recreate",
    "list",
    "extend",
    "gc",
    "reaper",
    "reaper install",
    "reaper remove",
    "reaper status",
    "reaper script",
    "exec",
    "push",
    "pull",
    "ssh",
    "console",
    "image",
    "image build",
    "image list",
    "mock",
    "mock serve",
    "mock learn",
    "mock check",
    "mock record",
    "nodeset",
    "ssh-config",
    "inventory",
    "hosts",
    "targets",
    "schema",
    "completions",
    "man",
];

#[test]
fn the_help_of_the_program_names_all_verbs_and_exit_codes() {
    let ran = Vcluster::new().args(["--help"]).run().code(0).says_nothing();
    assert_output!(ran);
    let commands = ran.stdout.split_once("Commands:\n").unwrap().1;
    let shown: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        // Further lines of a description are indented deeper.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    let known: Vec<&str> = VERBS.into_iter().filter(|verb| !verb.contains(' ')).collect();
    assert_eq!(shown, known, "`VERBS` of this test is not complete");
    let (_, codes) = ran.stdout.split_once("Exit codes: ").unwrap();
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6", "7 ", "124 ", "130 "] {
        assert!(codes.contains(code), "no exit code {code} in {codes}");
    }
}

#[test]
fn every_verb_has_its_own_help() {
    for verb in VERBS {
        let ran = Vcluster::new()
            .args(verb.split(' '))
            .args(["--help"])
            .run()
            .code(0)
            .prints(&format!("Usage: vcluster {verb} "))
            .says_nothing();
        assert_output!(format!("help_{}", verb.replace(' ', "_")), ran);
    }
}

#[test]
fn the_short_help_has_a_line_for_each_option() {
    let ran = Vcluster::new().args(["up", "-h"]).run().code(0).says_nothing();
    assert_output!(ran);
    let lines = ran
        .stdout
        .lines()
        .filter(|line| line.contains(" --boot-timeout <TIME>"));
    assert_eq!(lines.count(), 1, "{}", ran.stdout);
}

#[test]
fn help_is_no_wider_than_100_columns() {
    let ran = Vcluster::new()
        .args(["up", "--help"])
        .env("COLUMNS", "200")
        .run()
        .code(0);
    let widest = ran.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| widest <= 100), "{}", ran.stdout);
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = format!("vcluster {}\n", env!("CARGO_PKG_VERSION"));
    for option in ["--version", "-V"] {
        let ran = Vcluster::new().args([option]).run().code(0).says_nothing();
        assert_eq!(ran.stdout, version);
    }
}

#[test]
fn without_a_verb_the_help_is_an_error() {
    let ran = Vcluster::new()
        .run()
        .code(2)
        .prints_nothing()
        .says("Usage: vcluster ");
    assert_output!(ran);
}
