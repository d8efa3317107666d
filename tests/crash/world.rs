//! The cluster that is killed again and again, and the commands on it.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::host;

/// No command takes longer; one that does has failed.
const LIMIT: Duration = Duration::from_mins(3);
const NAME: &str = "crash";
/// Covers NAT, an overlay, files and commands on nodes, a barrier and collected files.
const TOPOLOGY: &str = r#"
name: crash
hosts:
  bm[01-02]: { uri: "qemu+ssh://root@{{name}}/system" }
network: { nat: true }
defaults: { disk: 64MiB }
groups:
  n: { count: 2, place: spread }
configure:
  - { on: "@all", template: note.hbs, to: /etc/note }
  - { name: settle, on: "@all", run: "test -s /etc/note && echo done >/root/configured" }
workload:
  - { name: work, on: "@all", run: "hostname", barrier: true, collect: [/etc/note] }
"#;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) killed: bool,
    pub(crate) took: Duration,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// When a command is killed.
pub(crate) enum Kill<'a> {
    Never,
    /// What goes into `VCLUSTER_FAULT`.
    Fault(&'a str),
    After(Duration),
}

/// A place for all trials.
pub(crate) struct World {
    work: PathBuf,
    /// Whether the cluster is known to be up and whole.
    pub(crate) is_up: bool,
    /// What the hosts hold when the cluster is raised from nothing and nobody is killed.
    pub(crate) whole: Option<String>,
}

impl World {
    pub(crate) fn new(work: &Path) -> Self {
        std::fs::create_dir_all(work).unwrap();
        std::fs::write(work.join("topology.yaml"), TOPOLOGY).unwrap();
        std::fs::write(work.join("note.hbs"), "{{node.name}}\n").unwrap();
        let mut world = Self {
            work: work.to_owned(),
            is_up: false,
            whole: None,
        };
        world.empty();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    pub(crate) fn results_file(&self) -> PathBuf {
        self.path("results.jsonl")
    }

    /// Runs the binary with the state directory that all trials share.
    pub(crate) fn run(&self, args: &[&str], kill: Kill<'_>) -> Ran {
        self.run_with(args, kill, "state")
    }

    fn run_with(&self, args: &[&str], kill: Kill<'_>, state: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vcluster"));
        let output = |name: &str| std::fs::File::create(self.path(name)).unwrap();
        command
            .args(args)
            .current_dir(&self.work)
            .env("XDG_STATE_HOME", self.path(state))
            .env_remove("VCLUSTER_NAME")
            .env_remove("VCLUSTER_FORMAT")
            .env_remove("VCLUSTER_FAULT")
            .stdin(Stdio::null())
            // Files, not pipes: what a killed command started may hold a pipe open.
            .stdout(output("stdout"))
            .stderr(output("stderr"));
        let mut limit = LIMIT;
        match kill {
            Kill::Never => {}
            Kill::Fault(fault) => {
                command.env("VCLUSTER_FAULT", fault);
            }
            Kill::After(time) => limit = time,
        }
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > limit {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let read =
            |name: &str| String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap()).into_owned();
        Ran {
            code: status.code(),
            killed: status.signal() == Some(9),
            took: began.elapsed(),
            stdout: read("stdout"),
            stderr: read("stderr"),
        }
    }

    /// The arguments of a verb.
    pub(crate) fn verb(name: &str) -> Vec<&str> {
        match name {
            "up" => vec!["up", "topology.yaml"],
            "down" => vec!["down", "topology.yaml", "-y"],
            other => vec![other, "topology.yaml"],
        }
    }

    /// Raises the cluster and says what is wrong with it then.
    pub(crate) fn raise(&mut self) -> (Ran, Option<String>) {
        let ran = self.run(&Self::verb("up"), Kill::Never);
        if ran.code != Some(0) {
            let fault = format!("up ended with {:?}: {}", ran.code, last(&ran.stderr));
            return (ran, Some(fault));
        }
        let fault = self.flaw();
        self.is_up = fault.is_none();
        (ran, fault)
    }

    /// What distinguishes the cluster from one that was raised from nothing.
    fn flaw(&mut self) -> Option<String> {
        let plan = self.run(&["plan", "topology.yaml", "--format", "json"], Kill::Never);
        let mut lines = plan
            .stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let actions = lines
            .find_map(|line: serde_json::Value| line["plan"]["actions"].as_array().cloned())
            .unwrap_or_default();
        if actions.len() != 2 || actions.iter().any(|action| action["kind"] != "keep") {
            return Some(format!("after up the plan is not to keep all: {actions:?}"));
        }
        let exec = self.run(
            &["exec", "-c", NAME, "-w", "@all", "--", "cat", "/root/configured"],
            Kill::Never,
        );
        let mut said: Vec<&str> = exec.stdout.lines().collect();
        said.sort_unstable();
        if exec.code != Some(0) || said != ["n001: done", "n002: done"] {
            return Some(format!(
                "not all nodes are configured: {} {}",
                exec.stdout,
                last(&exec.stderr)
            ));
        }
        let now = host::fingerprint();
        let whole = self.whole.get_or_insert_with(|| now.clone());
        (now != *whole).then(|| {
            let odd = |a: &str, b: &str| -> Vec<String> {
                a.lines()
                    .filter(|line| !b.lines().any(|other| other == *line))
                    .map(str::to_owned)
                    .collect()
            };
            format!(
                "the hosts differ from a fresh cluster: more {:?}, less {:?}",
                odd(&now, whole),
                odd(whole, &now)
            )
        })
    }

    /// `down` by the controller that was killed.
    pub(crate) fn remove(&mut self) -> (Ran, Option<String>) {
        let ran = self.run(&Self::verb("down"), Kill::Never);
        self.is_up = false;
        let nothing_known = ran.code == Some(2) && ran.stderr.contains("no cluster");
        if ran.code != Some(0) && !nothing_known {
            let fault = format!("down ended with {:?}: {}", ran.code, last(&ran.stderr));
            return (ran, Some(fault));
        }
        let fault = leaks().or_else(|| self.litter());
        (ran, fault)
    }

    /// `down` by another controller, which knows nothing; the first one burnt down.
    pub(crate) fn remove_from_elsewhere(&mut self) -> (Ran, Option<String>) {
        self.burn("state");
        let hosts = host::hosts().join(",");
        let ran = self.run_with(&["down", NAME, "--hosts", &hosts, "-y"], Kill::Never, "elsewhere");
        self.burn("elsewhere");
        self.is_up = false;
        if ran.code != Some(0) {
            let fault = format!(
                "down from elsewhere ended with {:?}: {}",
                ran.code,
                last(&ran.stderr)
            );
            return (ran, Some(fault));
        }
        let fault = leaks();
        (ran, fault)
    }

    /// Files that the controller keeps of a cluster that is gone.
    fn litter(&self) -> Option<String> {
        let dir = self.path("state/vcluster").join(NAME);
        let entries = std::fs::read_dir(&dir).ok()?;
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        // The results are the user's.
        let litter: Vec<_> = names.into_iter().filter(|name| name != "results").collect();
        (!litter.is_empty()).then(|| format!("the controller keeps {litter:?}"))
    }

    /// Makes sure that there is nothing.
    pub(crate) fn empty(&mut self) {
        self.burn("state");
        self.burn("elsewhere");
        self.is_up = false;
        if leaks().is_some() {
            host::wipe();
        }
        assert_eq!(leaks(), None, "the lab cannot be cleaned");
    }

    /// Leaves an empty lab.
    pub(crate) fn leave(&mut self) {
        if self.is_up {
            self.remove();
        }
        self.empty();
    }

    fn burn(&self, state: &str) {
        let path = self.path(state);
        if path.exists() {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
}

fn leaks() -> Option<String> {
    let mut leaks = host::leaks();
    // What a killed connection was running notices its end within a second or two.
    for _ in 0..8 {
        if leaks.is_empty() || !leaks.iter().all(|leak| leak.contains(": process ")) {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
        leaks = host::leaks();
    }
    (!leaks.is_empty()).then(|| format!("leaked: {}", leaks.join("; ")))
}

/// The last lines of what a command said.
fn last(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}
