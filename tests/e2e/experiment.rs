//! `vcluster test`: from nothing to a verdict and back to nothing, in one command.

use std::io::Read as _;
use std::path::Path;
use std::thread::JoinHandle;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::world::{Begun, World, finish, json, signal};

/// Two nodes whose workload prints a figure that depends on the variable.
const TINY: &str = r#"
groups: { n: { count: 2, place: spread } }
vars: { size: 1 }
configure:
  - { on: "@all", run: "echo {{vars.size}} >/root/size" }
workload:
  - name: work
    on: "@all"
    run: "echo took $(cat /root/size).5 s, asked for {{vars.size}}"
    metrics:
      work_seconds: { from: stdout, regex: 'took ([0-9.]+) s', unit: s, better: lower }
criteria:
  work_seconds: ["max < BOUND"]
"#;

fn tiny(world: &World, bound: &str) {
    world.topology("bm[01-02]", &TINY.replace("BOUND", bound));
}

/// The file of the only experiment in a directory of results.
fn experiment(results: &Path) -> Value {
    let entries = std::fs::read_dir(results)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files = entries.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let text = std::fs::read_to_string(files.next().unwrap()).unwrap();
    assert_eq!(files.next(), None);
    json(&text)
}

/// What the nodes of a run printed.
fn output(results: &Path, run: &Value) -> String {
    let work = results.join(run["run"].as_str().unwrap()).join("work");
    ["n001", "n002"]
        .map(|node| std::fs::read_to_string(work.join(format!("{node}.out"))).unwrap())
        .concat()
}

/// Waits until the step `work` begins. The thread reads the rest of the output.
fn wait_for_work(child: &mut Begun) -> JoinHandle<()> {
    let mut out = child.stdout.take().unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains(r#""event":"step_begun","name":"work""#) {
        let count = out.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the command ended early: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = out.read_to_end(&mut rest);
    })
}

#[test]
fn a_test_of_two_variants_raises_runs_compares_and_leaves_no_cluster() {
    let world = World::new();
    tiny(&world, "3s");
    let junit = world.path("junit.xml");
    let ran = world
        .run(&[
            "test",
            "--repeat",
            "2",
            "--vary",
            "size=1,2",
            "--label",
            "ticket=4711",
            "--junit",
            junit.to_str().unwrap(),
        ])
        .code(0)
        .says("run 1 of 4 (size=1, repetition 1): passed in ")
        .says("run 4 of 4 (size=1, repetition 2): passed in ")
        .says("nothing is left")
        .says("again: vcluster test --repeat 2");
    assert!(ran.stdout.contains("work_seconds"), "{}", ran.stdout);
    assert!(ran.stdout.contains("size=2 against size=1"), "{}", ran.stdout);
    assert_eq!(world.traces(), Vec::<String>::new());
    world.run(&["status", &world.name]).code(2);
    // What was measured stays.
    let results = world.state().join("results");
    let experiment = experiment(&results);
    let runs = experiment["runs"].as_array().unwrap();
    let order: Vec<&str> = runs
        .iter()
        .map(|run| run["variant"]["size"].as_str().unwrap())
        .collect();
    assert_eq!(order, ["1", "2", "2", "1"]);
    assert!(runs.iter().all(|run| run["verdict"] == "passed"), "{experiment}");
    assert!(experiment["ended"].is_string(), "{experiment}");
    for run in runs {
        // The variable was that of the variant, in the configuration and in the workload.
        let size = run["variant"]["size"].as_str().unwrap();
        let line = format!("took {size}.5 s, asked for {size}\n");
        assert_eq!(output(&results, run), line.repeat(2));
        let path = results.join(run["run"].as_str().unwrap()).join("run.json");
        let record = json(&std::fs::read_to_string(path).unwrap());
        assert_eq!(record["experiment"], experiment["name"]);
        assert_eq!(record["labels"]["ticket"], "4711");
    }
    let cases = std::fs::read_to_string(junit).unwrap();
    assert!(cases.contains(r#"testsuite name="size=2""#), "{cases}");
}

#[test]
fn a_criterion_that_fails_ends_with_6_and_keep_on_failure_keeps_the_cluster() {
    let world = World::new();
    tiny(&world, "1s");
    world
        .run(&["test"])
        .code(6)
        .says("a criterion failed")
        .says("work_seconds max < 1s")
        .says("nothing is left");
    assert_eq!(world.traces(), Vec::<String>::new());
    world
        .run(&["test", "--keep-on-failure", "--vary", "size=1,2"])
        .code(6)
        .says("is kept")
        .says(&format!("vcluster down {}", world.name));
    assert!(!world.traces().is_empty());
    // It is as the last run left it, and its lease is that of the topology.
    let size = world.run(&["exec", "-w", "n001", "--", "cat /root/size"]).code(0);
    assert_eq!(size.stdout, "n001: 2\n");
    world.run(&["status"]).code(0);
    // A cluster that is there is used, and stays.
    world
        .run(&["test", "--vary", "size=0"])
        .code(0)
        .says("was there before, and stays");
    world.run(&["down", "-y"]).code(0).says("nothing is left");
    assert_eq!(world.traces(), Vec::<String>::new());
}

#[test]
fn sizes_grow_in_one_cluster_and_their_growth_is_judged() {
    let world = World::new();
    tiny(&world, "3s");
    let ran = world
        .run(&[
            "scale",
            "--group",
            "n=1,2,3",
            "--repeat",
            "1",
            "--to",
            "10",
            "--find",
            "work_seconds: count < 3",
        ])
        .code(0)
        .says("run 3 of 3 (nodes.n=3, repetition 1): passed in ")
        .says("warning: 3 sizes with 1 run each");
    assert!(
        ran.stdout.contains("growth with n (1, 2, 3 nodes)"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains("`work_seconds count < 3` fails from 3 nodes of n on"),
        "{}",
        ran.stdout
    );
    assert_eq!(world.traces(), Vec::<String>::new());
    let results = world.state().join("results");
    let name = experiment(&results)["name"].as_str().unwrap().to_owned();
    let again = world.run(&["scale", "--from", &name, "--to", "20"]).code(0);
    assert!(again.stdout.contains("AT 20"), "{}", again.stdout);
}

/// The old revision looks up every node on every node, again and again: exactly n² times, whatever machine it runs on.
const GROWING: &str = r#"
groups: { n: { count: 1, place: spread } }
vars: { rev: new }
workload:
  - name: join
    on: "@all"
    run: >-
      echo "did {{#if (eq vars.rev "old")}}{{mul (length nodes) (length nodes)}}{{else}}{{length nodes}}{{/if}} lookups"
    metrics:
      lookups: { from: stdout, regex: 'did ([0-9]+) lookups' }
criteria:
  lookups: ["growth <= n"]
"#;

#[test]
fn a_growth_that_is_too_steep_fails_the_test_and_that_of_the_fixed_revision_does_not() {
    let world = World::new();
    world.topology("bm[01-02]", GROWING);
    let vary = ["test", "--nodes", "n=1,2,3,4", "--vary", "rev=old,new"];
    let ran = world.run(&[&vary[..], &["--between", "keep"]].concat()).code(6);
    for line in [
        "growth with n (1, 2, 3, 4 nodes), 2 variants\n",
        "failed: rev=old: lookups growth <= n: it grows with n^2\n",
        "passed: rev=new: lookups growth <= n: it grows with n\n",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    assert_eq!(ran.stdout.matches("failed: rev=").count(), 1, "{}", ran.stdout);
    assert_eq!(world.traces(), Vec::<String>::new());
    let junit = world.path("junit.xml");
    let keep = ["--keep-on-failure", "--junit", junit.to_str().unwrap()];
    let old = ["test", "--nodes", "n=1,2,3,4", "--vary", "rev=old"];
    world.run(&[&old[..], &keep[..]].concat()).code(6).says("is kept");
    let cases = std::fs::read_to_string(&junit).unwrap();
    assert!(cases.contains("it grows with n^2"), "{cases}");
    world.run(&["down", "-y"]).code(0);
    assert_eq!(world.traces(), Vec::<String>::new());
}

#[test]
fn an_interrupted_test_keeps_what_was_measured_and_removes_the_cluster() {
    let world = World::new();
    let slow = TINY
        .replace("BOUND", "3s")
        .replace("echo took", "sleep 60; echo took");
    world.topology("bm[01-02]", &slow);
    let mut child = world.begin(&["test", "--repeat", "3", "--format", "json"]);
    let reader = wait_for_work(&mut child);
    signal(&child, Signal::SIGINT);
    finish(child).code(130);
    reader.join().unwrap();
    assert_eq!(world.traces(), Vec::<String>::new());
    let experiment = experiment(&world.state().join("results"));
    let runs = experiment["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{experiment}");
    assert_eq!(runs[0]["verdict"], "interrupted");
    assert!(experiment["ended"].is_null(), "it was cut short");
}

#[test]
fn what_a_killed_test_left_is_removed_by_the_next_one_and_what_it_kept_stays() {
    let world = World::new();
    let slow = TINY
        .replace("BOUND", "3s")
        .replace("echo took", "sleep 60; echo took");
    world.topology("bm[01-02]", &slow);
    let mut child = world.begin(&["test", "--format", "json"]);
    let reader = wait_for_work(&mut child);
    signal(&child, Signal::SIGKILL);
    assert_eq!(finish(child).code, None);
    reader.join().unwrap();
    assert!(!world.traces().is_empty());
    tiny(&world, "3s");
    world
        .run(&["test"])
        .code(0)
        .says("was left behind by experiment")
        .says("nothing is left");
    assert_eq!(world.traces(), Vec::<String>::new());
    world.run(&["test", "--keep"]).code(0).says("is kept");
    world.run(&["test"]).code(0).says("was there before, and stays");
    assert!(!world.traces().is_empty());
    world.run(&["down", "-y"]).code(0).says("nothing is left");
    assert_eq!(world.traces(), Vec::<String>::new());
}
