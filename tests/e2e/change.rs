//! A changed topology: `up` creates what is missing, removes what is not wanted and recreates what differs.

use crate::world::{World, json, on_host};

fn hosts_and_uptime(world: &World) -> Vec<(String, String)> {
    let status = json(&world.run(&["status", "--format", "json"]).code(0).stdout);
    let rows = status["nodes"].as_array().unwrap().iter();
    rows.map(|node| {
        (
            node["node"].as_str().unwrap().into(),
            node["address"].as_str().unwrap().into(),
        )
    })
    .collect()
}

#[test]
fn a_changed_topology_adds_removes_and_recreates_with_reasons() {
    let world = World::new();
    world.topology("bm[01-02]", "groups: { a: { count: 2 }, b: { count: 1 } }\n");
    world.run(&["up"]).code(0);
    let before = hosts_and_uptime(&world);
    world
        .run(&["exec", "-w", "a001,b001", "--", "touch /root/kept"])
        .code(0);

    world.topology(
        "bm[01-02]",
        "groups: { a: { count: 1 }, b: { count: 2, memory: 128MiB } }\n",
    );
    let plan = world.run(&["plan"]).code(0).stdout;
    assert!(plan.contains("96 MiB -> 128 MiB"), "{plan}");
    assert!(plan.contains("no longer in the topology"), "{plan}");
    assert_eq!(hosts_and_uptime(&world), before, "a plan changes nothing");

    world.run(&["up"]).code(0);
    let after = hosts_and_uptime(&world);
    let names: Vec<&str> = after.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a001", "b001", "b002"]);
    assert_eq!(
        after[0], before[0],
        "a node that did not change keeps its address"
    );
    let kept = world
        .run(&["exec", "--", "ls /root/kept 2>/dev/null; grep -c b002 /etc/hosts"])
        .code(0);
    assert!(kept.stdout.contains("a001: /root/kept"), "{}", kept.stdout);
    assert!(
        !kept.stdout.contains("b001: /root/kept"),
        "b001 was not recreated: {}",
        kept.stdout
    );
    assert!(
        kept.stdout.contains("a001: 1"),
        "kept nodes must have the new ones in /etc/hosts: {}",
        kept.stdout
    );
    world.run(&["down", "-y"]).code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
}

#[test]
fn clusters_on_the_same_hosts_cannot_reach_or_affect_each_other() {
    let (one, two) = (World::new(), World::new());
    one.topology("bm[01-02]", "groups: { n: { count: 2, place: spread } }\n");
    two.topology(
        "bm[01-02]",
        "network: { subnet: 10.78.0.0/24 }\ngroups: { n: { count: 2, place: spread } }\n",
    );
    one.run(&["up"]).code(0);
    two.run(&["up"]).code(0);
    let reach = |world: &World, address: &str| {
        world
            .run(&[
                "exec",
                "-w",
                "n001",
                "--",
                &format!("ping -c1 -W5 {address} >/dev/null"),
            ])
            .code
    };
    assert_eq!(reach(&one, "10.77.0.2"), Some(0));
    assert_eq!(reach(&two, "10.78.0.2"), Some(0));
    assert_ne!(reach(&one, "10.78.0.2"), Some(0));
    two.run(&["down", "-y"]).code(0);
    assert_eq!(
        reach(&one, "10.77.0.2"),
        Some(0),
        "removing the other cluster must not affect this one"
    );
    one.run(&["down", "-y"]).code(0);
}

#[test]
fn a_subnet_that_another_cluster_uses_is_refused_before_anything_is_made() {
    let (one, two) = (World::new(), World::new());
    one.topology("bm01", "groups: { n: { count: 1 } }\n");
    two.topology("bm01", "groups: { n: { count: 1 } }\n");
    one.run(&["up"]).code(0);
    two.run(&["up"]).code(5).says("10.77.0.0/16 is in use on `bm01`");
    assert!(!two.state().exists());
    one.run(&["down", "-y"]).code(0);
}

#[test]
fn a_bridge_that_is_down_or_has_lost_its_address_is_repaired_and_its_nodes_are_kept() {
    let world = World::new();
    world.topology("bm01", "groups: { n: { count: 2 } }\n");
    world.run(&["up"]).code(0);
    let boots = || {
        let text = world
            .run(&["exec", "--", "cat /proc/sys/kernel/random/boot_id"])
            .code(0)
            .stdout;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let before = boots();
    for broken in [
        "ip addr flush dev $d; ip link set $d down",
        "ip link set $d down",
        "ip addr flush dev $d",
        "for p in /sys/class/net/$d/brif/*; do ip link set ${p##*/} nomaster; done",
    ] {
        let cut = format!(
            "for l in /sys/class/net/vcb*; do if grep -q ^vcluster:{}: $l/ifalias; then d=${{l##*/}}; {broken}; fi; done",
            world.name
        );
        assert!(on_host("bm01", &cut).status.success(), "{broken}");
        world.run(&["up"]).code(0);
        assert_eq!(boots(), before, "{broken}");
    }
    world.run(&["down", "-y"]).code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
}

#[test]
fn an_up_that_has_no_node_to_change_repairs_the_network() {
    let world = World::new();
    world.topology("bm[01-02]", "groups: { n: { count: 2, place: spread } }\n");
    world.run(&["up"]).code(0);
    let cut = format!(
        "for l in /sys/class/net/vcx*; do grep -q ^vcluster:{}: $l/ifalias && ip link del ${{l##*/}}; done",
        world.name
    );
    assert!(on_host("bm01", &cut).status.success());
    let ping = ["exec", "-w", "n001", "--", "ping -c1 -W5 10.77.0.2 >/dev/null"];
    assert_ne!(world.run(&ping).code, Some(0), "the link is gone");
    world.run(&["up"]).code(0);
    world.run(&ping).code(0);
    world.run(&["down", "-y"]).code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
}
