//! Turns: what starts on many nodes of a machine that is short of CPU time starts on a few at a time. The nodes are
//! reached through a host that reports the load of a busy machine with one CPU.

use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::time::{sleep, timeout};
use vcluster::workload::Outcome;

use crate::cluster::Cluster;
use crate::server::{LIMIT, Server};

/// Twice as many nodes as have a turn at once.
const NODES: usize = 8;

/// The nodes that have a turn at once on a busy machine with one CPU.
const TURNS: usize = 4;

/// A command that takes a while, and writes its beginning and its end to a log.
fn logged(log: &str) -> String {
    format!("echo + >>DIR/{log}; sleep 2; echo - >>DIR/{log}")
}

/// How many ran at once at most, according to a log.
fn most_at_once(log: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in log.lines() {
        if line == "+" {
            now += 1;
            most = most.max(now);
        } else {
            now -= 1;
        }
    }
    most
}

/// Asserts how many ran at once: those that have a turn, or more.
#[track_caller]
fn ran_at_once(cluster: &Cluster, log: &str, in_turns: bool) {
    let text = cluster.read(log);
    assert_eq!(text.lines().filter(|line| *line == "+").count(), NODES, "{log}");
    let most = most_at_once(&text);
    assert!(
        if in_turns { most <= TURNS } else { most > TURNS },
        "{log}: {most} at once"
    );
}

async fn behind_a_busy_host(steps: &str) -> (Server, Cluster) {
    let host = Server::busy_host();
    let mut cluster = Cluster::new(NODES, steps);
    cluster.reconnect_through(&host).await;
    (host, cluster)
}

/// Makes every transfer of the nodes take a while, and write its beginning and its end to a log.
fn log_transfers(cluster: &Cluster, log: &str) {
    let log = cluster.path(log);
    let log = log.display();
    for server in &cluster.servers {
        server.replace(
            "tar",
            &format!("echo + >>{log}; tar \"$@\"; code=$?; sleep 2; echo - >>{log}; exit $code"),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configuration_steps_take_turns_unless_they_have_a_fan_out() {
    let (_host, cluster) = behind_a_busy_host(&format!(
        r#"
configure:
  - {{ name: turns, on: "@all", run: "{}" }}
  - {{ name: fanout, on: "@all", run: "{}", fanout: {NODES} }}
"#,
        logged("turns"),
        logged("fanout")
    ))
    .await;
    assert_eq!(cluster.configure(&cluster.names(), 0).await, []);
    ran_at_once(&cluster, "turns", true);
    ran_at_once(&cluster, "fanout", false);
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workload_steps_take_turns_and_after_a_barrier_only_the_transfers_do() {
    let (_host, cluster) = behind_a_busy_host(&format!(
        r#"
workload:
  - {{ name: turns, on: "@all", run: "{}" }}
  - {{ name: fanout, on: "@all", run: "{}", fanout: {NODES} }}
  - {{ name: barrier, on: "@all", run: "{}", barrier: true, collect: ["DIR/file"] }}
"#,
        logged("turns"),
        logged("fanout"),
        logged("barrier")
    ))
    .await;
    std::fs::write(cluster.path("file"), "text").unwrap();
    log_transfers(&cluster, "collect");
    let reports = cluster.run(&cluster.results()).await;
    let mut outcomes = reports.iter().flat_map(|report| &report.nodes);
    assert!(
        outcomes.all(|node| node.outcome == Outcome::Passed) && reports.len() == 3,
        "{reports:?}"
    );
    ran_at_once(&cluster, "turns", true);
    ran_at_once(&cluster, "fanout", false);
    ran_at_once(&cluster, "barrier", false);
    ran_at_once(&cluster, "collect", true);
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_of_push_take_turns_unless_it_has_a_fan_out() {
    let (_host, cluster) = behind_a_busy_host("").await;
    let file = cluster.path("file");
    std::fs::write(&file, "text").unwrap();
    log_transfers(&cluster, "turns");
    assert_eq!(cluster.push(&file, None).await, [""; 0]);
    ran_at_once(&cluster, "turns", true);
    log_transfers(&cluster, "fanout");
    assert_eq!(cluster.push(&file, Some(NODES)).await, [""; 0]);
    ran_at_once(&cluster, "fanout", false);
    for server in &cluster.servers {
        assert_eq!(
            std::fs::read_to_string(server.path("pushed/file")).unwrap(),
            "text"
        );
    }
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_a_turn_needs_no_other_one() {
    let (_host, cluster) = behind_a_busy_host("").await;
    let (nodes, names) = (&cluster.nodes, cluster.names());
    let mut turns = Vec::new();
    for name in &names[..TURNS] {
        turns.push(nodes.turn(name).await.unwrap());
    }
    // It does not even wait.
    assert!(nodes.turn(&names[0]).now_or_never().is_some());
    assert!(nodes.turn(&names[TURNS]).now_or_never().is_none());
    drop(turns);
    assert!(timeout(LIMIT, nodes.turn(&names[TURNS])).await.is_ok());
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_does_not_report_its_load_counts_as_busy_until_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let answers = directory.path().join("answers");
    // So long that the first question times out.
    let waits = format!(
        "$(for i in $(seq 300); do [ ! -e {} ] || break; sleep 0.1; done)",
        answers.display()
    );
    let host = Server::with_load(&format!("{waits}idle"), "0.10 0 0 1/1 1", "1");
    let command = "echo + >>DIR/began; until [ -e DIR/end ]; do sleep 0.1; done";
    let steps = format!("configure:\n  - {{ name: step, on: \"@all\", run: \"{command}\" }}\n");
    let mut cluster = Cluster::new(NODES, &steps);
    cluster.reconnect_through(&host).await;
    let until_begun = |count: usize| {
        let cluster = &cluster;
        async move {
            let began = Instant::now();
            while cluster.read("began").lines().count() < count {
                assert!(
                    began.elapsed() < Duration::from_secs(30),
                    "{}",
                    cluster.read("began")
                );
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let began = Instant::now();
    let look = async {
        until_begun(TURNS).await;
        sleep(Duration::from_millis(500)).await;
        // The first turns are over after 5 s. On a machine that needs so long for this, nothing can be seen.
        let is_early = began.elapsed() < Duration::from_secs(2);
        if is_early {
            assert_eq!(cluster.read("began").lines().count(), TURNS);
        }
        std::fs::write(&answers, "").unwrap();
        until_begun(NODES).await;
        assert!(
            !is_early || began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        std::fs::write(cluster.path("end"), "").unwrap();
    };
    let names = cluster.names();
    let (faults, ()) = tokio::join!(cluster.configure(&names, 0), look);
    assert_eq!(faults, []);
    cluster.nodes.close().await;
}
