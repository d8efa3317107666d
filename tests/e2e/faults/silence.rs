//! Silent but not dead: a libvirtd that hangs, a network that is cut, a controller that is suspended.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{
    LIBVIRTD, Restored, THREE, all_answer, begin_until, down_leaves_nothing, heal, host, host_of, took,
};
use crate::world::{World, signal};

#[test]
fn a_libvirtd_that_hangs_is_abandoned_in_bounded_time_and_its_nodes_are_created_elsewhere() {
    let world = World::new();
    let _restored = Restored;
    world.topology("bm[01-03]", THREE);
    let short = ["--call-timeout", "8s", "--connect-timeout", "5s"];
    let up = begin_until(
        &world,
        &[&["up", "--format", "json"], &short[..]].concat(),
        &[r#""stage":"start""#, "begun"],
    );
    let began = Instant::now();
    host("bm02", &format!("kill -STOP {LIBVIRTD}"));
    let ran = up.finish().code(0);
    took(began, "libvirtd hangs", "up", "its node created on another host");
    assert!(ran.stdout.contains("bm02 is lost"), "{}", ran.stdout);
    all_answer(&world, 3);
    assert_ne!(host_of(&world, "n002"), "bm02");

    let began = Instant::now();
    world
        .run(&[&["down", "-y"], &short[..]].concat())
        .code(7)
        .says("bm02");
    took(began, "libvirtd hangs", "down", "the others removed, host named");
    heal("bm02");
    down_leaves_nothing(&world);
}

/// Drops all packets of a host, as if the cable were unplugged.
pub(super) fn cut(name: &str) {
    host(
        name,
        "nft 'add table inet fault; add chain inet fault in { type filter hook input priority 0; policy drop; }; \
         add chain inet fault out { type filter hook output priority 0; policy drop; }'",
    );
}

#[test]
fn a_suspended_controller_loses_its_lock_and_changes_nothing_afterwards() {
    let world = World::new();
    let _restored = Restored;
    // Guests that never answer keep `up` running.
    world.write_silent_disk("silent.raw");
    world.topology(
        "bm[01-02]",
        "images: { silent: { from: ./silent.raw, user: root } }\n\
         groups: { n: { count: 2, image: silent, memory: 64MiB, place: spread } }\n",
    );
    let up = begin_until(
        &world,
        &["up", "--format", "json"],
        &[r#""stage":"login""#, "begun", "n002"],
    );
    signal(&up.child, Signal::SIGSTOP);
    let began = Instant::now();
    let down = ["down", &world.name, "--hosts", "bm[01-02]", "-y"];
    world
        .run_elsewhere(&down)
        .code(1)
        .says("is held on bm01 by `vcluster up` on ");
    // Its connections are still open: only the missing heartbeats reveal it.
    while world.run_elsewhere(&down).code != Some(0) {
        assert!(
            began.elapsed() < Duration::from_mins(3),
            "the lock does not expire"
        );
        std::thread::sleep(Duration::from_secs(5));
    }
    took(
        began,
        "controller suspended",
        "down",
        "elsewhere, once its lock is free",
    );
    assert_eq!(world.traces(), Vec::<String>::new());

    let began = Instant::now();
    signal(&up.child, Signal::SIGCONT);
    let ran = up.finish().code(5);
    took(
        began,
        "controller resumes after suspension",
        "up",
        "ends, touches nothing",
    );
    assert!(ran.stdout.contains("was suspended"), "{}", ran.stdout);
    assert_eq!(world.traces(), Vec::<String>::new());
    down_leaves_nothing(&world);
}

#[test]
fn an_interrupt_in_a_later_round_rolls_back_all_rounds() {
    let world = World::new();
    world.write_silent_disk("silent.raw");
    world.topology(
        "bm[01-02]",
        "images: { silent: { from: ./silent.raw, user: root } }\nmin_ready: 2\n\
         groups:\n  n: { count: 2, place: spread }\n  x: { count: 1, image: silent, memory: 64MiB }\n",
    );
    let up = begin_until(
        &world,
        &["up", "--format", "json", "--boot-timeout", "15s"],
        &["trying again: x001"],
    );
    std::thread::sleep(Duration::from_secs(4));
    let began = Instant::now();
    signal(&up.child, Signal::SIGINT);
    up.finish().code(130);
    took(
        began,
        "interrupt in the second round",
        "up",
        "both rounds rolled back",
    );
    assert_eq!(world.traces(), Vec::<String>::new());
    assert!(!world.state().exists());
}
