//! Metrics and criteria of a run: what passes, what fails and names its nodes, and what ends a run early.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{Ran, World, json};

const NODES: &str = "groups:\n  n: { count: 2, place: spread }\n";

/// Every kind of source. The second node is slower.
const WORKLOAD: &str = r#"
vars: { rev: new }
workload:
  - name: measure
    on: "@n"
    run: |
      case {{node.name}} in n001) t=1;; *) t=3;; esac
      echo "joined in $t s"
      echo "{\"clat\": {\"p99\": $t}}" >/tmp/fio.json
      printf '# TYPE requests counter\nrequests_total{path="/"} 7\n' >/tmp/app.prom
      echo '{"metric": "wait", "value": 20, "unit": "ms"}' >/tmp/ev.jsonl
    metrics:
      join_seconds: { from: stdout, regex: 'joined in ([0-9.]+) s', unit: s, better: lower }
      p99: { from: /tmp/fio.json, json: /clat/p99, unit: ms }
      app: { from: /tmp/app.prom, format: openmetrics }
      ev: { from: /tmp/ev.jsonl, format: jsonl }
    watch: [dropbear]
"#;

fn topology(world: &World, workload: &str, criteria: &str) {
    world.topology("bm[01-02]", &format!("{NODES}{workload}criteria:\n{criteria}"));
}

/// The only run below a directory.
fn only_run(results: &Path) -> PathBuf {
    let runs: Vec<PathBuf> = std::fs::read_dir(results)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("run.json").exists())
        .collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

/// Runs the workload with results of its own.
fn run(world: &World, name: &str, more: &[&str]) -> (Ran, PathBuf) {
    let results = world.path(name);
    let args = ["run", "--results", results.to_str().unwrap()];
    let ran = world.run(&[&args[..], more].concat());
    (ran, only_run(&results))
}

fn read(run: &Path, file: &str) -> Value {
    json(&std::fs::read_to_string(run.join(file)).unwrap())
}

/// The judgement of each criterion, by its metric and text.
fn judgements(run: &Path) -> Vec<(String, String)> {
    let criteria = read(run, "criteria.json");
    let findings = criteria["findings"].as_array().unwrap().clone();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings
        .iter()
        .map(|finding| {
            let name = format!("{} {}", text(finding, "metric"), text(finding, "text"));
            (name, text(finding, "judgement"))
        })
        .collect()
}

#[test]
fn criteria_pass_fail_with_their_nodes_or_end_a_run_early() {
    let world = World::new();
    topology(&world, WORKLOAD, "  join_seconds: [\"max < 5s\"]\n");
    world.run(&["up", "topology.yaml"]).code(0);
    criteria_of_all_sources_hold(&world);
    a_tight_bound_fails_and_names_the_node(&world);
    a_metric_without_samples_fails(&world);
    a_criterion_ends_a_long_step_early(&world);
    a_value_at_the_end_of_a_step_ends_the_run_before_the_next_one(&world);
    steps_that_were_not_chosen_are_not_judged(&world);
    world.run(&["down", "topology.yaml", "-y"]).code(0);
}

fn criteria_of_all_sources_hold(world: &World) {
    let criteria = r#"  join_seconds: ["max < 5s", "count == 2", "growth <= n log n"]
  p99: ["median <= 2000us"]
  app.requests_total: ["sum == 14"]
  ev.wait: ["max < 1s"]
  step.measure.seconds: ["max < 5m"]
  step.measure.exit_code: ["max == 0"]
  watch.dropbear.processes: ["min >= 1"]
  vcluster.up.cpu_seconds: ["max > 0", "count == 1"]
  vcluster.run.memory_bytes: ["min > 1MiB", "max < 1GiB"]
  node.received_bytes: [{ is: "sum < 0", severity: warn }]
"#;
    topology(world, WORKLOAD, criteria);
    let junit = world.path("criteria.xml");
    let more = ["--junit", junit.to_str().unwrap(), "--label", "ci/job=7"];
    let (ran, run) = run(world, "passing", &more);
    let ran = ran.code(0);
    assert!(ran.stdout.contains("join_seconds max < 5s"), "{}", ran.stdout);
    assert!(ran.stdout.contains("failed (warning)"), "{}", ran.stdout);
    let found = judgements(&run);
    assert_eq!(found.len(), 14, "{found:?}");
    for (name, judgement) in found {
        let wanted = match name.as_str() {
            "join_seconds growth <= n log n" => "not_applicable",
            "node.received_bytes sum < 0" => "failed",
            _ => "passed",
        };
        assert_eq!(judgement, wanted, "{name}");
    }
    let record = read(&run, "run.json");
    assert_eq!(record["verdict"], "passed");
    assert_eq!(record["labels"]["ci/job"], "7");
    assert_eq!(record["sizes"]["n"], 2);
    let assumptions = record["assumptions"].as_object().unwrap();
    assert_eq!(assumptions["vars.rev"], "new");
    assert_eq!(assumptions["nodes"], "2");
    for name in [
        "topology",
        "placement",
        "host.bm01.kernel",
        "host.bm01.cpu",
        "host.bm02.qemu",
    ] {
        assert!(assumptions.contains_key(name), "{name}: {assumptions:?}");
    }
    let accel = assumptions["host.bm01.accel"].as_str().unwrap();
    assert!(["kvm", "tcg"].contains(&accel), "{accel}");
    let samples = std::fs::read_to_string(run.join("samples.jsonl")).unwrap();
    let joined: Vec<Value> = samples
        .lines()
        .map(json)
        .filter(|sample| sample["metric"] == "join_seconds")
        .collect();
    assert_eq!(joined.len(), 2, "{samples}");
    assert_eq!(
        (&joined[0]["value"], &joined[0]["node"]),
        (&1.0.into(), &"n001".into())
    );
    let events = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    assert!(
        events.starts_with(r#"{"version":1,"type":"vcluster""#),
        "{events}"
    );
    assert!(
        events.contains(r#""event":"step_node","name":"measure","node":"n002""#),
        "{events}"
    );
    assert!(read(&run, "plan.json")["nodes"].as_array().unwrap().len() == 2);
    let text = std::fs::read_to_string(run.join("topology.yaml")).unwrap();
    assert_eq!(
        text,
        std::fs::read_to_string(world.path("topology.yaml")).unwrap()
    );
    let stored = std::fs::read_to_string(run.join("junit.xml")).unwrap();
    assert_eq!(stored, std::fs::read_to_string(junit).unwrap());
    assert!(
        stored.contains("<testsuite name=\"criteria\" tests=\"14\" skipped=\"1\""),
        "{stored}"
    );
}

fn a_tight_bound_fails_and_names_the_node(world: &World) {
    topology(world, WORKLOAD, "  join_seconds: [\"max < 2s\", \"min < 2s\"]\n");
    let (ran, run) = run(world, "failing", &["--format", "json"]);
    let ran = ran.code(6);
    let line = ran
        .stdout
        .lines()
        .rfind(|line| line.contains(r#""type":"run""#))
        .unwrap();
    let line = json(line);
    assert_eq!(line["verdict"], "criteria_failed");
    let failed = &line["criteria"][0];
    assert_eq!(
        (&failed["judgement"], &failed["value"]),
        (&"failed".into(), &3.0.into())
    );
    assert_eq!(failed["nodes"], serde_json::json!(["n002"]));
    assert_eq!(line["criteria"][1]["judgement"], "passed");
    assert_eq!(read(&run, "run.json")["verdict"], "criteria_failed");
    let junit = std::fs::read_to_string(run.join("junit.xml")).unwrap();
    assert!(
        junit.contains("the value is 3 s, the bound is 2 s; 1 node: n002"),
        "{junit}"
    );
}

fn a_metric_without_samples_fails(world: &World) {
    let workload = WORKLOAD.replace("joined in ([0-9.]+) s", "never written: ([0-9.]+)");
    topology(world, &workload, "  join_seconds: [\"max < 5s\"]\n");
    let (ran, run) = run(world, "empty", &[]);
    let ran = ran.code(6);
    assert!(ran.stdout.contains("NO SAMPLES"), "{}", ran.stdout);
    assert_eq!(judgements(&run)[0].1, "no_samples");
    let allowed = "  join_seconds: [{ is: \"max < 5s\", require_samples: false }]\n";
    topology(world, &workload, allowed);
    let (ran, _) = self::run(world, "allowed", &[]);
    ran.code(0);
}

fn a_criterion_ends_a_long_step_early(world: &World) {
    let workload = r#"
workload:
  - name: long
    on: "@n"
    run: "echo 'latency 1 ms'; echo 'latency 90 ms'; sleep 600"
    metrics:
      latency: { from: stdout, regex: 'latency ([0-9]+) ms', unit: ms }
  - { name: never, on: "@n", run: "true" }
"#;
    let criteria = "  latency: [{ is: \"max < 50ms\", abort: true, after: 1s }]\n";
    topology(world, workload, criteria);
    let began = Instant::now();
    let (ran, run) = run(world, "aborted", &[]);
    let ran = ran.code(6).says("latency max < 50ms").says("max is 90 ms");
    assert!(began.elapsed() < Duration::from_mins(5), "{}", ran.stdout);
    assert_eq!(read(&run, "run.json")["verdict"], "aborted");
    assert_eq!(judgements(&run)[0].1, "failed");
    assert!(!run.join("never").exists());
    let asleep = world.run(&["exec", "-w", "@n", "--", "! pgrep -f '[s]leep 600'"]);
    asleep.code(0);
}

fn a_value_at_the_end_of_a_step_ends_the_run_before_the_next_one(world: &World) {
    let workload = r#"
workload:
  - name: short
    on: "@n"
    run: "echo 'latency 90 ms'"
    metrics:
      latency: { from: stdout, regex: 'latency ([0-9]+) ms', unit: ms }
  - { name: never, on: "@n", run: "true" }
"#;
    let criteria = "  latency: [{ is: \"max < 50ms\", abort: true }]\n";
    topology(world, workload, criteria);
    let (ran, run) = run(world, "ended", &[]);
    ran.code(6)
        .says("the run is stopped: `latency max < 50ms` fails: max is 90 ms");
    assert_eq!(read(&run, "run.json")["verdict"], "aborted");
    assert!(!run.join("never").exists());
}

fn steps_that_were_not_chosen_are_not_judged(world: &World) {
    let workload = format!("{WORKLOAD}  - {{ name: other, on: \"@n\", run: \"true\" }}\n");
    topology(world, &workload, "  join_seconds: [\"max < 1ms\"]\n");
    let (ran, run) = run(world, "some", &["--step", "other"]);
    let ran = ran.code(0);
    assert!(ran.stdout.contains("not applicable"), "{}", ran.stdout);
    assert_eq!(judgements(&run)[0].1, "not_applicable");
}
