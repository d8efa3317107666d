//! Ctrl-C and lost state: nothing is left behind.

use std::io::Read;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::world::{World, finish, signal};

const FOUR: &str = "groups: { n: { count: 4, place: spread } }\n";

#[test]
fn an_interrupted_up_removes_what_it_created() {
    let world = World::new();
    world.topology("bm[01-02]", FOUR);
    let mut child = world.begin(&["up", "--format", "json", "--boots", "1"]);
    // Interrupted while guests boot: domains, disks and links exist by then.
    let mut seen = String::new();
    let mut out = child.stdout.take().unwrap();
    let mut buffer = [0; 4096];
    while !seen.contains(r#""stage":"boot""#) {
        let count = out.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the command ended early: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    let reader = std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = out.read_to_end(&mut rest);
    });
    assert!(!world.traces().is_empty());
    signal(&child, Signal::SIGINT);
    finish(child).code(130);
    reader.join().unwrap();
    assert_eq!(world.traces(), Vec::<String>::new());
    assert!(!world.state().exists());
}

#[test]
fn a_killed_up_is_completed_by_up_and_removed_by_down() {
    let world = World::new();
    world.topology("bm[01-02]", FOUR);
    // The first is killed while it prepares the hosts, the second while guests boot.
    for pause in [1, 3] {
        let mut child = world.begin(&["up"]);
        std::thread::sleep(Duration::from_secs(pause));
        assert_eq!(child.try_wait().unwrap(), None, "`up` ended before it was killed");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    world.run(&["up"]).code(0);
    world.run(&["exec", "--", "true"]).code(0);
    world.run(&["down", "-y"]).code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
}

#[test]
fn down_finds_everything_without_local_state() {
    let world = World::new();
    world.topology("bm[01-02]", FOUR);
    world.run(&["up"]).code(0);
    std::fs::remove_dir_all(world.path("state")).unwrap();
    assert!(!world.traces().is_empty());
    world.run(&["up"]).code(5).says("--adopt");
    world
        .run(&["down", &world.name, "--hosts", "bm[01-02]", "-y"])
        .code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
}
