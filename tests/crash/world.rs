//! The cluster of all trials, and the commands on it.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::host;
use crate::list::Scene;

/// A command that takes longer has failed.
const LIMIT: Duration = Duration::from_mins(3);
const NAME: &str = "crash";
/// Covers NAT, two networks, an overlay, a further disk, files and commands on nodes, a barrier and collected files.
const TOPOLOGY: &str = r#"
name: crash
hosts:
  bm[01-02]: { uri: "qemu+ssh://root@{{name}}/system" }
network: { nat: true }
networks:
  storage: { subnet: 10.78.0.0/16 }
defaults: { disk: 64MiB, disks: [{ size: 32MiB }], networks: [cluster, storage] }
groups:
  n: { count: COUNT, place: spread }
configure:
  - { on: "@all", template: note.hbs, to: /etc/note }
  - { name: settle, on: "@all", run: "test -s /etc/note && echo done >/root/configured" }
workload:
  - { name: work, on: "@all", run: "hostname", barrier: true, collect: [/etc/note] }
"#;

/// The shape of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// Two nodes on two hosts.
    Two,
    /// One node on the first host.
    One,
}

impl Shape {
    /// The arguments that create it.
    pub(crate) fn up(self) -> &'static [&'static str] {
        match self {
            Self::Two => &["up", "topology.yaml"],
            Self::One => &["up", "smaller.yaml"],
        }
    }

    fn topology(self) -> &'static str {
        self.up()[1]
    }

    fn nodes(self) -> &'static [&'static str] {
        match self {
            Self::Two => &["n001", "n002"],
            Self::One => &["n001"],
        }
    }
}

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
    /// With this value of `VCLUSTER_FAULT`.
    Fault(&'a str),
    After(Duration),
}

/// The environment of all trials.
pub(crate) struct World {
    work: PathBuf,
    /// The shape of the cluster, if it is known to be up and complete.
    pub(crate) up: Option<Shape>,
    /// What the hosts hold after a fresh `up` without a kill.
    whole: HashMap<Shape, String>,
}

impl World {
    pub(crate) fn new(work: &Path) -> Self {
        std::fs::create_dir_all(work).unwrap();
        for shape in [Shape::Two, Shape::One] {
            let text = TOPOLOGY.replace("COUNT", &shape.nodes().len().to_string());
            std::fs::write(work.join(shape.topology()), text).unwrap();
        }
        std::fs::write(work.join("note.hbs"), "{{node.name}}\n").unwrap();
        let mut world = Self {
            work: work.to_owned(),
            up: None,
            whole: HashMap::new(),
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
            // Files, not pipes: children of a killed command may keep a pipe open.
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

    /// Runs `up` and returns what is wrong with the cluster then, if anything.
    pub(crate) fn raise(&mut self, shape: Shape) -> (Ran, Option<String>) {
        let ran = self.run(shape.up(), Kill::Never);
        if ran.code != Some(0) {
            let fault = format!("up exited with {:?}: {}", ran.code, last(&ran.stderr));
            return (ran, Some(fault));
        }
        let fault = self.flaw(shape);
        self.up = fault.is_none().then_some(shape);
        (ran, fault)
    }

    /// Continues a killed run, and returns what is wrong with it or left on the nodes, if anything.
    pub(crate) fn attach(&mut self) -> (Ran, Option<String>) {
        let ran = self.run(&["run", "topology.yaml", "--attach"], Kill::Never);
        // It was killed before it was recorded, or after its results were.
        let nothing = ran.code == Some(2) && ran.stderr.contains("no interrupted run");
        if ran.code != Some(0) && !nothing {
            let fault = format!("run --attach exited with {:?}: {}", ran.code, last(&ran.stderr));
            return (ran, Some(fault));
        }
        if !nothing && !ran.stdout.contains("step work: 2 of 2 nodes passed") {
            let fault = format!("run --attach printed {}", ran.stdout);
            return (ran, Some(fault));
        }
        if let Some(fault) = uncollected(&ran.stderr) {
            return (ran, Some(fault));
        }
        let look = "ls -A /run/vcluster/steps 2>/dev/null; true";
        let left = self.run(&["exec", "-c", NAME, "-w", "@all", "--", look], Kill::Never);
        if left.code != Some(0) || !left.stdout.is_empty() {
            let fault = format!("steps are left on nodes: {} {}", left.stdout, last(&left.stderr));
            return (ran, Some(fault));
        }
        self.up = Some(Shape::Two);
        (ran, None)
    }

    /// Records what the hosts hold after a fresh `up`, before the first kill.
    pub(crate) fn know(&mut self, shape: Shape) -> Option<String> {
        if self.whole.contains_key(&shape) {
            return None;
        }
        let (_, fault) = self.remove();
        fault.or_else(|| self.raise(shape).1)
    }

    /// The difference between the cluster and one from a fresh `up`.
    fn flaw(&mut self, shape: Shape) -> Option<String> {
        let plan = self.run(&["plan", shape.topology(), "--format", "json"], Kill::Never);
        let mut lines = plan
            .stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let actions = lines
            .find_map(|line: serde_json::Value| line["plan"]["actions"].as_array().cloned())
            .unwrap_or_default();
        if actions.len() != shape.nodes().len() || actions.iter().any(|action| action["kind"] != "keep") {
            return Some(format!("after up the plan does not keep all nodes: {actions:?}"));
        }
        let exec = self.run(
            &["exec", "-c", NAME, "-w", "@all", "--", "cat", "/root/configured"],
            Kill::Never,
        );
        let mut answers: Vec<&str> = exec.stdout.lines().collect();
        answers.sort_unstable();
        let wanted = shape.nodes().iter().map(|node| format!("{node}: done"));
        if exec.code != Some(0) || !answers.iter().copied().eq(wanted) {
            return Some(format!(
                "not all nodes are configured: {} {}",
                exec.stdout,
                last(&exec.stderr)
            ));
        }
        let now = host::fingerprint();
        let whole = self.whole.entry(shape).or_insert_with(|| now.clone());
        (now != *whole).then(|| {
            let odd = |a: &str, b: &str| -> Vec<String> {
                a.lines()
                    .filter(|line| !b.lines().any(|other| other == *line))
                    .map(str::to_owned)
                    .collect()
            };
            format!(
                "the hosts differ from a fresh cluster: added {:?}, missing {:?}",
                odd(&now, whole),
                odd(whole, &now)
            )
        })
    }

    /// `down` by the controller that was killed.
    pub(crate) fn remove(&mut self) -> (Ran, Option<String>) {
        self.remove_by(Scene::Down)
    }

    /// `down` or `gc`.
    pub(crate) fn remove_by(&mut self, scene: Scene) -> (Ran, Option<String>) {
        let ran = self.run(scene.args(), Kill::Never);
        self.up = None;
        let nothing_known = ran.code == Some(2) && ran.stderr.contains("no cluster");
        if ran.code != Some(0) && !nothing_known {
            let fault = format!(
                "{} exited with {:?}: {}",
                scene.title(),
                ran.code,
                last(&ran.stderr)
            );
            return (ran, Some(fault));
        }
        let fault = leaks().or_else(|| self.litter());
        (ran, fault)
    }

    /// Ends the lease of the running cluster; returns what went wrong, if anything.
    pub(crate) fn expire(&self) -> Option<String> {
        let end = SystemTime::now() + Duration::from_secs(3);
        let to = humantime::format_rfc3339_seconds(end).to_string();
        let ran = self.run(&["extend", "topology.yaml", "--to", &to], Kill::Never);
        if ran.code != Some(0) {
            return Some(format!(
                "extend exited with {:?}: {}",
                ran.code,
                last(&ran.stderr)
            ));
        }
        std::thread::sleep(end.duration_since(SystemTime::now()).unwrap_or_default());
        None
    }

    /// `down` by another controller without any state, as if the first one were lost.
    pub(crate) fn remove_from_elsewhere(&mut self) -> (Ran, Option<String>) {
        self.burn("state");
        let hosts = host::hosts().join(",");
        let ran = self.run_with(&["down", NAME, "--hosts", &hosts, "-y"], Kill::Never, "elsewhere");
        self.burn("elsewhere");
        self.up = None;
        if ran.code != Some(0) {
            let fault = format!(
                "down from elsewhere exited with {:?}: {}",
                ran.code,
                last(&ran.stderr)
            );
            return (ran, Some(fault));
        }
        let fault = leaks();
        (ran, fault)
    }

    /// Files that the controller keeps of a removed cluster.
    fn litter(&self) -> Option<String> {
        let dir = self.path("state/vcluster").join(NAME);
        let entries = std::fs::read_dir(&dir).ok()?;
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        // Results belong to the user.
        let litter: Vec<_> = names.into_iter().filter(|name| name != "results").collect();
        (!litter.is_empty()).then(|| format!("the controller keeps {litter:?}"))
    }

    /// Ensures that hosts and state are empty.
    pub(crate) fn empty(&mut self) {
        self.burn("state");
        self.burn("elsewhere");
        self.up = None;
        if leaks().is_some() {
            host::wipe();
        }
        assert_eq!(leaks(), None, "the lab cannot be cleaned");
    }

    /// Leaves an empty lab.
    pub(crate) fn leave(&mut self) {
        if self.up.is_some() {
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

/// What is wrong with the files that a run collected, if anything. Its results are named on standard error.
fn uncollected(stderr: &str) -> Option<String> {
    for results in stderr.lines().filter_map(|line| line.strip_prefix("results: ")) {
        for node in Shape::Two.nodes() {
            let path = Path::new(results).join("work").join(node).join("etc/note");
            if std::fs::read_to_string(&path).unwrap_or_default() != format!("{node}\n") {
                return Some(format!("{} was not collected", path.display()));
            }
        }
    }
    None
}

fn leaks() -> Option<String> {
    let mut leaks = host::leaks();
    // Processes of a killed connection end within a second or two.
    for _ in 0..8 {
        if leaks.is_empty() || !leaks.iter().all(|leak| leak.contains(": process ")) {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
        leaks = host::leaks();
    }
    (!leaks.is_empty()).then(|| format!("leaked: {}", leaks.join("; ")))
}

/// The last lines of a command's output.
fn last(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}
