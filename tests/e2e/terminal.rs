//! Commands in scripts and terminals: JSON lines, closed pipes, signals, long lines.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use crate::world::{World, finish, json};

#[test]
fn every_line_of_json_parses_and_pipes_signals_and_long_lines_behave() {
    let world = World::new();
    world.topology("bm01", "groups: { n: { count: 1 } }\n");
    let plan = world.run(&["plan", "--format", "json"]).code(0).stdout;
    let up = world.run(&["up", "--format", "json"]).code(0).stdout;
    for text in [&plan, &up] {
        let lines: Vec<_> = text.lines().map(json).collect();
        assert_eq!(lines[0]["version"], 1);
        assert!(lines[1..].iter().all(|line| line["seq"].is_number()), "{text}");
    }

    // A line longer than any buffer is printed complete.
    let long = world
        .run(&["exec", "-b", "head -c 100000 /dev/zero | tr '\\0' x"])
        .code(0);
    assert!(long.stdout.lines().any(|line| line == "x".repeat(100_000)));

    // A reader that closes the pipe ends the command on the node.
    let mut child = world
        .command(&["exec", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "n001: y\n");
    finish(child).code(130);

    // The first Ctrl-C of a command without a terminal ends it, on the node as well.
    let child = world
        .command(&["ssh", "n001", "sleep 4321"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    finish(child).code(130).says("interrupted");
    let left = world.run(&["ssh", "n001", "ps | grep -c '[s]leep 4321'"]).code(1);
    assert_eq!(left.stdout, "0\n");

    for wrong in [&["exec", "-w", "n009", "true"][..], &["exec", "-f", "0", "true"]] {
        world.run(wrong).code(2);
    }
    world.run(&["down", "-y"]).code(0);
}
