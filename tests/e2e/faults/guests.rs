//! Guests that fail.

use std::time::Instant;

use super::{all_answer, down_leaves_nothing, took};
use crate::world::{World, json};

#[test]
fn guests_that_hang_or_panic_are_tried_elsewhere_and_then_missing() {
    let world = World::new();
    // An empty disk hangs in the firmware, on every host; an initramfs that does not fit into memory panics.
    std::fs::write(world.path("empty.raw"), vec![0_u8; 1 << 20]).unwrap();
    world.topology(
        "bm[01-03]",
        "images: { broken: { from: ./empty.raw, user: root } }\nmin_ready: 3\ngroups:\n  \
         n: { count: 3, place: spread }\n  hangs: { count: 1, image: broken, memory: 64MiB }\n  \
         panics: { count: 1, memory: 32MiB }\n",
    );
    let began = Instant::now();
    let ran = world
        .run(&["up", "--boot-timeout", "25s", "--summary", "summary.json"])
        .code(0);
    took(began, "guests hang and panic", "up", "tried on two hosts, quorum");
    assert!(ran.stderr.contains("is up: 3 of 5 nodes"), "{}", ran.stderr);
    assert!(ran.stderr.contains("warning: missing"), "{}", ran.stderr);
    let nothing = "the firmware found nothing on the image's disk that it can boot";
    assert!(ran.stderr.contains(nothing), "{}", ran.stderr);
    for (node, wanted) in [("hangs001", 1), ("panics001", 2)] {
        let tries = |host: &str| ran.stderr.contains(&format!("failed: {node} on {host}"));
        let count = ["bm01", "bm02", "bm03"].iter().filter(|host| tries(host)).count();
        assert_eq!(count, wanted, "{node}: {}", ran.stderr);
    }
    let summary = json(&std::fs::read_to_string(world.path("summary.json")).unwrap());
    let missing: u64 = summary["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["count"].as_u64().unwrap())
        .sum();
    assert_eq!(missing, 2, "{summary}");
    all_answer(&world, 3);
    // No domain of them is left that would join the cluster or use CPU.
    let domains: Vec<String> = world
        .traces()
        .into_iter()
        .filter(|trace| trace.contains(&format!(": {}.", world.name)))
        .collect();
    assert!(
        domains
            .iter()
            .all(|domain| !domain.contains("hangs") && !domain.contains("panics")),
        "{domains:?}"
    );
    down_leaves_nothing(&world);
}

#[test]
fn a_node_whose_configuration_fails_is_missing_with_a_quorum_and_an_error_without() {
    let world = World::new();
    let steps = "groups: { n: { count: 3 } }\nconfigure:\n  \
        - { on: \"@all\", run: \"test $(hostname) != n002\" }\n  - { on: \"@all\", run: \"touch /root/second\" }\n";
    world.topology("bm[01-02]", steps);
    world
        .run(&["up"])
        .code(5)
        .says("configuration failed on 1 of 3 nodes")
        .says("n002");
    world.topology("bm[01-02]", &format!("{steps}min_ready: 60%\n"));
    let began = Instant::now();
    world
        .run(&["up"])
        .code(0)
        .says("missing n002")
        .says("without n002");
    took(began, "configuration fails on a node", "up", "quorum");
    world.run(&["exec", "--", "test -e /root/second"]).code(0);
    all_answer(&world, 2);
    down_leaves_nothing(&world);
}

#[test]
fn a_clock_that_jumps_in_a_guest_affects_no_verb() {
    let world = World::new();
    world.topology(
        "bm01",
        "groups: { n: { count: 2 } }\nworkload: [ { on: \"@all\", run: \"date +%Y\", barrier: true } ]\n",
    );
    world.run(&["up"]).code(0);
    let began = Instant::now();
    world
        .run(&[
            "exec",
            "-w",
            "n001",
            "--",
            "date -s 2037-01-01 && date -s 1999-01-01",
        ])
        .code(0);
    world.run(&["run"]).code(0);
    world.run(&["status"]).code(0);
    world.run(&["up"]).code(0);
    took(
        began,
        "clock of a guest jumps",
        "exec, run, status, up",
        "no effect",
    );
    down_leaves_nothing(&world);
}
