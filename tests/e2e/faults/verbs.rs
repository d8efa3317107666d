//! A host that dies during `exec`, `run` and `down`.

use std::time::{Duration, Instant};

use super::{Restored, THREE, begin_until, down_leaves_nothing, lab, took};
use crate::world::{World, finish};

#[test]
fn a_host_that_dies_takes_only_its_nodes_out_of_exec_run_and_down() {
    let world = World::new();
    let _restored = Restored;
    world.topology(
        "bm[01-03]",
        &format!("{THREE}workload:\n  - {{ name: together, on: \"@all\", run: \"sleep 8; echo done\", barrier: true, timeout: 30s }}\n"),
    );
    world.run(&["up"]).code(0);

    let exec = world.begin(&["exec", "--", "sleep 8; echo done"]);
    std::thread::sleep(Duration::from_secs(3));
    let began = Instant::now();
    lab(&["kill", "bm02"]).code(0);
    let ran = finish(exec).code(6).says("n002");
    took(began, "host off", "exec", "its node fails, the others end");
    assert!(
        ran.stdout.contains("n001: done") && ran.stdout.contains("n003: done"),
        "{}",
        ran.stdout
    );

    // The host is already off: the barrier waits no longer than the timeout of a connection.
    let began = Instant::now();
    let ran = world
        .run(&["run", "--connect-timeout", "5s", "--results", "results"])
        .code(6);
    let seconds = began.elapsed();
    took(began, "host off (before)", "run", "step fails, node named");
    assert!(seconds < Duration::from_secs(30), "{seconds:?}");
    assert!(ran.stdout.contains("n002 did not become ready"), "{}", ran.stdout);

    lab(&["start", "bm02"]).code(0);
    // Its guest is off; `up` starts it.
    world.run(&["up"]).code(0);
    let run = world.begin(&["run", "--results", "results"]);
    std::thread::sleep(Duration::from_secs(5));
    let began = Instant::now();
    lab(&["kill", "bm02"]).code(0);
    // Only the host could report that its guest is off, so the end of the step there is unknown.
    let ran = finish(run).code(6).says("a step may still run on n002");
    took(began, "host off", "run", "its node fails, the others pass");
    assert!(
        ran.stdout.contains("step together: 2 of 3 nodes passed"),
        "{}",
        ran.stdout
    );

    lab(&["start", "bm02"]).code(0);
    let down = begin_until(
        &world,
        &["down", "-y", "--format", "json"],
        &[r#""stage":"clean""#, "begun"],
    );
    let began = Instant::now();
    lab(&["kill", "bm02"]).code(0);
    let ran = down.finish().code(7);
    took(began, "host off", "down", "the others removed, host named");
    assert!(ran.stdout.contains("unknown objects on bm02"), "{}", ran.stdout);
    assert!(world.state().exists());
    let left = world_hosts_with_traces(&world);
    assert!(left.is_empty(), "left on hosts that are on: {left:?}");
    lab(&["start", "bm02"]).code(0);
    down_leaves_nothing(&world);
}

/// Objects of the cluster on the hosts that are on.
fn world_hosts_with_traces(world: &World) -> Vec<String> {
    ["bm01", "bm03"]
        .iter()
        .flat_map(|host| crate::world::traces_on(host, &world.name))
        .collect()
}
