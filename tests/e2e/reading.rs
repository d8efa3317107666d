//! Commands that leave a cluster as it is, or nearly: their checks share one cluster.

use std::io::{BufRead, BufReader, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::world::{Ran, World, begin, finish, json, program, signal};

const CLUSTER: &str = "groups: { web: { count: 2, place: spread, memory: 160MiB } }\nworkload: [ { on: web002, run: \"exit 3\" } ]\n";

type Check = (&'static str, fn(&World));

/// All of them run, even if one fails.
const CHECKS: &[Check] = &[
    (
        "exit codes of commands on nodes are passed on as documented",
        exit_codes,
    ),
    ("a line longer than any buffer is printed complete", long_lines),
    (
        "standard input reaches every node, and a script in it decides the exit code",
        standard_input,
    ),
    (
        "standard input that no command reads delays nothing",
        unread_input,
    ),
    (
        "output that is cut has no holes, and is named with its size",
        cut_output,
    ),
    (
        "the commands that scripts expect are on a micro node",
        expected_commands,
    ),
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
    (
        "a large file is sent to the nodes once, and again only where it is not the same",
        large_file,
    ),
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

/// Runs the binary with this standard input.
fn with_input(world: &World, args: &[&str], input: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Ran {
    let mut child = begin(world.command(args).stdin(Stdio::piped()));
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        for piece in input {
            // The program may end before it has read everything.
            if stdin.write_all(&piece).is_err() {
                break;
            }
        }
    });
    let ran = finish(child);
    writing.join().unwrap();
    ran
}

fn standard_input(world: &World) {
    let once = |bytes: &[u8]| std::iter::once(bytes.to_vec());
    let hello = with_input(world, &["exec", "-b", "--", "cat"], once(b"hello\n")).code(0);
    assert!(hello.stdout.contains("web[001-002] (2)\n") && hello.stdout.ends_with("\nhello\n"));
    let script = with_input(
        world,
        &["exec", "-S", "-w", "web001", "--", "sh -s"],
        once(b"hostname\nfalse\n"),
    );
    assert_eq!(script.code(1).stdout, "web001: web001\n");

    // Every byte there is, more than any window holds; one node after the other.
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|i| (i * 31 % 256) as u8).collect();
    let file = world.path("bytes");
    std::fs::write(&file, &bytes).unwrap();
    let expected = program(Command::new("sha256sum").arg(&file)).code(0).stdout;
    let expected = expected.split(' ').next().unwrap();
    let sums = with_input(
        world,
        &["exec", "-b", "-f", "1", "--", "sha256sum"],
        std::iter::once(bytes),
    );
    let sums = sums.code(0).stdout;
    assert!(
        sums.contains("web[001-002] (2)\n") && sums.contains(expected),
        "{sums}"
    );

    let nothing = with_input(world, &["exec", "-n", "--", "cat; echo end"], once(b"hello\n")).code(0);
    assert!(
        !nothing.stdout.contains("hello") && nothing.stdout.contains("web001: end\n"),
        "{nothing:?}"
    );
}

fn unread_input(world: &World) {
    let endless = std::iter::repeat_with(|| b"y\n".repeat(10_000));
    with_input(world, &["exec", "--", "true"], endless).code(0);
    // A pipe that stays open without a byte.
    let mut child = begin(
        world
            .command(&["exec", "-w", "web001", "--", "echo done"])
            .stdin(Stdio::piped()),
    );
    let _open = child.stdin.take();
    assert_eq!(finish(child).code(0).stdout, "web001: done\n");
}

fn cut_output(world: &World) {
    let long = "yes | head -c 17825792; echo END; echo problem >&2";
    let ran = world
        .run(&["exec", "-b", "-w", "web001", "--", long])
        .code(0)
        .says("web001: standard output is cut after 16777216 bytes: 1048580 bytes are left out")
        .says("problem");
    assert!(!ran.stdout.contains("END"));
    let ran = world
        .run(&["exec", "--format", "json", "-w", "web001", "--", long])
        .code(0);
    let line = ran.stdout.lines().map(json).find(|line| line["type"] == "exec");
    let line = line.unwrap();
    assert_eq!(line["stdout"].as_str().unwrap().len(), 16 << 20);
    assert_eq!(line["cut"], serde_json::json!({"stdout": 1_048_580, "stderr": 0}));
}

/// Commands that scripts use without a second thought.
const EXPECTED: &str = "awk base64 basename bc cat chmod chrt cmp comm cp cut date dd df diff dirname dmesg du env expand \
    expr fallocate find flock fold free getopt grep gzip head hexdump hostname id install ionice ip kill killall less ln \
    logger ls md5sum mkdir mktemp mount mountpoint mv nc netstat nice nl nohup nproc nslookup od paste patch pgrep pidof \
    ping pkill printenv printf ps readlink realpath renice rev rm sed seq setsid sha256sum shuf sleep sort split stat \
    strings sync sysctl tac tail tar taskset tee test time timeout top touch tr truncate tty umount uname uniq unzip \
    uptime uuidgen vi vmstat watch wc wget which whoami xargs xxd yes";

fn expected_commands(world: &World) {
    let look = format!("for c in {EXPECTED}; do command -v $c >/dev/null || echo $c; done");
    let missing = world.run(&["exec", "-w", "web001", "--", &look]).code(0);
    assert_eq!(missing.stdout, "");
    let on_node = |command: &str| world.run(&["exec", "-S", "-w", "web001", "--", command]);
    on_node("nohup sleep 4322 >/dev/null 2>&1 &").code(0);
    on_node("pgrep -f 'sleep 432[2]' && flock -n /tmp/lock true && pkill -f 'sleep 432[2]'").code(0);
    on_node("sleep 1; pgrep -f 'sleep 432[2]'").code(1);
    on_node("timeout 1 sleep 30; [ $? -eq 143 ]").code(0);
    on_node("echo a | tee /tmp/a >/tmp/b; nice -n 5 cmp /tmp/a /tmp/b").code(0);
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
    let config = world.ssh_config();
    for name in ["web002", &format!("web002.{}", world.name)] {
        let ssh = program(Command::new("ssh").args(["-F", &config, name, "hostname"])).code(0);
        assert_eq!(ssh.stdout, "web002\n");
    }
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
            // No connection outlives the test.
            .env("ANSIBLE_SSH_ARGS", "-o ControlMaster=no")
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

fn large_file(world: &World) {
    let content: Vec<u8> = (0..20_u32 << 20).map(|at| (at / 251) as u8).collect();
    std::fs::write(world.path("blob"), content).unwrap();
    let step = "configure: [ { name: blob, on: \"@all\", file: blob, to: /root/new/blob, mode: \"0640\", timeout: 8m } ]\n";
    world.topology("bm[01-02]", &format!("{CLUSTER}{step}"));
    // The nodes on which it was changed, and what is there afterwards.
    let configure = || {
        let out = world.run(&["configure", "--format", "json"]).code(0).stdout;
        let step = out
            .lines()
            .map(json)
            .find(|line| line["event"] == "step")
            .unwrap();
        let look = "cd /root/new; ls -A; stat -c '%i %Y %a %s' blob; sha256sum blob";
        let found = world.run(&["exec", "--", look]).code(0).stdout;
        let mut lines: Vec<String> = found.lines().map(str::to_owned).collect();
        lines.sort();
        (step["changed"].clone(), lines)
    };
    let digest = program(Command::new("sha256sum").arg(world.path("blob")))
        .code(0)
        .stdout;
    let digest = digest.split(' ').next().unwrap();
    let (changed, first) = configure();
    assert_eq!(changed, 2);
    for node in ["web001", "web002"] {
        let of_node: Vec<&String> = first.iter().filter(|line| line.starts_with(node)).collect();
        assert_eq!(of_node.len(), 3, "{first:?}");
        assert!(
            of_node.iter().any(|line| line.ends_with(" 640 20971520")),
            "{first:?}"
        );
        assert!(of_node.iter().any(|line| line.contains(digest)), "{first:?}");
    }
    // The same inodes and times: nothing was written again.
    assert_eq!(configure(), (0.into(), first.clone()));
    world
        .run(&["exec", "-w", "web002", "--", "echo x >/root/new/blob"])
        .code(0);
    let (changed, third) = configure();
    assert_eq!(changed, 1);
    let of_first = |lines: &[String]| -> Vec<String> {
        let lines = lines.iter().filter(|line| line.starts_with("web001"));
        lines.cloned().collect()
    };
    assert_eq!(of_first(&third), of_first(&first));
    assert_ne!(third, first);

    // A file that does not fit leaves nothing.
    world
        .run(&[
            "exec",
            "-w",
            "web001",
            "--",
            "mount -t tmpfs -o size=8m small /root/new",
        ])
        .code(0);
    world
        .run(&["configure", "-w", "web001"])
        .code(5)
        .says("no space left on the node for /root/new/blob");
    let left = world.run(&["exec", "-w", "web001", "--", "ls -A /root/new; umount /root/new"]);
    assert_eq!(left.code(0).stdout, "");
    world.run(&["exec", "--", "rm -r /root/new"]).code(0);
}
