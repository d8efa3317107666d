//! Hosts and guests that fail while vcluster works: commands end in bounded time and name them, the rest
//! continues, and nothing is left once the host is back.
//!
//! Results are appended to the file in `VCLUSTER_FAULT_TABLE`: `FAULT<TAB>VERB<TAB>OUTCOME<TAB>SECONDS`.

mod clock;
mod guests;
mod hosts;
mod outlive;
mod silence;
mod verbs;

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::world::{Begun, Ran, World, finish, lab_hosts, program};

/// Three small nodes, one per host, and room for all of them on any two hosts.
const THREE: &str = "groups: { n: { count: 3, place: spread } }\n";

/// The process of a host's libvirtd, for a shell there. `pidof` also finds children of it that are about to become a
/// QEMU, and are gone a moment later.
const LIBVIRTD: &str = "$(cat /run/libvirtd.pid)";

/// Starts a host's sshd as `scripts/lib/host-init` does.
const START_SSHD: &str = "setsid /usr/sbin/sshd -E /var/log/sshd.log";

/// Limit from the fault to the end of the command. The longest fault lasts for five minutes.
const BOUND: Duration = Duration::from_mins(8);

/// `scripts/lab`, from within the lab.
fn lab(args: &[&str]) -> Ran {
    program(Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lab")).args(args))
}

/// A command on a host, without SSH.
fn host(name: &str, script: &str) -> String {
    lab(&["host", name, "sh", "-c", script]).code(0).stdout
}

/// Restores hosts that a test turned off or broke, even if the test fails. Created after the [`World`], so that it is
/// dropped first: the clean-up of the world needs the hosts.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        for name in lab_hosts() {
            let alive = lab(&["host", &name, "true"]).code == Some(0);
            if !alive {
                lab(&["start", &name]);
            }
            heal(&name);
            // Also connects a host whose start was interrupted.
            lab(&["start", &name]);
        }
    }
}

/// Removes the faults from a host.
fn heal(name: &str) {
    lab(&[
        "host",
        name,
        "sh",
        "-c",
        &format!(
            "nft delete table inet fault 2>/dev/null; kill -CONT {LIBVIRTD}; pidof sshd >/dev/null || {START_SSHD}; umount -l /var/lib/libvirt/images 2>/dev/null; true"
        ),
    ]);
}

/// Starts a command with JSON output, and waits until a line contains all of these words.
fn begin_until(world: &World, args: &[&str], words: &[&str]) -> Running {
    use std::io::BufRead as _;
    let mut child = world.begin(args);
    let output = std::io::BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = std::sync::mpsc::channel();
    // Reads on while the test does something else, so that the command never waits for its reader.
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut running = Running {
        child,
        lines,
        seen: String::new(),
    };
    running.until(words);
    running
}

/// Starts `down`, and waits until it removes things.
fn down_until_clean(world: &World) -> Running {
    let args = ["down", "-y", "--format", "json"];
    begin_until(world, &args, &[r#""stage":"clean""#, "begun"])
}

/// A script that restarts a host's libvirtd, with these words before its name.
fn restart_libvirtd(with: &str) -> String {
    format!(
        "kill {LIBVIRTD}; while pidof libvirtd >/dev/null; do sleep 0.1; done; rm -f /run/libvirtd.pid; \
         {with} setsid libvirtd </dev/null >>/var/log/libvirt/libvirtd.out 2>&1 &"
    )
}

/// A script that ends all connections of a host, and restarts its sshd. A killed process keeps the port until it has
/// gone.
fn restart_sshd() -> String {
    format!("kill -KILL $(pidof sshd); while pidof sshd >/dev/null; do sleep 0.1; done; {START_SSHD}")
}

struct Running {
    child: Begun,
    lines: std::sync::mpsc::Receiver<String>,
    seen: String,
}

impl Running {
    /// Waits until a further line contains all of these words.
    fn until(&mut self, words: &[&str]) {
        loop {
            let Ok(line) = self.lines.recv_timeout(BOUND) else {
                panic!(
                    "no line with {words:?} in time, or the command ended: {}",
                    self.seen
                );
            };
            self.seen.push_str(&line);
            self.seen.push('\n');
            if words.iter().all(|word| line.contains(word)) {
                return;
            }
        }
    }

    fn finish(self) -> Ran {
        let mut ran = finish(self.child);
        ran.stdout = self.seen;
        for line in self.lines {
            ran.stdout.push_str(&line);
            ran.stdout.push('\n');
        }
        ran
    }
}

/// Records how long it took, and asserts the limit.
#[track_caller]
fn took(began: Instant, fault: &str, verb: &str, what: &str) {
    took_besides(Duration::ZERO, began, fault, verb, what);
}

/// As [`took`], where the test itself took `own` of the time.
#[track_caller]
fn took_besides(own: Duration, began: Instant, fault: &str, verb: &str, what: &str) {
    let seconds = began.elapsed();
    assert!(seconds < BOUND + own, "{fault} during {verb} took {seconds:?}");
    let line = format!("{fault}\t{verb}\t{what}\t{:.1}\n", seconds.as_secs_f64());
    if let Some(path) = std::env::var_os("VCLUSTER_FAULT_TABLE") {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Asserts that every node answers a command.
fn all_answer(world: &World, nodes: usize) {
    let ran = world.run(&["exec", "--", "hostname"]).code(0);
    assert_eq!(ran.stdout.lines().count(), nodes, "{}", ran.stdout);
}

/// Runs `down` and asserts, without vcluster, that nothing is left.
fn down_leaves_nothing(world: &World) {
    world.run(&["down", "-y"]).code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
    // Results of workloads are kept.
    assert!(!world.state().join("cluster.json").exists());
}

/// The host of a node according to `status`.
fn host_of(world: &World, node: &str) -> String {
    let status = crate::world::json(&world.run(&["status", "--no-ssh", "--format", "json"]).stdout);
    let nodes = status["nodes"].as_array().unwrap();
    let row = nodes.iter().find(|row| row["node"] == node).unwrap();
    row["host"].as_str().unwrap().to_owned()
}
