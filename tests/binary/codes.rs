//! Exit codes that need more than a command line: a terminal, or nodes that cannot be reached.

use crate::program::Ran;
use crate::recorded::{recorded, recorded_without_route};

/// `exec` with these options, on nodes that refuse every login.
fn exec(options: &[&str]) -> Ran {
    recorded_without_route()
        // How long a refusal is retried.
        .env("VCLUSTER_TEST_PATIENCE", "0.02")
        .args(["exec"])
        .args(options.iter().copied())
        .args(["true"])
        .run()
}

#[test]
fn a_command_that_fails_on_a_node_is_6_and_with_maxrc_its_own_code() {
    exec(&[])
        .code(6)
        .prints_nothing()
        .says("web001: not started: ")
        .says("web002: not started: ");
    exec(&["-S"]).code(255);
}

#[test]
fn a_confirmation_that_is_answered_with_no_is_8_and_changes_nothing() {
    for answer in ["n\n", "\n"] {
        let ran = recorded()
            .args(["down"])
            .run_on_terminal(answer)
            .code(8)
            .prints_nothing()
            .says("Remove 0 nodes and 0 other objects of cluster `demo` on 0 hosts? [y/N]")
            .says("nothing was changed");
        ran.again().args(["list"]).run().code(0).prints("demo");
    }
}

#[test]
fn a_confirmation_that_is_answered_with_yes_is_carried_out() {
    // 7, because its host cannot be reached.
    recorded()
        .args(["down"])
        .run_on_terminal("y\n")
        .code(7)
        .says("[y/N]")
        .says("left behind");
}
