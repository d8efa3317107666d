//! `test` and `scale` without hosts: wrong usage, and what they leave when no host can be reached.

use crate::hosts::CLOSED;
use crate::program::{Ran, Vcluster};

/// A topology with a variable, two groups and a workload.
fn topology() -> String {
    format!(
        "name: demo\nhosts:\n  bm01: {{ uri: \"{CLOSED}\" }}\nvars: {{ rev: main }}\ngroups:\n  worker: {{ count: 2 }}\n  \
         db: {{ count: 1 }}\nworkload:\n  - {{ name: load, run: \"echo {{{{vars.rev}}}}\" }}\n"
    )
}

fn run(line: &str) -> Ran {
    Vcluster::new()
        .file("demo.yaml", &topology())
        .args(line.split_whitespace())
        .run()
}

/// Runs a line that is wrong usage and leaves no state.
fn wrong(line: &str) -> Ran {
    let ran = run(line).code(2).prints_nothing().says("error: ");
    assert!(
        !ran.path("state/vcluster/demo").exists(),
        "{line} left a directory"
    );
    ran
}

#[test]
fn an_unknown_variable_and_an_unknown_group_are_named_with_what_was_meant() {
    wrong("test demo.yaml --vary rew=old,new")
        .says("the topology has no variable `rew` in `vars`")
        .says("did you mean `rev`?");
    wrong("test demo.yaml --nodes workers=1,2")
        .says("the topology has no group `workers`")
        .says("did you mean `worker`?");
    wrong("scale demo.yaml --group dbs=1,2")
        .says("the topology has no group `dbs`")
        .says("did you mean `db`?");
}

#[test]
fn values_and_sizes_that_are_there_twice_are_wrong_usage() {
    for (line, why) in [
        (
            "test demo.yaml --vary rev=old,new,old",
            "the value `old` is there twice",
        ),
        ("test demo.yaml --vary rev=old,", "a value is empty"),
        ("test demo.yaml --vary rev", "such as `rev=old,new`"),
        (
            "test demo.yaml --vary rev=a,b --vary rev=c",
            "`--vary` is there twice for `rev`",
        ),
        (
            "test demo.yaml --nodes worker=10,10",
            "the size 10 is there twice",
        ),
        (
            "test demo.yaml --nodes worker=1,2 --nodes worker=3",
            "`--nodes` is there twice for `worker`",
        ),
        (
            "test demo.yaml --label ticket=1 --label ticket=2",
            "`--label` is there twice for `ticket`",
        ),
        (
            "scale demo.yaml --group worker=10,20,20",
            "the size 20 is there twice",
        ),
    ] {
        wrong(line).says(why);
    }
}

#[test]
fn sizes_that_do_not_ascend_are_wrong_usage() {
    for (line, why) in [
        (
            "test demo.yaml --nodes worker=30,10",
            "sizes must ascend, but 10 comes after 30",
        ),
        (
            "scale demo.yaml --group worker=10,40,20",
            "sizes must ascend, but 20 comes after 40",
        ),
        (
            "scale demo.yaml --group worker=0,20",
            "`0` is not a number of nodes",
        ),
        ("scale demo.yaml --group worker=20", "`worker` has only one size"),
        (
            "test demo.yaml --nodes worker=1,2,3 --nodes db=1,2",
            "`worker` has 3 sizes, and `db` has 2",
        ),
    ] {
        wrong(line).says(why);
    }
}

#[test]
fn counts_orders_and_criteria_that_make_no_sense_are_wrong_usage() {
    for (line, why) in [
        ("test demo.yaml --repeat 0", "--repeat"),
        ("scale demo.yaml --group worker=1,2 --repeat 0", "--repeat"),
        ("scale demo.yaml --group worker=1,2 --to 0", "--to"),
        ("test demo.yaml --order random", "interleaved"),
        ("test demo.yaml --between reset", "recreate"),
        (
            "scale demo.yaml --group worker=1,2 --find join",
            "names no metric",
        ),
        (
            "scale demo.yaml --group worker=1,2 --find join:p99",
            "compares nothing",
        ),
        ("scale demo.yaml", "--group"),
        (
            "scale demo.yaml --from x --group worker=1,2",
            "cannot be used with",
        ),
        (
            "test demo.yaml --repeat 9999 --vary rev=a,b",
            "the experiment has 19998 runs, at most 10000 are allowed",
        ),
    ] {
        wrong(line).says(why);
    }
}

#[test]
fn a_topology_that_is_wrong_with_one_of_the_values_raises_nothing() {
    let text = topology().replace("count: 2 }", "count: 2, memory: \"{{vars.rev}}\" }");
    let ran = Vcluster::new()
        .file("demo.yaml", &text.replace("rev: main", "rev: 96MiB"))
        .args("test demo.yaml --vary rev=96MiB,lots".split(' '))
        .run()
        .code(3)
        .says("the topology is not valid with rev=lots")
        .says("`lots` is not a size");
    assert!(!ran.path("state/vcluster/demo").exists());
}

#[test]
fn a_topology_without_workload_is_wrong_usage() {
    let (text, _) = topology()
        .split_once("workload:")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    for line in ["test demo.yaml", "scale demo.yaml --group worker=1,2"] {
        Vcluster::new()
            .file("demo.yaml", &text)
            .args(line.split(' '))
            .run()
            .code(2)
            .says("the topology has no `workload:` steps");
    }
}

#[test]
fn an_experiment_that_reaches_no_host_keeps_its_file_and_no_cluster() {
    let ran = run("test demo.yaml --repeat 2 --vary rev=old,new --out out")
        .code(5)
        .says("warning: no metric has a criterion")
        .says("`bm01`");
    assert!(!ran.path("state/vcluster/demo").exists(), "it left a directory");
    let files: Vec<_> = std::fs::read_dir(ran.path("out")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let text = std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap();
    let experiment: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(experiment["kind"], "test");
    assert_eq!(experiment["repeat"], 2);
    assert_eq!(experiment["between"], "configure");
    assert_eq!(experiment["varied"]["rev"], serde_json::json!(["old", "new"]));
    assert_eq!(experiment["runs"], serde_json::json!([]));
    assert!(experiment["ended"].is_null(), "{text}");
    let command = experiment["command"].as_array().unwrap();
    assert_eq!((&command[0], &command[1]), (&"vcluster".into(), &"test".into()));
    // It has no runs, and so only one size.
    let name = experiment["name"].as_str().unwrap().to_owned();
    ran.again()
        .args(["scale", "--from", name.as_str(), "--out", "out"])
        .run()
        .code(2)
        .says("has only one size");
}

#[test]
fn scale_varies_variables_at_every_size_and_refuses_wrong_ones_as_test_does() {
    for (line, why, hint) in [
        (
            "scale demo.yaml --group worker=1,2 --vary rew=old,new",
            "the topology has no variable `rew` in `vars`",
            "did you mean `rev`?",
        ),
        (
            "scale demo.yaml --group worker=1,2 --vary rev=old,new,old",
            "the value `old` is there twice",
            "",
        ),
        (
            "scale demo.yaml --group worker=1,2 --vary nodes.db=1,2",
            "`--group` of `scale`",
            "",
        ),
        (
            "scale demo.yaml --group worker=1,2 --vary rev=a,b --vary rev=c",
            "`--vary` is there twice for `rev`",
            "hint: write all of its values in one option",
        ),
        (
            "scale demo.yaml --group worker=1,2 --vary rev=a,b --repeat 9999",
            "the experiment has 39996 runs, at most 10000 are allowed",
            "hint: vary less at a time",
        ),
        (
            "scale demo.yaml --from x --vary rev=a,b",
            "cannot be used with",
            "",
        ),
    ] {
        wrong(line).says(why).says(hint);
    }
    let ran = run("scale demo.yaml --group worker=1,2 --vary rev=old,new --out out")
        .code(5)
        .says("`bm01`");
    assert!(
        !ran.stderr.contains("of each variant are too few"),
        "{}",
        ran.stderr
    );
    let file = std::fs::read_dir(ran.path("out"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let text = std::fs::read_to_string(file.path()).unwrap();
    let experiment: serde_json::Value = serde_json::from_str(&text).unwrap();
    let varied = serde_json::json!({ "rev": ["old", "new"], "nodes.worker": ["1", "2"] });
    assert_eq!(experiment["varied"], varied);
    assert_eq!(
        (&experiment["kind"], &experiment["group"]),
        (&"scale".into(), &"worker".into())
    );
}

#[test]
fn an_experiment_that_does_not_exist_is_wrong_usage() {
    run("scale --from 20260131T120000Z-scale --out .")
        .code(2)
        .prints_nothing()
        .says("there is no run or experiment `20260131T120000Z-scale` in .");
    run("scale --from 20260131T120000Z-scale --out out")
        .code(2)
        .prints_nothing()
        .says("there is no directory out");
}

#[test]
fn a_second_experiment_on_a_cluster_is_refused() {
    let ran = Vcluster::new().file("demo.yaml", &topology());
    let state = ran.path("state/vcluster/demo");
    std::fs::create_dir_all(&state).unwrap();
    let file = std::fs::File::create(state.join("lock")).unwrap();
    let lock = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock);
    let lock = lock.map_err(|(_, error)| error).unwrap();
    ran.args(["test", "demo.yaml"])
        .run()
        .code(1)
        .says("cluster `demo` is held by");
    drop(lock);
}
