use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::super::interrupted::interrupted_runs;
use super::super::results::Outcome;
use super::*;
use crate::supervise::{Link, Measured};

fn line(step: &str, node: &NodeName) -> Line {
    Line {
        step: step.into(),
        collected: false,
        result: NodeResult {
            node: node.clone(),
            outcome: Outcome::TimedOut {
                doing: Some("sleeps".into()),
            },
            took: Duration::from_millis(1500),
            bytes: 3,
            lost: 0,
            cut: 0,
            measured: Some(Measured {
                cpu_seconds: 1.25,
                memory_bytes: 4096,
                links: BTreeMap::from([("eth0".to_owned(), Link::default())]),
                ..Measured::default()
            }),
            uncollected: Vec::new(),
            unfetched: Vec::new(),
            notes: Vec::new(),
            unconfirmed: false,
        },
    }
}

#[test]
fn a_later_line_replaces_an_earlier_one_and_older_journals_can_be_read() {
    let temp = tempfile::tempdir().unwrap();
    let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
    let node: NodeName = "n001".parse().unwrap();
    let old = r#"{"step":"old","node":"n001","outcome":"passed","took":1.5,"bytes":3}"#;
    fs::write(results.path().join("ended.jsonl"), format!("{old}\n")).unwrap();
    let mut line = line("load", &node);
    let journal = Journal::open(&results).unwrap();
    journal.write(&line).unwrap();
    line.collected = true;
    line.result.uncollected = vec!["nothing matches /x".into()];
    journal.write(&line).unwrap();
    let journal = Journal::open(&results).unwrap();
    assert_eq!(journal.ended("load", &node), Some(&line.result));
    assert_eq!(journal.ended("old", &node).unwrap().outcome, Outcome::Passed);
    assert!(journal.collected("load", &node) && !journal.collected("old", &node));
}

#[test]
fn a_run_stays_open_for_nodes_that_confirmed_no_end_and_for_steps_that_were_not_reached() {
    let temp = tempfile::tempdir().unwrap();
    let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
    let nodes: Vec<NodeName> = ["n001", "n002", "n003"].map(|name| name.parse().unwrap()).into();
    let step = |name: &str| WorkloadStep {
        name: name.into(),
        on: nodes.clone(),
        run: "true".into(),
        timeout: Duration::from_secs(1),
        barrier: false,
        fanout: None,
        collect: Vec::new(),
        metrics: Vec::new(),
        watch: Vec::new(),
        at: None,
    };
    let steps = [step("first"), step("second"), step("never")];
    let journal = Journal::open(&results).unwrap();
    for node in &nodes[..2] {
        let file = results.step("second").unwrap().join(format!("{node}.out"));
        fs::write(file, "").unwrap();
    }
    journal.write(&line("second", &nodes[0])).unwrap();
    let journal = Journal::open(&results).unwrap();
    let mut report = StepReport {
        step: "first".into(),
        nodes: nodes.iter().map(|node| line("first", node).result).collect(),
    };
    let unconfirmed = |reports: &[StepReport]| -> Vec<String> {
        let found = journal.unconfirmed(&results, &steps, reports);
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(unconfirmed(std::slice::from_ref(&report)), ["n002"]);
    report.nodes[2].unconfirmed = true;
    let mut reports = vec![report];
    assert_eq!(unconfirmed(&reports), ["n002", "n003"]);
    reports[0].nodes[2].unconfirmed = false;
    reports.push(StepReport {
        step: "second".into(),
        nodes: nodes.iter().map(|node| line("second", node).result).collect(),
    });
    assert_eq!(unconfirmed(&reports), Vec::<String>::new());
}

#[test]
fn an_interrupted_run_is_found_with_its_ended_steps_and_a_torn_line_is_left_out() {
    let temp = tempfile::tempdir().unwrap();
    let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
    let cluster = Uuid::from_u128(7);
    let running = Record::new(cluster, Vec::new()).begin(&results).unwrap();
    let node: NodeName = "n001".parse().unwrap();
    let line = line("load", &node);
    Journal::open(&results).unwrap().write(&line).unwrap();
    appended(&results.path().join("ended.jsonl"))
        .unwrap()
        .write_all(b"{\"step\":\"lo")
        .unwrap();
    for _ in 0..2 {
        let journal = Journal::open(&results).unwrap();
        assert_eq!(journal.ended("load", &node), Some(&line.result));
        assert_eq!(journal.ended("other", &node), None);
        assert!(!journal.collected("load", &node));
    }
    assert_eq!(
        interrupted_runs(temp.path(), cluster).len(),
        0,
        "its process is alive"
    );
    drop(running);
    assert_eq!(interrupted_runs(temp.path(), cluster).len(), 1);
    assert_eq!(interrupted_runs(temp.path(), Uuid::from_u128(8)).len(), 0);
    results.write("demo", &[]).unwrap();
    assert_eq!(interrupted_runs(temp.path(), cluster).len(), 0);
}

#[test]
fn a_record_of_a_later_version_or_with_unknown_fields_is_refused() {
    let mut record = Record::new(Uuid::from_u128(7), Vec::new());
    let text = |record: &Record| serde_json::to_string(record).unwrap();
    assert!(Record::parse(text(&record).as_bytes()).is_ok());
    let unknown = text(&record).replacen('{', r#"{"colour":1,"#, 1);
    let error = Record::parse(unknown.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("unknown field `colour`"), "{error}");
    record.version = 3;
    let error = Record::parse(text(&record).as_bytes()).unwrap_err();
    assert!(error.to_string().contains("it has version 3"), "{error}");
}

#[test]
fn a_verdict_has_the_same_name_in_json_and_in_text() {
    for verdict in [
        Verdict::Passed,
        Verdict::CriteriaFailed,
        Verdict::WorkloadFailed,
        Verdict::Interrupted,
        Verdict::Aborted,
    ] {
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(json, format!("\"{}\"", verdict.as_str()));
    }
}
