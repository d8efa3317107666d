//! Steps that survive the suspension or death of guests, daemons, networks and controllers. With
//! `VCLUSTER_FAULTS=long` the faults last as long as in practice; otherwise everything is ten times shorter,
//! vcluster's own timeouts included.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{
    Restored, THREE, all_answer, begin_until, down_leaves_nothing, heal, host, restart_sshd, took,
    took_besides,
};
use crate::world::{World, find, on_host, signal};

/// Whether faults last as long as in practice.
fn is_long() -> bool {
    std::env::var("VCLUSTER_FAULTS").is_ok_and(|value| value == "long")
}

/// A duration, given for the long form.
fn lasting(seconds: u64) -> Duration {
    Duration::from_secs(if is_long() { seconds } else { seconds.div_ceil(10) })
}

fn world(workload: &str) -> World {
    let mut world = World::new();
    if !is_long() {
        world.environment.push(("VCLUSTER_TEST_PATIENCE", "0.1".into()));
    }
    world.topology("bm[01-03]", &format!("{THREE}workload:\n{workload}"));
    world.run(&["up"]).code(0);
    world
}

/// A step that counts to `seconds`, one line per second, and its output.
fn counting(seconds: u64) -> (String, String) {
    let step = format!(
        "  - {{ name: count, on: \"@all\", barrier: true, timeout: 30m, run: \"i=0; while [ $i -lt {seconds} ]; do echo line $i; i=$((i+1)); sleep 1; done\" }}\n"
    );
    (step, (0..seconds).map(|i| format!("line {i}\n")).collect())
}

const RUN: [&str; 5] = ["run", "--format", "json", "--results", "results"];

/// The output of the nodes in the step `count` of the only run.
fn outputs(world: &World) -> Vec<String> {
    let read =
        |node: &str| std::fs::read_to_string(find(&world.path("results"), &format!("{node}.out"))).unwrap();
    ["n001", "n002", "n003"].map(read).into()
}

/// Injects a fault in the middle of a counting step, and checks that it has no effect.
fn in_the_middle(fault: &str, lasts: Duration, begins: impl Fn(&World), ends: impl Fn(&World)) {
    let (step, wanted) = counting(8 + lasts.as_secs());
    let world = world(&step);
    let _restored = Restored;
    let running = begin_until(&world, &RUN, &["step_node", "begun", "n002"]);
    std::thread::sleep(Duration::from_secs(4));
    let began = Instant::now();
    begins(&world);
    std::thread::sleep(lasts);
    ends(&world);
    running.finish().code(0);
    // A suspended guest still has to count after that.
    took_besides(lasts * 2, began, fault, "run", "passes, output complete");
    for output in outputs(&world) {
        assert_eq!(output, wanted, "{fault}");
    }
    all_answer(&world, 3);
    down_leaves_nothing(&world);
}

/// Sends a signal to the QEMU of n002.
fn guest(world: &World, name: &str) {
    host(
        "bm02",
        &format!("kill -{name} $(cat /run/libvirt/qemu/{}.n002.pid)", world.name),
    );
}

#[test]
fn a_step_continues_after_its_guest_was_suspended() {
    in_the_middle(
        "guest suspended",
        lasting(240),
        |world| guest(world, "STOP"),
        |world| guest(world, "CONT"),
    );
}

#[test]
fn a_step_continues_while_the_sshd_of_its_host_is_restarted() {
    in_the_middle(
        "sshd restarted",
        Duration::ZERO,
        |_| {
            host("bm02", &restart_sshd());
        },
        |_| {},
    );
}

#[test]
fn a_step_continues_while_the_network_of_its_host_is_cut() {
    in_the_middle(
        "network of a host cut",
        lasting(180),
        |_| super::silence::cut("bm02"),
        |_| heal("bm02"),
    );
}

#[test]
fn a_step_continues_while_its_controller_is_suspended() {
    let lasts = lasting(300);
    let (step, wanted) = counting(8);
    let world = world(&step);
    let _restored = Restored;
    let running = begin_until(&world, &RUN, &["step_node", "begun", "n002"]);
    std::thread::sleep(Duration::from_secs(4));
    let began = Instant::now();
    signal(&running.child, Signal::SIGSTOP);
    std::thread::sleep(lasts);
    signal(&running.child, Signal::SIGCONT);
    running.finish().code(0);
    took_besides(
        lasts,
        began,
        "controller suspended",
        "run",
        "passes, output complete",
    );
    for output in outputs(&world) {
        assert_eq!(output, wanted);
    }
    down_leaves_nothing(&world);
}

#[test]
fn the_run_of_a_killed_controller_is_continued_collected_by_the_next_run_or_stopped() {
    let (step, wanted) = counting(15);
    let after = "  - { name: after, on: \"@all\", run: \"echo after\" }\n";
    let world = world(&format!("{step}{after}"));
    let _restored = Restored;
    let results = |name: &str| -> PathBuf { world.path(name) };
    let kill = |name: &str| {
        let args = ["run", "--format", "json", "--results", name];
        let running = begin_until(&world, &args, &["step_node", "begun", "n002"]);
        std::thread::sleep(Duration::from_secs(5));
        signal(&running.child, Signal::SIGKILL);
        running.finish();
    };
    let nothing = world.run(&["run", "--attach", "--results", "none"]).code(2);
    assert!(
        nothing.stderr.contains("no interrupted run"),
        "{}",
        nothing.stderr
    );

    kill("one");
    let began = Instant::now();
    world.run(&["run", "--attach", "--results", "one"]).code(0);
    took(
        began,
        "controller killed",
        "run --attach",
        "all steps pass, output complete",
    );
    for node in ["n001", "n002", "n003"] {
        let dir = results("one").read_dir().unwrap().next().unwrap().unwrap().path();
        let count = std::fs::read_to_string(dir.join("count").join(format!("{node}.out"))).unwrap();
        assert_eq!(count, wanted, "{node}");
        let after = std::fs::read_to_string(dir.join("after").join(format!("{node}.out"))).unwrap();
        assert_eq!(after, "after\n");
    }
    world.run(&["run", "--attach", "--results", "one"]).code(2);

    kill("two");
    let ran = world.run(&["run", "--step", "after", "--results", "two"]).code(0);
    assert!(ran.stderr.contains("was interrupted"), "{}", ran.stderr);
    let whole = results("two")
        .read_dir()
        .unwrap()
        .all(|entry| entry.unwrap().path().join("results.json").exists());
    assert!(whole);

    kill("three");
    let began = Instant::now();
    world.run(&["run", "--stop", "--results", "three"]).code(0);
    took(began, "controller killed", "run --stop", "ended on all nodes");
    let left = world.run(&[
        "exec",
        "--",
        "ls /run/vcluster/steps; ps | grep 'line [$]i' | grep -v grep; true",
    ]);
    assert_eq!(left.stdout, "", "{}", left.stdout);
    down_leaves_nothing(&world);
}

#[test]
fn a_guest_that_is_destroyed_or_rebooted_in_a_step_is_named_within_seconds() {
    let world = world("  - { name: long, on: \"@all\", run: \"sleep 12; echo done\", timeout: 30m }\n");
    let _restored = Restored;
    let mut running = begin_until(&world, &RUN, &["step_node", "begun", "n002"]);
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    assert!(
        on_host("bm02", &format!("virsh -q destroy {}.n002", world.name))
            .status
            .success()
    );
    // The line of this node, while the step continues on the others.
    running.until(&[
        "step_node",
        "n002",
        "failed",
        "the guest is off (destroyed) on bm02",
    ]);
    took(began, "guest destroyed", "run", "named, the others pass");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    running.finish().code(6);

    world.run(&["up"]).code(0);
    let reboots = "sleep 2; [ $(hostname) = n002 ] && reboot -f; sleep 20; echo done";
    world.topology(
        "bm[01-03]",
        &format!("{THREE}workload:\n  - {{ name: long, on: \"@all\", run: \"{reboots}\", timeout: 30m }}\n"),
    );
    let mut running = begin_until(&world, &RUN, &["step_node", "begun", "n002"]);
    let began = Instant::now();
    running.until(&["step_node", "n002", "failed", "the node rebooted during the step"]);
    took(began, "guest reboots", "run", "named, the others pass");
    running.finish().code(6);
    down_leaves_nothing(&world);
}

#[test]
fn bulk_output_arrives_once_and_complete_over_lost_connections() {
    let megabytes = if is_long() { 200 } else { 20 };
    // Random, so that a missing or duplicated chunk changes the checksum; produced again for the expected one.
    let make = format!("for i in $(seq {megabytes}); do echo $i; head -c 1000000 /tmp/noise; done");
    let step = format!(
        "  - {{ name: noise, on: n002, run: \"head -c 1000000 /dev/urandom >/tmp/noise\" }}\n  \
           - {{ name: bulk, on: n002, timeout: 30m, run: \"{make}\" }}\n"
    );
    let world = world(&step);
    let _restored = Restored;
    let running = begin_until(&world, &RUN, &["step_node", "begun", "bulk"]);
    let began = Instant::now();
    let size = || {
        let output = std::process::Command::new("find")
            .arg(world.path("results"))
            .args(["-path", "*bulk/n002.out", "-printf", "%s"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().parse().unwrap_or(0_u64)
    };
    for part in [1, 2] {
        while size() < part * megabytes * 300_000 {
            assert!(began.elapsed() < Duration::from_mins(3), "{} bytes", size());
            std::thread::sleep(Duration::from_millis(50));
        }
        host("bm02", &restart_sshd());
    }
    running.finish().code(0);
    took(
        began,
        "sshd restarted twice",
        "run",
        &format!("{megabytes} MB of output complete"),
    );
    let sum = world
        .run(&["exec", "-w", "n002", "--", &format!("{{ {make}; }} | sha256sum")])
        .code(0);
    let file = find(
        &world
            .path("results/")
            .join(only(&world.path("results")))
            .join("bulk"),
        "n002.out",
    );
    let output = std::process::Command::new("sha256sum")
        .arg(file)
        .output()
        .unwrap();
    let ours = String::from_utf8(output.stdout).unwrap();
    assert!(
        sum.stdout.contains(ours.split(' ').next().unwrap()),
        "{} {ours}",
        sum.stdout
    );
    down_leaves_nothing(&world);
}

/// The only entry of a directory.
fn only(dir: &std::path::Path) -> String {
    let names: Vec<String> = dir
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].clone()
}

#[test]
fn a_step_that_hangs_reports_at_its_timeout_what_its_processes_were_doing() {
    let world =
        world("  - { name: hangs, on: n001, run: \"mkfifo /tmp/never; cat /tmp/never\", timeout: 3s }\n");
    let ran = world.run(&["run", "--results", "results"]).code(6);
    assert!(
        ran.stdout.contains("timed out") && ran.stdout.contains("cat /tmp/never"),
        "{}",
        ran.stdout
    );
    world.topology(
        "bm[01-03]",
        &format!("{THREE}configure:\n  - {{ name: hangs-too, on: n001, run: \"sleep 1234 & wait\", timeout: 3s }}\n"),
    );
    world
        .run(&["configure"])
        .code(5)
        .says("step `hangs-too` timed out after 3s")
        .says("sleep 1234");
    let left = world.run(&[
        "exec",
        "-w",
        "n001",
        "--",
        "ls /run/vcluster/steps; ps | grep -c '[s]leep 1234'",
    ]);
    assert_eq!(left.stdout.trim(), "n001: 0", "{}", left.stdout);
    down_leaves_nothing(&world);
}
