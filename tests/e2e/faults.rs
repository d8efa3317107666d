//! Hosts and guests that fail while vcluster works: bounded in time, named, the rest goes on, and
//! nothing is left once the host is back.
//!
//! Seconds go to the file that `VCLUSTER_FAULT_TABLE` names: `FAULT<TAB>VERB<TAB>WHAT HAPPENED<TAB>SECONDS`.

mod clock;
mod guests;
mod hosts;
mod outlive;
mod silence;
mod verbs;

use std::io::Write as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::world::{Ran, World, finish, lab_hosts, program};

/// Three small nodes, one per host, and room for all of them on any two hosts.
const THREE: &str = "groups: { n: { count: 3, place: spread } }\n";

/// A fault ends here: `up` and the others have no reason to take longer. The longest fault lasts for five minutes.
const BOUND: Duration = Duration::from_mins(8);

/// `scripts/lab`, from within the lab.
fn lab(args: &[&str]) -> Ran {
    program(Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lab")).args(args))
}

/// A command on a host, without SSH.
fn host(name: &str, script: &str) -> String {
    lab(&["host", name, "sh", "-c", script]).code(0).stdout
}

/// Hosts that a test turned off or broke are whole again at its end, whatever happened.
struct Mended;

impl Drop for Mended {
    fn drop(&mut self) {
        for name in lab_hosts() {
            let alive = lab(&["host", &name, "true"]).code == Some(0);
            if !alive {
                lab(&["start", &name]);
            }
            heal(&name);
        }
    }
}

/// Ends what faults leave on a host.
fn heal(name: &str) {
    lab(&[
        "host",
        name,
        "sh",
        "-c",
        "nft delete table inet fault 2>/dev/null; kill -CONT $(pidof libvirtd); umount -l /var/lib/libvirt/images 2>/dev/null; true",
    ]);
}

/// Begins `up` with JSON, and waits until a line holds all of these words.
fn begin_until(world: &World, args: &[&str], words: &[&str]) -> Running {
    use std::io::BufRead as _;
    let mut child = world.begin(args);
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    loop {
        let from = seen.len();
        let count = lines.read_line(&mut seen).unwrap();
        assert_ne!(count, 0, "it ended early: {seen}");
        if words.iter().all(|word| seen[from..].contains(word)) {
            break;
        }
    }
    let rest = std::thread::spawn(move || {
        let _ = std::io::Read::read_to_string(&mut lines, &mut seen);
        seen
    });
    Running { child, rest }
}

/// Begins `down`, and waits until it removes things.
fn down_until_clean(world: &World) -> Running {
    let args = ["down", "-y", "--format", "json"];
    begin_until(world, &args, &[r#""stage":"clean""#, "begun"])
}

/// A script that ends a host's libvirtd and starts another one, with these words before its name.
fn restart_libvirtd(with: &str) -> String {
    format!(
        "kill $(pidof libvirtd); while pidof libvirtd >/dev/null; do sleep 0.1; done; rm -f /run/libvirtd.pid; \
         {with} setsid libvirtd </dev/null >>/var/log/libvirt/libvirtd.out 2>&1 &"
    )
}

struct Running {
    child: Child,
    rest: std::thread::JoinHandle<String>,
}

impl Running {
    fn finish(self) -> Ran {
        let mut ran = finish(self.child);
        ran.stdout = self.rest.join().unwrap();
        ran
    }
}

/// Notes how long it took, and that this was bounded.
#[track_caller]
fn took(began: Instant, fault: &str, verb: &str, what: &str) {
    took_besides(Duration::ZERO, began, fault, verb, what);
}

/// As [`took`], where the test itself has needed so much of it.
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

/// Every node answers a command.
fn all_answer(world: &World, nodes: usize) {
    let ran = world.run(&["exec", "--", "hostname"]).code(0);
    assert_eq!(ran.stdout.lines().count(), nodes, "{}", ran.stdout);
}

/// Nothing is left anywhere, by other means than vcluster's.
fn down_leaves_nothing(world: &World) {
    world.run(&["down", "-y"]).code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
    // Results of workloads are kept.
    assert!(!world.state().join("cluster.json").exists());
}

/// The host that holds a node, by `status`.
fn host_of(world: &World, node: &str) -> String {
    let status = crate::world::json(&world.run(&["status", "--no-ssh", "--format", "json"]).stdout);
    let nodes = status["nodes"].as_array().unwrap();
    let row = nodes.iter().find(|row| row["node"] == node).unwrap();
    row["host"].as_str().unwrap().to_owned()
}
