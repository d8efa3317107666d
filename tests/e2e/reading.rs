//! Commands that leave a cluster as it is: their checks share one cluster.

use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::world::{World, finish, json, program, signal};

const CLUSTER: &str =
    "groups: { web: { count: 2, place: spread } }\nworkload: [ { on: web002, run: \"exit 3\" } ]\n";

type Check = (&'static str, fn(&World));

/// All of them run, even if one fails.
const CHECKS: &[Check] = &[
    (
        "exit codes of commands on nodes are passed on as documented",
        exit_codes,
    ),
    ("a line longer than any buffer is printed complete", long_lines),
    (
        "a reader that closes the pipe ends the command on the node",
        closed_pipe,
    ),
    (
        "Ctrl-C without a terminal ends the command, on the node as well",
        ctrl_c,
    ),
    ("stock ssh works with the exported configuration", stock_ssh),
    ("stock ansible works with the exported inventory", stock_ansible),
    ("targets and hosts have the addresses of the nodes", addresses),
];

#[test]
fn commands_that_change_nothing_behave_as_documented_in_scripts_and_with_stock_tools() {
    let world = World::new();
    world.topology("bm[01-02]", CLUSTER);
    let plan = world.run(&["plan", "--format", "json"]).code(0).stdout;
    let up = world.run(&["up", "--format", "json"]).code(0).stdout;
    for text in [&plan, &up] {
        let lines: Vec<_> = text.lines().map(json).collect();
        assert_eq!(lines[0]["version"], 1);
        assert!(lines[1..].iter().all(|line| line["seq"].is_number()), "{text}");
    }
    let failed: Vec<&str> = CHECKS
        .iter()
        .filter(|(_, check)| catch_unwind(AssertUnwindSafe(|| check(&world))).is_err())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(failed, Vec::<&str>::new());
    world.run(&["down", "-y"]).code(0);
}

fn exit_codes(world: &World) {
    world.run(&["exec", "--", "exit 3"]).code(6).says("web[001-002]");
    world.run(&["exec", "-S", "-w", "web001", "--", "exit 3"]).code(3);
    world
        .run(&["exec", "-w", "web001", "--timeout", "1s", "--", "sleep 30"])
        .code(124);
    world
        .run(&["exec", "-w", "web009", "--", "true"])
        .code(2)
        .says("has no node `web009`");
    world.run(&["exec", "-f", "0", "true"]).code(2);
    world.run(&["run"]).code(6);
}

fn long_lines(world: &World) {
    let long = world
        .run(&[
            "exec",
            "-b",
            "-w",
            "web001",
            "head -c 100000 /dev/zero | tr '\\0' x",
        ])
        .code(0);
    assert!(long.stdout.lines().any(|line| line == "x".repeat(100_000)));
}

fn closed_pipe(world: &World) {
    let mut child = world.begin(&["exec", "-w", "web001", "yes"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "web001: y\n");
    finish(child).code(130);
}

fn ctrl_c(world: &World) {
    let child = world.begin(&["ssh", "web001", "sleep 4321"]);
    std::thread::sleep(Duration::from_secs(3));
    signal(&child, Signal::SIGINT);
    finish(child).code(130).says("interrupted");
    let left = world
        .run(&["ssh", "web001", "ps | grep -c '[s]leep 4321'"])
        .code(1);
    assert_eq!(left.stdout, "0\n");
}

fn stock_ssh(world: &World) {
    let ssh = program(Command::new("ssh").args(["-F", &world.ssh_config(), "web002", "hostname"])).code(0);
    assert_eq!(ssh.stdout, "web002\n");
}

fn stock_ansible(world: &World) {
    let inventory = world.run(&["inventory"]).code(0).stdout;
    let inventory = world.write("inventory.yaml", &inventory);
    let ansible = program(
        Command::new("ansible")
            .args([
                "-i",
                inventory.to_str().unwrap(),
                "all",
                "-m",
                "raw",
                "-a",
                "hostname",
            ])
            .env("ANSIBLE_SSH_ARGS", format!("-F {}", world.ssh_config()))
            .env("HOME", world.path("")),
    )
    .code(0);
    assert!(
        ansible.stdout.contains("web001") && ansible.stdout.contains("web002"),
        "{}",
        ansible.stdout
    );
}

fn addresses(world: &World) {
    let targets = json(&world.run(&["targets", "--port", "9200"]).code(0).stdout);
    assert_eq!(targets[0]["targets"][0], "10.77.0.1:9200");
    assert_eq!(targets[0]["labels"]["group"], "web");
    let hosts = world.run(&["hosts"]).code(0).stdout;
    assert!(hosts.contains("10.77.0.2 web002\n"), "{hosts}");
}
