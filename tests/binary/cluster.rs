//! A recorded cluster whose host cannot be reached: every verb that needs it says so and changes nothing here.

use crate::program::Ran;
use crate::recorded::{directory, recorded};

/// Runs a command on the cluster `demo`.
fn on_demo(line: &str) -> Ran {
    recorded().args(line.split(' ')).run()
}

/// Names of all files of the cluster and their contents, the lock's excluded.
fn files(dir: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("lock"))
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn status_shows_nodes_that_cannot_be_reached_and_those_that_are_missing() {
    let ran = on_demo("status")
        .code(5)
        .prints("unreachable")
        .prints("missing")
        .says("warning: bm01: ")
        .says("0 of 3 ");
    assert_output!(ran);
}

#[test]
fn status_as_json_has_a_row_for_each_node() {
    let ran = on_demo("status --format json").code(5);
    assert_output!(ran);
    let json = ran.json();
    assert_eq!(json["cluster"], "demo");
    assert_eq!(json["nodes"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["nodes"][0]["state"], "unreachable");
    assert_eq!(json["nodes"][2]["reason"], "it failed on all hosts");
}

#[test]
fn verbs_that_need_a_node_fail_with_the_host_that_leads_to_it() {
    for line in [
        "exec true",
        "ssh web001 true",
        "console web001",
        "pull /etc/hostname fetched",
        "configure",
        "run",
        "extend",
    ] {
        on_demo(line)
            .code(5)
            .prints_nothing()
            .says("bm01")
            .says("hint: ")
            .says("sshd");
        let json = on_demo(&format!("--format json {line}")).code(5);
        assert_eq!(json.error()["exit_code"], 5, "{line}");
    }
    let ran = on_demo("exec true");
    assert_output!(ran);
}

#[test]
fn run_that_reaches_no_host_says_what_it_was_about() {
    let ran = on_demo("run").code(5).says("run demo: 2 nodes on 1 host");
    assert_output!(ran);
}

#[test]
fn extend_that_reaches_no_host_keeps_the_lease() {
    let ran = on_demo("extend --by 1h").code(5).says("`demo`").says("bm01");
    assert_output!(ran);
    ran.again()
        .args(["list"])
        .run()
        .code(0)
        .prints("2026-01-31T16:00:00Z");
}

#[test]
fn a_step_that_does_not_exist_is_named_with_those_that_do() {
    let ran = on_demo("run --step laod")
        .code(2)
        .says("`laod`")
        .says("did you mean `load`?");
    assert_output!(ran);
}

#[test]
fn a_run_can_be_continued_only_where_one_was_interrupted() {
    let ran = on_demo("run --attach")
        .code(2)
        .says("`demo` has no interrupted run")
        .says("hint: ");
    assert_output!(ran);
    on_demo("run --stop").code(2).says("hint: ");
}

#[test]
fn a_workload_without_steps_is_wrong_usage() {
    let program = recorded();
    let topology = include_str!("demo/topology.yaml")
        .split("workload:")
        .next()
        .unwrap();
    directory(&program, "demo")
        .write("topology.yaml", topology.as_bytes())
        .unwrap();
    let ran = program.args(["run"]).run().code(2);
    let ran = ran.says("`workload:`").says("hint: ");
    assert_output!(ran);
}

#[test]
fn a_file_that_cannot_be_sent_is_an_error_before_any_host_is_asked() {
    let ran = on_demo("push nowhere.txt /tmp").code(2).says("nowhere.txt");
    assert!(!ran.stderr.contains("bm01"), "{}", ran.stderr);
    assert_output!(ran);
}

#[test]
fn down_keeps_the_record_while_a_host_cannot_be_reached() {
    let program = recorded();
    let before = files(directory(&program, "demo").path());
    let ran = program
        .args(["down", "demo", "--yes"])
        .run()
        .code(7)
        .says("bm01")
        .says("hint: ");
    assert_output!(ran);
    let after = files(&ran.path("state/vcluster/demo"));
    for file in &before {
        assert!(after.contains(file), "{} is gone or changed", file.0);
    }
    ran.again().args(["list"]).run().code(0).prints("demo");
}

#[test]
fn down_that_may_not_ask_changes_nothing() {
    let program = recorded();
    let before = files(directory(&program, "demo").path());
    let ran = program.args(["down"]).run().code(2).says("hint: ").says("-y");
    assert_eq!(files(&ran.path("state/vcluster/demo")), before);
}

#[test]
fn verbs_that_change_single_nodes_want_them_named_and_change_nothing_where_no_host_answers() {
    let program = recorded();
    let before = files(directory(&program, "demo").path());
    let mut ran = program.args(["stop"]).run().code(2).says("--nodes");
    for verb in ["restart", "start", "recreate"] {
        ran = ran.again().args([verb]).run().code(2).says("--nodes");
    }
    let ran = ran.again().args(["recreate", "-w", "web001"]).run();
    let ran = ran.code(2).says("terminal").says("-y");
    let ran = ran.again().args(["restart", "-w", "web009"]).run();
    let mut ran = ran.code(2).says("has no node `web009`");
    for line in [
        "restart -w web001",
        "stop -w @web",
        "start -w web001",
        "recreate -w @all -y",
    ] {
        ran = ran.again().args(line.split(' ')).run().code(5).says("bm01");
    }
    assert_eq!(files(&ran.path("state/vcluster/demo")), before);
}
