//! Nodes that are chosen by node set: exit code 2 where there are none of that name.

use crate::program::Ran;
use crate::recorded::recorded;

fn wrong(set: &str) -> Ran {
    recorded()
        .args(["exec", "--nodes", set, "true"])
        .run()
        .code(2)
        .prints_nothing()
        .says("error: ")
}

#[test]
fn a_node_that_does_not_exist_is_named_with_those_that_do() {
    let ran = wrong("web[007-009]").says("web[001-002]").says("hint: ");
    assert_output!(ran);
    wrong("wbe001").says("hint: did you mean `web001`?");
}

#[test]
fn a_node_that_the_cluster_does_without_is_missing_for_a_reason() {
    let ran = wrong("web003")
        .says("it failed on all hosts")
        .says("hint: ")
        .says("vcluster up");
    assert_output!(ran);
}

#[test]
fn a_group_that_does_not_exist_is_named() {
    let ran = wrong("@db").says("`db`").says("hint: ");
    wrong("@wbe").says("hint: did you mean `web`?");
    assert_output!(ran);
}

#[test]
fn a_node_set_that_is_wrong_is_shown_with_a_hint() {
    let ran = wrong("web[001").says("web[001").says("hint: ");
    assert_output!(ran);
    let json = recorded()
        .args(["exec", "--format", "json", "--nodes", "web[001", "true"])
        .run()
        .code(2);
    let error = json.error();
    assert_eq!(error["exit_code"], 2);
    assert!(
        error["hint"].is_string() && error["causes"][0].is_string(),
        "{error}"
    );
}

#[test]
fn a_choice_that_leaves_no_node_is_wrong_usage() {
    let ran = recorded()
        .args(["exec", "--nodes", "@web", "--exclude", "web[001-002]", "true"])
        .run()
        .code(2)
        .says("error: ")
        .says("hint: ");
    assert_output!(ran);
}

#[test]
fn groups_ranges_and_exclusions_choose_nodes() {
    let hosts = |set: &str| recorded().args(["hosts", "--nodes", set]).run().code(0).stdout;
    assert_eq!(hosts("web002"), "10.77.0.2 web002\n");
    assert_eq!(hosts("@all!web001"), "10.77.0.2 web002\n");
    assert_eq!(hosts("@web&web001"), "10.77.0.1 web001\n");
}
