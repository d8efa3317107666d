//! What a node measures during a step, on OpenSSH and on Dropbear with busybox.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use tokio::time::sleep;
use vcluster::supervise::{self, End, Ended, Kind, Step, Watched};
use vcluster::workload::{Outcome, measured_samples};

use crate::cluster::Cluster;
use crate::server::Server;
use crate::supervise::{Kept, follow, leave, nodes, step};

/// For a shell: uses 0.4 s of CPU time, then prints how much it has used.
const BURN: &str = "while read -r a b c d e f g h i j k l m used rest <\"/proc/$$/stat\" && [ \"$used\" -lt 40 ]; do \
                    n=0; while [ $n -lt 20000 ]; do n=$((n + 1)); done; done; times";

/// A copy of the shell, whose processes have a name that no others on this machine have.
fn own_shell(server: &Server) -> (String, String) {
    let name = format!("burn{}", server.port);
    let path = server.path(&name);
    fs::copy("/bin/sh", &path).unwrap();
    (name, path.display().to_string())
}

fn watching(names: &[&str], command: &str) -> Step {
    Step {
        watch: names.iter().map(|name| (*name).to_owned()).collect(),
        ..step(command)
    }
}

/// The seconds that `times` has printed for the shell itself: `0m0.410000s 0m0.010000s`.
fn printed(output: &[u8]) -> f64 {
    let text = String::from_utf8_lossy(output);
    let seconds = |word: &str| -> f64 {
        let (minutes, seconds) = word.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    text.lines().next().unwrap().split(' ').map(seconds).sum()
}

/// Asserts that the command of a step, a shell of this name that burned, was measured as it measured itself.
fn assert_burned(end: &End, name: &str, output: &[u8]) {
    assert_eq!(end.ended, Ended::Exit(0));
    let measured = end.measured.as_ref().unwrap();
    let used = measured.watched[name];
    let printed = printed(output);
    assert!(printed >= 0.3, "{printed}");
    assert!(
        (used.cpu_seconds - printed).abs() <= 0.1,
        "{printed} in {measured:?}"
    );
    assert!(used.cpu_seconds <= end.took.as_secs_f64() + 0.2, "{end:?}");
    assert_eq!(used.processes, 1);
    assert!(measured.cpu_seconds >= used.cpu_seconds - 0.2, "{measured:?}");
    assert!(
        measured.memory_bytes > 0 && !measured.links.contains_key("lo"),
        "{measured:?}"
    );
}

async fn of_the_step(server: Server) {
    let all = nodes(&server);
    let (name, shell) = own_shell(&server);
    let burns = watching(&[&name, "absent"], &format!("exec {shell} -c '{BURN}'"));
    let mut kept = Kept::default();
    let end = follow(&all, &burns, &mut kept).await.unwrap();
    assert_burned(&end, &name, &kept.stdout);
    let measured = end.measured.unwrap();
    // From its scans, of which a process that starts later may see none.
    assert!(measured.watched[&name].rss_bytes > 0, "{measured:?}");
    assert_eq!(measured.watched["absent"], Watched::default());
    assert_eq!((measured.watched.len(), measured.left_out), (2, 0));

    // Two that the step waits for.
    let two = format!("{shell} -c '{BURN}' & {shell} -c '{BURN}' & wait");
    let two = watching(&[&name], &two);
    let end = follow(&all, &two, &mut Kept::default()).await.unwrap();
    let used = end.measured.unwrap().watched[&name];
    assert_eq!(used.processes, 2);
    assert!(used.cpu_seconds > 0.0 && used.cpu_seconds < 1.2, "{used:?}");

    // Without a watch.
    let burns = step(&format!("{shell} -c '{BURN}'"));
    let end = follow(&all, &burns, &mut Kept::default()).await.unwrap();
    let measured = end.measured.unwrap();
    assert!(
        measured.cpu_seconds >= 0.2 && measured.memory_bytes > 0,
        "{measured:?}"
    );
    assert!(measured.watched.is_empty());
    all.close().await;
}

/// A process that does not belong to any step.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    /// CPU time in seconds.
    fn used(&self) -> f64 {
        let stat = fs::read_to_string(Path::new("/proc").join(self.0.id().to_string()).join("stat")).unwrap();
        let words: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u32 = words[11].parse::<u32>().unwrap() + words[12].parse::<u32>().unwrap();
        f64::from(ticks) / 100.0
    }
}

async fn of_a_daemon(server: Server) {
    let all = nodes(&server);
    let (name, shell) = own_shell(&server);
    let mut command = Command::new(shell);
    let daemon = Daemon(command.args(["-c", "while :; do :; done"]).spawn().unwrap());
    while daemon.used() < 0.5 {
        sleep(Duration::from_millis(50)).await;
    }
    let before = daemon.used();
    let end = follow(&all, &watching(&[&name], "sleep 2"), &mut Kept::default()).await;
    let most = daemon.used() - before;
    let used = end.unwrap().measured.unwrap().watched[&name];
    assert!(
        used.cpu_seconds > 0.0 && used.cpu_seconds <= most + 0.1,
        "{used:?}, at most {most}"
    );
    assert!(used.rss_bytes > 0 && used.processes == 1, "{used:?}");
    all.close().await;
}

/// What was measured is kept until a controller has it.
async fn after_a_lost_connection(server: Server) {
    let first = nodes(&server);
    let (name, shell) = own_shell(&server);
    let seen = server.path("seen");
    let command = format!("touch {}; sleep 2; exec {shell} -c '{BURN}'", seen.display());
    let burns = watching(&[&name], &command);
    leave(&first, &burns, &mut Kept::default(), "its start", || {
        seen.exists()
    })
    .await;
    first.close().await;
    sleep(Duration::from_secs(4)).await;
    let second = nodes(&server);
    let mut kept = Kept::default();
    let end = follow(&second, &burns, &mut kept).await.unwrap();
    assert_burned(&end, &name, &kept.stdout);
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_of_a_step_are_measured_on_openssh() {
    of_the_step(Server::openssh("")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_of_a_step_are_measured_on_dropbear() {
    of_the_step(Server::dropbear()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_daemon_used_before_a_step_does_not_count_on_openssh() {
    of_a_daemon(Server::openssh("")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_daemon_used_before_a_step_does_not_count_on_dropbear() {
    of_a_daemon(Server::dropbear()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_measured_without_a_controller_is_kept_on_openssh() {
    after_a_lost_connection(Server::openssh("")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_measured_without_a_controller_is_kept_on_dropbear() {
    after_a_lost_connection(Server::dropbear()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configuration_is_not_measured() {
    // With steps of its own: one of configuration ends all others on its node.
    let server = Server::nodes(1).remove(0);
    let all = nodes(&server);
    let configures = Step {
        kind: Kind::Configure,
        id: supervise::id(Kind::Configure, &["measured"]),
        ..step("true")
    };
    let end = follow(&all, &configures, &mut Kept::default()).await.unwrap();
    assert_eq!((end.ended, end.measured), (Ended::Exit(0), None));
    all.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_measured_is_stored_and_becomes_samples() {
    let name = format!("burn{}", std::process::id());
    let mut cluster = Cluster::new(
        1,
        &format!(
            "workload:\n  - {{ name: load, on: \"@all\", run: \"exec DIR/{name} -c 'exit 3'\" }}\n\
             \x20 - {{ name: never, on: \"@all\", run: \"true\" }}\n"
        ),
    );
    fs::copy("/bin/sh", cluster.path(&name)).unwrap();
    cluster.topology.workload[0].watch = vec![name.clone(), "absent".into()];
    let results = cluster.results();
    let first = cluster.run(&results).await;
    assert_eq!(first[0].nodes[0].outcome, Outcome::Failed { code: 3 });
    // From the journal.
    cluster.reconnect();
    let again = cluster.run(&results).await;
    let measured = again[0].nodes[0].measured.clone().unwrap();
    assert_eq!(Some(&measured), first[0].nodes[0].measured.as_ref());
    assert_eq!(measured.watched[&name].processes, 1);
    let samples = measured_samples(&again[0]);
    let values = |metric: &str| -> Vec<String> {
        let found = samples.iter().filter(|sample| sample.metric.as_str() == metric);
        found.map(|sample| sample.value.to_string()).collect()
    };
    assert_eq!(values("step.load.exit_code"), ["3"]);
    assert_eq!(values("step.load.seconds").len(), 1);
    assert_eq!(values("node.cpu_seconds"), [measured.cpu_seconds.to_string()]);
    assert_eq!(values(&format!("watch.{name}.processes")), ["1"]);
    assert_eq!(values(&format!("watch.{name}.cpu_seconds")).len(), 1);
    assert_eq!(values("watch.absent.processes"), ["0"]);
    assert!(values("watch.absent.cpu_seconds").is_empty());
    cluster.nodes.close().await;
}
