//! Nodes that are no longer what they were: full, rebooted, without their SSH server, stopped.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{World, json};

const CLUSTER: &str = r#"
groups: { n: { count: 3, place: spread } }
configure: [ { on: "@all", run: "touch /root/configured" } ]
workload: [ { name: look, on: "@all", run: "test -e /root/configured" } ]
"#;

const REBOOTED: &str = "rebooted since it was configured";

/// How long a node may take to reboot.
const REBOOT: Duration = Duration::from_mins(3);

fn row(world: &World, node: &str) -> Value {
    let status = json(&world.run(&["status", "--format", "json"]).stdout);
    let nodes = status["nodes"].as_array().unwrap();
    nodes.iter().find(|row| row["node"] == node).unwrap().clone()
}

/// The nodes that still have what was put on all of them.
fn marked(world: &World) -> Vec<String> {
    let ran = world
        .run(&["exec", "--", "ls /root/mark 2>/dev/null || true"])
        .code(0);
    let mut nodes: Vec<String> = ran
        .stdout
        .lines()
        .filter_map(|line| Some(line.strip_suffix(": /root/mark")?.to_owned()))
        .collect();
    nodes.sort();
    nodes
}

fn mark(world: &World) {
    world.run(&["exec", "--", "touch /root/mark"]).code(0);
}

#[test]
fn nodes_that_changed_are_recognised_and_brought_back_and_single_ones_can_be_changed() {
    let mut world = World::new();
    world.topology("bm[01-02]", CLUSTER);
    world.run(&["up"]).code(0);
    world.run(&["run"]).code(0);

    more_than_the_memory_is_no_space(&world);
    a_node_that_rebooted_is_configured_again(&world);
    an_ssh_server_that_is_killed_comes_back(&world);
    a_node_without_its_ssh_server_is_recreated(&mut world);
    single_nodes_are_changed_and_the_others_stay(&world);

    world.run(&["down", "-y"]).code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
}

fn more_than_the_memory_is_no_space(world: &World) {
    for place in ["/tmp", "/root", "/", "/run"] {
        let fill = format!("dd if=/dev/zero of={place}/fill bs=1M count=300 2>&1; rm {place}/fill");
        let ran = world.run(&["exec", "-w", "n001", "--", &fill]).code(0);
        assert!(
            ran.stdout.contains("No space left on device"),
            "{place}: {}",
            ran.stdout
        );
    }
    world.run(&["exec", "-w", "n001", "--", "true"]).code(0);
}

fn a_node_that_rebooted_is_configured_again(world: &World) {
    world.run(&["exec", "-w", "n001", "-t", "20s", "--", "reboot -f"]);
    let began = Instant::now();
    while row(world, "n001")["reason"] != REBOOTED {
        assert!(began.elapsed() < REBOOT, "{}", row(world, "n001"));
        std::thread::sleep(Duration::from_secs(1));
    }
    world.run(&["status"]).code(5).says(&format!("n001: {REBOOTED}"));
    world
        .run(&["run"])
        .code(5)
        .says(&format!("n001 ({REBOOTED})"))
        .says("vcluster up");
    world.run(&["run", "--anyway"]).code(6);
    let plan = world.run(&["plan"]).code(0).stdout;
    assert!(plan.contains(&format!("configure n001  {REBOOTED}")), "{plan}");
    world.run(&["up"]).code(0).says("1 to configure");
    world.run(&["run"]).code(0);
    world.run(&["status"]).code(0);
}

fn an_ssh_server_that_is_killed_comes_back(world: &World) {
    world.run(&["exec", "-w", "n003", "--", "kill $(cat /run/dropbear.pid)"]);
    world.run(&["exec", "-w", "n003", "--", "true"]).code(0);
}

fn a_node_without_its_ssh_server_is_recreated(world: &mut World) {
    let kill = "rm -f /usr/sbin/ssh-server /usr/sbin/dropbear; kill $(cat /run/dropbear.pid)";
    world.run(&["exec", "-w", "n002", "--", kill]);
    // A refusal counts after 30 s.
    world
        .environment
        .push(("VCLUSTER_TEST_PATIENCE", "0.3".to_owned()));
    let plan = world.run(&["plan"]).code(0).stdout;
    assert!(plan.contains("recreate n002  does not answer SSH"), "{plan}");
    world.run(&["up"]).code(0).says("1 to recreate");
    world.environment.clear();
    world.run(&["run"]).code(0);
}

fn single_nodes_are_changed_and_the_others_stay(world: &World) {
    mark(world);
    world
        .run(&["recreate", "-w", "n002", "-y"])
        .code(0)
        .says("recreated 1 node");
    assert_eq!(marked(world), ["n001", "n003"]);

    mark(world);
    world
        .run(&["restart", "-w", "n001"])
        .code(0)
        .says("restarted 1 node");
    assert_eq!(marked(world), ["n002", "n003"]);

    world.run(&["stop", "-w", "n003"]).code(0).says("stopped 1 node");
    let stopped = row(world, "n003");
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    assert_eq!(stopped["reason"], "stopped by you", "{stopped}");
    world.run(&["run"]).code(5).says("n003 (stopped by you)");
    world.run(&["start", "-w", "n003"]).code(0).says("started 1 node");
    world.run(&["run"]).code(0);

    world.run(&["stop", "-w", "n003"]).code(0);
    world.run(&["up"]).code(0).says("1 to start");
    world.run(&["run"]).code(0);
    world
        .run(&["restart", "-w", "n009"])
        .code(2)
        .says("has no node `n009`");
}
