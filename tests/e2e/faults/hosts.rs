//! Faults of hosts during `up`.

use std::time::Instant;

use super::{
    LIBVIRTD, Restored, THREE, all_answer, begin_until, down_leaves_nothing, down_until_clean, heal, host,
    host_of, lab, restart_libvirtd, restart_sshd, took,
};
use crate::world::{World, json, on_host};

/// Powers off a host when `up` reaches a stage. Its node is created elsewhere, and what is stranded there is
/// removed once the host is back.
fn power_off_at(words: &[&str], label: &str) {
    let world = World::new();
    let _restored = Restored;
    world.topology("bm[01-03]", THREE);
    let up = begin_until(&world, &["up", "--format", "json", "--boots", "3"], words);
    let began = Instant::now();
    lab(&["kill", "bm02"]).code(0);
    let ran = up.finish().code(0);
    took(
        began,
        &format!("host off ({label})"),
        "up",
        "its node created on another host",
    );
    assert!(ran.stdout.contains("bm02 is lost"), "{}", ran.stdout);
    all_answer(&world, 3);
    assert_ne!(host_of(&world, "n002"), "bm02");

    // The host cannot be checked: `down` reports it and keeps the record.
    world
        .run(&["down", "-y", "--connect-timeout", "5s"])
        .code(7)
        .says("bm02");
    assert!(world.state().exists());
    let began = Instant::now();
    lab(&["start", "bm02"]).code(0);
    down_leaves_nothing(&world);
    took(
        began,
        &format!("host off ({label})"),
        "down",
        "the rest removed once it is back",
    );
}

#[test]
fn up_continues_without_a_host_that_dies_while_images_are_uploaded() {
    power_off_at(&[r#""stage":"image""#, "begun"], "at upload");
}

#[test]
fn up_continues_without_a_host_that_dies_while_guests_boot() {
    power_off_at(&[r#""stage":"boot""#, "begun", "n002"], "at boot");
}

#[test]
fn a_host_that_is_off_is_an_error_by_default_and_left_out_with_a_quorum() {
    let world = World::new();
    let _restored = Restored;
    world.topology("bm[01-03]", THREE);
    world.run(&["up"]).code(0);
    lab(&["kill", "bm02"]).code(0);
    let began = Instant::now();
    world
        .run(&["up", "--connect-timeout", "5s"])
        .code(5)
        .says("bm02")
        .says("min_ready");
    took(began, "host off (before)", "up", "refused, host named");

    // Without room elsewhere its node is missing; with room it is created there.
    let hosts = "bm[01-03]";
    let one_each = "groups: { n: { count: 3, place: spread, separate: [n] } }\nmin_ready: 66%\n";
    world.topology(hosts, one_each);
    let began = Instant::now();
    world
        .run(&["up", "--connect-timeout", "5s"])
        .code(0)
        .says("bm02 is left out")
        .says("missing n002")
        .says("is up: 2 of 3 nodes on 2 hosts, without n002");
    took(began, "host off (before)", "up", "quorum, missing node listed");
    all_answer(&world, 2);
    world
        .run(&["exec", "-w", "n002", "--", "true"])
        .code(2)
        .says("n002` is missing");
    let status = world
        .run(&["status", "--connect-timeout", "5s", "--format", "json"])
        .code(5);
    let status = json(&status.stdout);
    let rows = status["nodes"].as_array().unwrap();
    let row = rows.iter().find(|row| row["node"] == "n002").unwrap();
    assert_eq!(row["state"], "missing");
    assert!(
        row["reason"].as_str().unwrap().contains("no host has room"),
        "{row}"
    );

    world.topology(hosts, &format!("{THREE}min_ready: 66%\n"));
    world
        .run(&["up", "--connect-timeout", "5s"])
        .code(0)
        .says("is up: 3 nodes on 2 hosts");
    let home = host_of(&world, "n002");
    // The host is back with the old domain, which even runs.
    lab(&["start", "bm02"]).code(0);
    host("bm02", &format!("virsh -q start {}.n002 || true", world.name));
    world
        .run(&["status"])
        .code(5)
        .says("bm02 holds a leftover domain of n002");
    let began = Instant::now();
    let ran = world.run(&["up", "--format", "json"]).code(0);
    took(
        began,
        "leftover domain on a host that is back",
        "up",
        "domain removed",
    );
    assert!(ran.stdout.contains(r#""stage":"remove""#), "{}", ran.stdout);
    assert_eq!(host_of(&world, "n002"), home);
    world.run(&["status"]).code(0);
    down_leaves_nothing(&world);
}

#[test]
fn restarted_daemons_do_not_lose_a_node() {
    let world = World::new();
    let _restored = Restored;
    for (fault, script) in [
        ("libvirtd restarted", restart_libvirtd("")),
        // Its connections die too.
        ("sshd restarted", restart_sshd()),
    ] {
        world.topology("bm[01-03]", THREE);
        let up = begin_until(
            &world,
            &["up", "--format", "json"],
            &[r#""stage":"start""#, "begun"],
        );
        let began = Instant::now();
        host("bm02", &script);
        up.finish().code(0);
        took(began, fault, "up", "all nodes up");
        all_answer(&world, 3);
        let down = down_until_clean(&world);
        let began = Instant::now();
        host("bm02", &script);
        let code = down.finish().code;
        // It depends on timing whether a call that cannot be retried was hit; then `down` must report it.
        assert!(matches!(code, Some(0 | 7)), "{code:?}");
        std::thread::sleep(std::time::Duration::from_secs(1));
        if code == Some(7) {
            world.run(&["down", "-y"]).code(0);
        }
        took(began, fault, "down", "nothing left");
        assert_eq!(world.traces(), Vec::<String>::new());
    }
}

#[test]
fn up_continues_without_a_host_that_the_others_do_not_reach_until_the_network_is_repaired() {
    let world = World::new();
    let _restored = Restored;
    world.topology("bm[01-03]", THREE);
    // The controller still reaches it.
    host(
        "bm02",
        "nft 'add table inet fault; add chain inet fault in { type filter hook input priority 0; }; \
         add rule inet fault in ip saddr { 10.90.0.11, 10.90.0.13 } drop'",
    );
    let began = Instant::now();
    world
        .run(&["up"])
        .code(0)
        .says("ping fails between `bm02` and bm[01,03]");
    took(
        began,
        "network between hosts cut",
        "up",
        "its node created on another host",
    );
    all_answer(&world, 3);
    assert_ne!(host_of(&world, "n002"), "bm02");
    heal("bm02");
    world.run(&["up"]).code(0);
    world
        .run(&["exec", "--", "ping -c1 -W5 10.77.0.2 >/dev/null"])
        .code(0);
    down_leaves_nothing(&world);
}

#[test]
fn nodes_of_a_host_with_a_full_disk_or_without_memory_are_created_on_others() {
    let world = World::new();
    let _restored = Restored;
    world.topology("bm[01-03]", THREE);
    host("bm02", "mount -t tmpfs -o size=1m tmpfs /var/lib/libvirt/images");
    let began = Instant::now();
    let ran = world.run(&["up"]).code(0);
    took(began, "disk full", "up", "its node created on another host");
    assert!(ran.stderr.contains("bm02"), "{}", ran.stderr);
    all_answer(&world, 3);
    assert_ne!(host_of(&world, "n002"), "bm02");
    world.run(&["down", "-y"]).code(0);
    heal("bm02");

    // QEMU inherits the limits of its libvirtd. Only the soft limit: the hard one could not be raised again.
    let limit = |bytes: &str| {
        host("bm02", &format!("prlimit --pid {LIBVIRTD} --as={bytes}:"));
    };
    host(
        "bm02",
        &format!(
            "mkdir -p /run/fault; awk '/VmSize/ {{ print $2 * 1024 }}' /proc/{LIBVIRTD}/status >/run/fault/size"
        ),
    );
    limit("$(($(cat /run/fault/size) + 100000000))");
    world.topology(
        "bm[01-03]",
        "groups: { n: { count: 3, place: spread, memory: 2GiB } }\n",
    );
    let began = Instant::now();
    let ran = world.run(&["up"]).code(0);
    took(
        began,
        "memory exhausted",
        "up",
        "its node created on another host",
    );
    assert!(ran.stderr.contains("n002 on bm02"), "{}", ran.stderr);
    assert_ne!(host_of(&world, "n002"), "bm02");
    limit("unlimited");
    host("bm02", "rm -rf /run/fault");
    down_leaves_nothing(&world);
}

#[test]
fn without_room_elsewhere_a_host_that_dies_is_an_error_that_names_it_unless_there_is_a_quorum() {
    for (quorum, code) in [("", 5), ("min_ready: 2\n", 0)] {
        let world = World::new();
        let _restored = Restored;
        world.topology(
            "bm[01-03]",
            &format!("groups: {{ n: {{ count: 3, place: spread, separate: [n] }} }}\n{quorum}"),
        );
        let up = begin_until(
            &world,
            &["up", "--format", "json"],
            &[r#""stage":"boot""#, "begun", "n002"],
        );
        let began = Instant::now();
        lab(&["kill", "bm02"]).code(0);
        let ran = up.finish().code(code);
        took(
            began,
            "host off, no room elsewhere",
            "up",
            if code == 0 { "quorum" } else { "error" },
        );
        assert!(ran.stdout.contains("bm02"), "{}", ran.stdout);
        if code == 0 {
            assert!(
                ran.stdout.contains(r#""missing":[{"nodes":"n002""#),
                "{}",
                ran.stdout
            );
            all_answer(&world, 2);
        }
        lab(&["start", "bm02"]).code(0);
        if code == 0 {
            // The host is back: the missing node is created again.
            world.run(&["up"]).code(0).says("is up: 3 nodes on 3 hosts");
            all_answer(&world, 3);
        }
        down_leaves_nothing(&world);
    }
    assert!(on_host("bm02", "true").status.success());
}
