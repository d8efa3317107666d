//! Errors of the first releases, fixed since.

use crate::hosts::{CLOSED, topology};
use crate::program::Vcluster;
use crate::recorded::{directory, recorded};

#[test]
fn a_wrong_node_set_of_nodeset_is_wrong_usage_with_a_hint() {
    let args = ["nodeset", "--expand", "web[9-2]"];
    Vcluster::new().args(args).run().code(2);
    let ran = Vcluster::new()
        .args(args)
        .args(["--format", "json"])
        .run()
        .code(2);
    let error = ran.error();
    assert!(error["hint"].is_string(), "{error}");
}

#[test]
fn a_wrong_name_of_a_cluster_is_wrong_usage() {
    Vcluster::new()
        .args(["status", "No_Name"])
        .run()
        .code(2)
        .says("hint: ");
}

#[test]
fn an_image_that_does_not_exist_is_wrong_usage_with_a_hint() {
    for args in [&["image", "build"][..], &["image", "build", "nowhere"]] {
        let ran = Vcluster::new().args(args.iter().copied()).run().code(2);
        ran.says("hint: ");
    }
}

#[test]
fn down_with_hosts_does_not_need_a_record_that_is_damaged() {
    let program = recorded();
    directory(&program, "demo").write("cluster.json", b"{").unwrap();
    // 7, because its host cannot be reached.
    program
        .args(["down", "demo", "--yes", "--hosts", CLOSED])
        .run()
        .code(7);
}

#[test]
fn a_dry_run_of_down_that_saw_no_host_is_no_success() {
    recorded()
        .args(["down", "--dry-run"])
        .run()
        .code(7)
        .says("hint: ");
}

#[test]
fn a_run_that_started_nothing_is_not_interrupted() {
    let first = recorded().args(["run"]).run().code(5);
    let second = first.again().args(["run"]).run().code(5);
    assert!(!second.stderr.contains("note: "), "{}", second.stderr);
}

#[test]
fn validate_obeys_the_variables_for_colour() {
    let program = Vcluster::new().env("CLICOLOR_FORCE", "1").stdin("nme: x\n");
    program.args(["validate", "-"]).run().code(3).says("\u{1b}[");
}

#[test]
fn a_mistake_of_a_topology_is_a_message_in_json() {
    let text = topology(CLOSED).replace("count", "cuont");
    let program = Vcluster::new().file("demo.yaml", &text);
    let ran = program
        .args(["plan", "--format", "json", "demo.yaml"])
        .run()
        .code(3);
    let error = ran.error();
    assert!(
        !error["error"].as_str().unwrap().starts_with("error: "),
        "{error}"
    );
}

#[test]
fn every_json_answer_has_a_version() {
    let ran = Vcluster::new()
        .args(["image", "list", "--format", "json"])
        .run()
        .code(0);
    assert_eq!(ran.json()["version"], 1);
}
