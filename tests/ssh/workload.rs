//! Workloads on real SSH servers: results of each node, barriers, and runs whose controller was killed.

use std::fs;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vcluster::workload::{Outcome, Results, StepReport};

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
async fn abandon(cluster: &mut Cluster, results: &Results) {
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
async fn output_that_is_lost_leaves_a_hole_so_that_the_rest_is_at_its_place() {
    let mut cluster = Cluster::new(
        1,
        r#"
workload:
  - name: long
    on: "@all"
    run: "yes 0123456 | head -c 800000; until [ -e DIR/finish ]; do sleep 0.1; done; echo done"
"#,
    );
    let results = cluster.results();
    let path = results.path().join("long/n001.out");
    let arrived = async {
        while fs::metadata(&path).map_or(0, |data| data.len()) < 800_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The node discards what was confirmed.
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    tokio::select! {
        reports = cluster.run(&results) => panic!("it ended: {reports:?}"),
        () = arrived => {}
    }
    cluster.reconnect();
    // As after a crash of the machine: not all that was written is on the disk.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1_001).unwrap();
    fs::write(cluster.path("finish"), "").unwrap();
    let reports = cluster.run(&results).await;
    let node = &reports[0].nodes[0];
    assert_eq!((&node.outcome, node.bytes), (&Outcome::Passed, 800_005));
    let output = fs::read(&path).unwrap();
    let lost = usize::try_from(node.lost).unwrap();
    assert!(lost > 0 && output.len() == 800_005, "{lost} of {}", output.len());
    let zeros = output.split(|byte| *byte == 0).count() - 1;
    assert_eq!(zeros, lost);
    assert!(output[1_001..1_001 + lost].iter().all(|byte| *byte == 0));
    assert!(output.ends_with(b"0123456\ndone\n"));
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
async fn files_are_collected_from_each_node_and_what_cannot_be_collected_costs_no_other_file_or_step() {
    let cluster = Cluster::new(
        2,
        r#"
workload:
  - { name: logs, on: "@all", run: "mkdir -p DIR/var; echo text >DIR/var/a.log", collect: ["DIR/var/*.log"] }
  - { name: none, on: n002, run: "true", collect: ["DIR/none/*.log", "DIR/pipe", "DIR/var"] }
  - { name: later, on: n002, run: "true" }
"#,
    );
    let results = cluster.results();
    nix::unistd::mkfifo(&cluster.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reports = cluster.run(&results).await;
    assert_eq!(outcomes(&reports[0]), vec![Outcome::Passed; 2]);
    for name in cluster.names() {
        let kept = cluster.path("var/a.log");
        let kept = kept.strip_prefix("/").unwrap();
        let collected = results.path().join("logs").join(name.as_str()).join(kept);
        assert_eq!(fs::read_to_string(collected).unwrap(), "text\n");
    }
    let pattern = cluster.path("none/*.log");
    let node = &reports[1].nodes[0];
    assert_eq!(node.outcome, Outcome::Passed);
    let missing = format!("nothing matches {}", pattern.display());
    assert_eq!(node.uncollected, [missing.as_str(), "pipe (a named pipe)"]);
    // Where nothing matches, nothing is missing.
    let unfetched: Vec<&str> = node
        .unfetched
        .iter()
        .map(|unfetched| unfetched.pattern.as_str())
        .collect();
    assert_eq!(unfetched, [cluster.path("pipe").to_str().unwrap()]);
    let kept = cluster.path("var/a.log");
    let collected = results
        .path()
        .join("none/n002")
        .join(kept.strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(collected).unwrap(), "text\n");
    assert_eq!((reports[1].uncollected().len(), reports.len()), (1, 3));
    // A run that is resumed still reports it.
    let again = cluster.run(&results).await;
    assert_eq!(again[1].nodes[0].uncollected, node.uncollected);
    assert_eq!(again[1].nodes[0].unfetched, node.unfetched);
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_a_killed_command_did_not_collect_are_collected_once_by_the_next() {
    let cluster = Cluster::new(
        2,
        r#"
workload:
  - { name: logs, on: "@all", run: "mkdir -p DIR/var; echo text >DIR/var/a.log", collect: ["DIR/var/*.log"] }
"#,
    );
    let results = cluster.results();
    cluster.run(&results).await;
    // As if it had been killed between the end of the step and that of the collection; older versions wrote no more.
    let journal = results.path().join("ended.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let ended: Vec<&str> = text.lines().filter(|line| !line.contains("collected")).collect();
    assert_eq!((ended.len(), lines(&text)), (2, 4), "{text}");
    fs::write(&journal, format!("{}\n", ended.join("\n"))).unwrap();
    let kept = cluster.path("var/a.log");
    let kept = kept.strip_prefix("/").unwrap();
    let collected = |name: &str| results.path().join("logs").join(name).join(kept).exists();
    for again in [true, false] {
        for name in ["n001", "n002"] {
            fs::remove_dir_all(results.path().join("logs").join(name)).unwrap();
        }
        let reports = cluster.run(&results).await;
        assert_eq!(outcomes(&reports[0]), vec![Outcome::Passed; 2]);
        assert_eq!([collected("n001"), collected("n002")], [again; 2]);
        for name in ["n001", "n002"] {
            fs::create_dir_all(results.path().join("logs").join(name)).unwrap();
        }
    }
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_ends_a_collection_and_its_files_count_as_missing() {
    let cluster = Cluster::new(
        1,
        r#"
workload:
  - { name: bulk, on: "@all", run: "truncate -s 7G DIR/bulk", collect: ["DIR/bulk"] }
"#,
    );
    let results = cluster.results();
    let interrupt = async {
        let target = results.path().join("bulk").join("n001");
        while !target.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cluster.cancel.cancel();
    };
    let (reports, ()) = tokio::join!(cluster.run(&results), interrupt);
    assert_eq!(outcomes(&reports[0]), [Outcome::Passed]);
    assert_eq!(reports[0].nodes[0].uncollected, ["interrupted"]);
    assert_eq!(reports[0].nodes[0].unfetched[0].why, "interrupted");
    assert!(!reports[0].nodes[0].unconfirmed);
    let journal = fs::read_to_string(results.path().join("ended.jsonl")).unwrap();
    assert_eq!(lines(&journal), 1, "{journal}");
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_timed_out_is_not_run_again() {
    let mark = format!("49{}", std::process::id());
    let mut cluster = Cluster::new(
        2,
        &format!(
            r#"
workload:
  - {{ name: late, on: "@all", run: "echo {{{{node.name}}}} >>DIR/started; sleep {mark}", timeout: 2s }}
"#
        ),
    );
    let results = cluster.results();
    for _ in 0..2 {
        let reports = cluster.run(&results).await;
        for outcome in outcomes(&reports[0]) {
            match outcome {
                Outcome::TimedOut { doing: Some(doing) } => assert!(doing.contains(&mark), "{doing}"),
                other => panic!("{other:?}"),
            }
        }
        assert!(reports[0].nodes.iter().all(|node| !node.unconfirmed));
        assert_eq!(lines(&cluster.read("started")), 2);
        wait_until_not_asleep(&mark).await;
        cluster.reconnect();
    }
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_gone_from_a_barrier_does_not_end_the_steps_that_passed_it() {
    let steps = LONG.replace("on: \"@all\"", "on: \"@all\"\n    barrier: true");
    let mut cluster = Cluster::new(2, &steps);
    let results = cluster.results();
    abandon(&mut cluster, &results).await;
    cluster.barrier_timeout = Duration::from_secs(2);
    cluster.servers[1].suspend();
    let finish = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        fs::write(cluster.path("finish"), "").unwrap();
    };
    let (reports, ()) = tokio::join!(cluster.run(&results), finish);
    cluster.servers[1].resume();
    let no_login = error("no login within the barrier timeout");
    assert_eq!(outcomes(&reports[0]), [Outcome::Passed, no_login]);
    // The run must stay open for it.
    let unconfirmed: Vec<bool> = reports[0].nodes.iter().map(|node| node.unconfirmed).collect();
    assert_eq!(unconfirmed, [false, true]);
    cluster.reconnect();
    let reports = cluster.run(&results).await;
    assert_eq!(outcomes(&reports[0]), vec![Outcome::Passed; 2]);
    assert_eq!(lines(&cluster.read("started")), 2);
    cluster.nodes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_without_an_answer_is_unconfirmed_and_what_was_stopped_is_not_started_again() {
    let mark = format!("50{}", std::process::id());
    let mut cluster = Cluster::new(
        2,
        &format!(
            r#"
workload:
  - {{ name: long, on: "@all", run: "echo {{{{node.name}}}} >>DIR/started; sleep {mark}" }}
"#
        ),
    );
    let results = cluster.results();
    abandon(&mut cluster, &results).await;
    cluster.servers[1].suspend();
    let interrupt = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cluster.cancel.cancel();
    };
    let (reports, ()) = tokio::join!(cluster.stop(&results), interrupt);
    assert_eq!(outcomes(&reports[0]), [error("stopped"), error("interrupted")]);
    assert!(!reports[0].nodes[0].unconfirmed && reports[0].nodes[1].unconfirmed);
    assert!(asleep(&mark));
    cluster.servers[1].resume();
    cluster.reconnect();
    cluster.cancel = CancellationToken::new();
    let reports = cluster.stop(&results).await;
    assert_eq!(outcomes(&reports[0]), vec![error("stopped"); 2]);
    assert!(reports[0].nodes.iter().all(|node| !node.unconfirmed));
    wait_until_not_asleep(&mark).await;
    // What was stopped is not started again.
    let reports = cluster.run(&results).await;
    assert_eq!(outcomes(&reports[0]), vec![error("stopped"); 2]);
    assert_eq!(lines(&cluster.read("started")), 2);
    cluster.nodes.close().await;
}
