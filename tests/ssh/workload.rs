//! Workloads on real SSH servers: results of each node, barriers, and runs whose controller was killed.

use std::fs;
use std::time::Duration;

use vcluster::workload::{Outcome, StepReport};

use crate::cluster::Cluster;
use crate::server::{asleep, wait_until_not_asleep};

fn outcomes(report: &StepReport) -> Vec<Outcome> {
    report.nodes.iter().map(|node| node.outcome.clone()).collect()
}

fn error(text: &str) -> Outcome {
    Outcome::Error { error: text.into() }
}

fn lines(text: &str) -> usize {
    text.lines().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_has_its_outcome_and_its_output_and_a_failed_step_is_the_last() {
    let cluster = Cluster::new(
        3,
        r#"
workload:
  - name: load
    on: "@all"
    run: "echo {{node.name}}; echo oops >&2; case {{node.name}} in n002) exit 3;; n003) kill -KILL $$;; esac"
  - { name: never, on: "@all", run: "touch DIR/never" }
"#,
    );
    let results = cluster.results();
    let reports = cluster.run(&results).await;
    assert_eq!(reports.len(), 1);
    let killed = Outcome::Killed {
        signal: "KILL".into(),
    };
    assert_eq!(
        outcomes(&reports[0]),
        [Outcome::Passed, Outcome::Failed { code: 3 }, killed]
    );
    for name in cluster.names() {
        let kept =
            |ending: &str| fs::read_to_string(results.path().join(format!("load/{name}.{ending}"))).unwrap();
        assert_eq!(
            (kept("out"), kept("err")),
            (format!("{name}\n"), "oops\n".to_owned())
        );
    }
    assert!(!cluster.path("never").exists());
    assert_eq!(cluster.ended_steps(), [("load".to_owned(), 1, 1, 2)]);
    cluster.nodes.close().await;
}

const BARRIER: &str = r#"
workload:
  - { name: together, on: "@all", run: "echo {{node.name}} >>DIR/started", barrier: true }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_barrier_nobody_starts_before_the_slowest_node_is_ready() {
    let cluster = Cluster::new(3, BARRIER);
    let late = &cluster.servers[2];
    late.suspend();
    let results = cluster.results();
    let wait = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(cluster.read("started"), "");
        late.resume();
    };
    let (reports, ()) = tokio::join!(cluster.run(&results), wait);
    assert_eq!(outcomes(&reports[0]), vec![Outcome::Passed; 3]);
    assert_eq!(lines(&cluster.read("started")), 3);
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_never_reaches_the_barrier_is_named_and_nobody_starts() {
    let mut cluster = Cluster::new(3, BARRIER);
    cluster.barrier_timeout = Duration::from_secs(2);
    cluster.servers[2].suspend();
    let reports = cluster.run(&cluster.results()).await;
    cluster.servers[2].resume();
    let not_started = error("not started: n003 did not become ready to start");
    let no_login = error("no login within the barrier timeout");
    assert_eq!(
        outcomes(&reports[0]),
        [not_started.clone(), not_started, no_login]
    );
    assert_eq!(cluster.read("started"), "");
    cluster.nodes.close().await;
}

const LONG: &str = r#"
workload:
  - name: long
    on: "@all"
    run: "echo {{node.name}} >>DIR/started; echo begun; until [ -e DIR/finish ]; do sleep 0.1; done; echo done"
"#;

/// Starts the workload, and abandons it once it runs on all nodes, as a killed controller would.
async fn abandon(cluster: &mut Cluster, results: &vcluster::workload::Results) {
    let count = cluster.names().len();
    let all_run = async {
        while lines(&cluster.read("started")) < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        reports = cluster.run(results) => panic!("it ended: {reports:?}"),
        () = all_run => {}
    }
    cluster.reconnect();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_run_is_resumed_with_all_its_output_and_an_ended_step_is_not_run_again() {
    let mut cluster = Cluster::new(3, LONG);
    let results = cluster.results();
    abandon(&mut cluster, &results).await;
    fs::write(cluster.path("finish"), "").unwrap();
    for _ in 0..2 {
        let reports = cluster.run(&results).await;
        assert_eq!(outcomes(&reports[0]), vec![Outcome::Passed; 3]);
        for name in cluster.names() {
            let output = fs::read_to_string(results.path().join(format!("long/{name}.out"))).unwrap();
            assert_eq!(output, "begun\ndone\n");
        }
        assert_eq!(lines(&cluster.read("started")), 3);
    }
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_ends_what_an_abandoned_run_left_and_reports_what_had_ended_before() {
    let mark = format!("48{}", std::process::id());
    let mut cluster = Cluster::new(
        2,
        &format!(
            r#"
workload:
  - {{ name: long, on: "@all", run: "echo {{{{node.name}}}} >>DIR/started; [ {{{{node.name}}}} = n001 ] || sleep {mark}" }}
  - {{ name: later, on: "@all", run: "touch DIR/later" }}
"#
        ),
    );
    let results = cluster.results();
    let ended = async {
        let journal = results.path().join("ended.jsonl");
        while fs::read_to_string(&journal).is_ok_and(|text| text.is_empty()) || !journal.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while !asleep(&mark) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        reports = cluster.run(&results) => panic!("it ended: {reports:?}"),
        () = ended => {}
    }
    cluster.reconnect();
    let reports = cluster.stop(&results).await;
    assert_eq!(outcomes(&reports[0]), [Outcome::Passed, error("stopped")]);
    assert_eq!(outcomes(&reports[1]), vec![error("not running"); 2]);
    wait_until_not_asleep(&mark).await;
    assert!(!cluster.path("later").exists());
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_collected_from_each_node_and_a_pattern_without_a_match_is_an_error() {
    let cluster = Cluster::new(
        2,
        r#"
workload:
  - { name: logs, on: "@all", run: "mkdir -p DIR/var; echo text >DIR/var/a.log", collect: ["DIR/var/*.log"] }
  - { name: none, on: n002, run: "true", collect: ["DIR/none/*.log"] }
"#,
    );
    let results = cluster.results();
    let reports = cluster.run(&results).await;
    assert_eq!(outcomes(&reports[0]), vec![Outcome::Passed; 2]);
    for name in cluster.names() {
        let kept = cluster.path("var/a.log");
        let kept = kept.strip_prefix("/").unwrap();
        let collected = results.path().join("logs").join(name.as_str()).join(kept);
        assert_eq!(fs::read_to_string(collected).unwrap(), "text\n");
    }
    let pattern = cluster.path("none/*.log");
    let missing = format!("failed to collect files: nothing matches {}", pattern.display());
    assert_eq!(outcomes(&reports[1]), [error(&missing)]);
    cluster.nodes.close().await;
}
