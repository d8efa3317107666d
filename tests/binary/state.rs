//! The state directory: `list`, and what cannot be read.

use vcluster::state::Lock;

use crate::program::Vcluster;
use crate::recorded::{directory, recorded, recorded_as};

#[test]
fn list_says_that_there_are_no_clusters() {
    let ran = Vcluster::new()
        .args(["list"])
        .run()
        .code(0)
        .prints_nothing()
        .says("no clusters\n");
    assert_output!(ran);
    assert!(!ran.path("state").exists(), "it made a state directory");
}

#[test]
fn list_without_clusters_is_an_empty_list_in_json() {
    let ran = Vcluster::new()
        .args(["list", "--format", "json"])
        .run()
        .code(0)
        .says_nothing();
    assert_output!(ran);
    assert_eq!(ran.json()["version"], 1);
    assert_eq!(ran.json()["clusters"].as_array().map(Vec::len), Some(0));
}

#[test]
fn list_shows_each_cluster_on_a_line() {
    let ran = recorded()
        .args(["list"])
        .run()
        .code(0)
        .says_nothing()
        .prints("NAME");
    assert_output!(ran);
    let line = ran.stdout.lines().nth(1).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        cells,
        [
            "demo",
            "2",
            "1",
            "2026-01-31T12:00:00Z",
            "2026-01-31T16:00:00Z",
            "-"
        ]
    );
}

#[test]
fn list_shows_each_cluster_as_json() {
    let ran = recorded()
        .args(["list", "--format", "json"])
        .run()
        .code(0)
        .says_nothing();
    assert_output!(ran);
    let cluster = &ran.json()["clusters"][0];
    assert_eq!(cluster["name"], "demo");
    assert_eq!(cluster["nodes"], 2);
    assert_eq!(cluster["expires"], "2026-01-31T16:00:00Z");
}

#[test]
fn of_several_clusters_one_has_to_be_named() {
    let two = || recorded_as(recorded(), "other");
    let ran = two()
        .args(["hosts"])
        .run()
        .code(2)
        .says("demo, other")
        .says("hint: ")
        .says("VCLUSTER_NAME");
    assert_output!(ran);
    two()
        .args(["hosts", "--cluster", "third"])
        .run()
        .code(2)
        .says("demo, other");
    two()
        .args(["hosts", "--cluster", "demo"])
        .run()
        .code(0)
        .prints("web001");
}

#[test]
fn a_cluster_can_be_named_by_its_topology_file() {
    let topology = include_str!("demo/topology.yaml");
    recorded_as(recorded(), "other")
        .file("demo.yaml", topology)
        .args(["hosts", "--cluster", "demo.yaml"])
        .run()
        .code(0)
        .prints("web001");
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    for line in ["list", "status demo", "up demo.yaml", "down demo"] {
        Vcluster::new()
            .file("demo.yaml", include_str!("demo/topology.yaml"))
            .env("XDG_STATE_HOME", "/dev/null/state")
            .args(line.split(' '))
            .run()
            .code(1)
            .prints_nothing()
            .says("/dev/null/state/vcluster")
            .says("Not a directory")
            .says("hint: ");
    }
    let ran = Vcluster::new()
        .env("XDG_STATE_HOME", "/dev/null/state")
        .args(["list"])
        .run()
        .code(1);
    assert_output!(ran);
}

#[test]
fn without_a_home_directory_there_is_no_place_for_state() {
    let homeless = || Vcluster::new().env("XDG_STATE_HOME", "relative").env("HOME", "");
    let ran = homeless()
        .args(["list"])
        .run()
        .code(1)
        .says("XDG_STATE_HOME")
        .says("hint: ");
    assert_output!(ran);
    let ran = homeless().args(["list", "--format", "json"]).run().code(1);
    assert_eq!(ran.error()["exit_code"], 1);
}

#[test]
fn a_damaged_record_is_named_and_hides_no_other_cluster() {
    let damaged = || {
        let program = recorded_as(recorded(), "other");
        directory(&program, "demo").write("cluster.json", b"{").unwrap();
        program
    };
    let ran = damaged().args(["status", "demo"]).run().code(1);
    let ran = ran.says("demo/cluster.json").says("hint: ");
    assert_output!(ran);
    let ran = damaged().args(["list"]).run().code(0);
    assert_eq!(ran.stdout.lines().count(), 3, "{}", ran.stdout);
}

#[test]
fn a_cluster_without_its_plan_is_damaged() {
    let program = recorded();
    std::fs::remove_file(directory(&program, "demo").join("plan.json")).unwrap();
    let ran = program
        .args(["status"])
        .run()
        .code(1)
        .says("state/vcluster/demo")
        .says("hint: ");
    assert_output!(ran);
}

#[test]
fn a_cluster_on_which_another_command_works_is_not_touched() {
    let program = recorded();
    let dir = directory(&program, "demo");
    let held = Lock::take(&dir, &"demo".parse().unwrap(), "up").unwrap();
    let ran = program.args(["down", "--yes"]).run().code(1);
    let ran = ran.says("`vcluster up` (pid ").says("hint: ");
    drop(held);
    assert_output!(ran);
    assert!(ran.path("state/vcluster/demo/cluster.json").exists());
}

#[test]
fn the_image_cache_is_empty_at_first() {
    let ran = Vcluster::new().args(["image", "list"]).run().code(0);
    assert_output!(ran);
    let ran = Vcluster::new()
        .args(["image", "list", "--format", "json"])
        .run()
        .code(0);
    assert_eq!(ran.json()["images"].as_array().map(Vec::len), Some(0));
}
