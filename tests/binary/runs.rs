//! Stored runs: `runs` lists, shows, exports and removes them. The files of the store are in `results/`; this also keeps
//! their form as it is.

use std::fs;

use crate::program::{Ran, Vcluster};
use crate::stored::{CUT, EXPERIMENT, NEW, OLD, experiment, results, write_record};

/// A run of a release that writes version 1.
const EARLIER: &str = "20251231T120000Z";

/// The binary in a place with an experiment of two runs, a run of an earlier release, and one that was cut off.
fn stored() -> Vcluster {
    let program = experiment();
    for name in [EARLIER, CUT] {
        write_record(&program, name, 1);
    }
    let text = include_str!("results/results.json");
    fs::write(results(&program).join(EARLIER).join("results.json"), text).unwrap();
    program
}

fn runs(line: &str) -> Ran {
    stored().args(["runs"]).args(line.split_whitespace()).run()
}

/// The cells of the lines of a table.
fn cells(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect()
}

#[test]
fn without_runs_the_list_is_empty() {
    let ran = Vcluster::new().args(["runs"]).run().code(0);
    let ran = ran.prints_nothing().says("no runs\n");
    assert!(!ran.path("state").exists(), "it made a state directory");
    let json = Vcluster::new()
        .args(["runs", "list", "--format", "json"])
        .run()
        .code(0)
        .says_nothing()
        .json();
    assert_eq!(json["version"], 1);
    assert_eq!(json["runs"].as_array().map(Vec::len), Some(0));
}

#[test]
fn runs_are_listed_also_of_a_cluster_that_is_gone() {
    let ran = runs("").code(0).says_nothing();
    let table = cells(&ran.stdout);
    assert_eq!(
        table,
        [
            vec![
                "RUN",
                "BEGAN",
                "CLUSTER",
                "NODES",
                "VARIANT",
                "VERDICT",
                "EXPERIMENT"
            ],
            vec![EARLIER, "2025-12-31T12:00:00Z", "-", "3", "-", "-", "-"],
            vec![
                OLD,
                "2026-01-31T12:00:00Z",
                "demo",
                "2",
                "rev=old",
                "passed",
                EXPERIMENT
            ],
            vec![
                NEW,
                "2026-01-31T13:00:00Z",
                "demo",
                "2",
                "rev=new",
                "criteria failed",
                EXPERIMENT
            ],
            vec![CUT, "2026-02-01T12:00:00Z", "-", "3", "-", "incomplete", "-"],
        ]
    );
    let json = runs("list --cluster demo --format json")
        .code(0)
        .says_nothing()
        .json();
    assert_eq!(json["runs"][1]["run"], OLD);
    assert_eq!(json["runs"][1]["verdict"], "passed");
    assert_eq!(json["runs"][1]["variant"]["rev"], "old");
    assert_eq!(json["runs"][3]["complete"], false);
    assert_eq!(json["experiments"][0]["name"], EXPERIMENT);
    assert_eq!(json["damaged"].as_array().map(Vec::len), Some(0));
}

#[test]
fn the_results_are_those_of_a_directory_or_of_a_cluster() {
    let program = stored();
    let directory = results(&program).display().to_string();
    let ran = program.args(["runs", "--results", &directory]).run().code(0);
    assert_eq!(ran.stdout.lines().count(), 5, "{}", ran.stdout);
    runs("--results nowhere")
        .code(2)
        .says("there is no directory nowhere")
        .says("hint: ");
    runs("list --cluster other").code(2).says("no cluster `other`");
}

#[test]
fn a_run_is_shown_with_its_criteria_its_troubles_and_its_metrics() {
    let ran = runs("show 20260131T13").code(0).says_nothing();
    let table = cells(&ran.stdout);
    for line in [
        &[
            "failed",
            "join_seconds",
            "max < 2s",
            "2.5 s",
            "2 s",
            "2",
            "web002",
        ][..],
        &["app", "join", "web002", "/tmp/app.prom", "the file is empty", "1"],
        &["join_seconds", "2", "1.25 s", "1.88 s", "2.5 s"],
        &["step.join.seconds", "1", "3.5 s", "3.5 s", "3.5 s"],
    ] {
        assert!(
            table.iter().any(|cells| cells == line),
            "{line:?} in\n{}",
            ran.stdout
        );
    }
    let ran = ran.prints("verdict:     criteria failed\n");
    ran.prints("variant:     rev=new\n")
        .prints("git.commit: abc123\n");
    let json = runs("show 20260131T13 --format json").code(0).json();
    assert_eq!(json["findings"][0]["judgement"], "failed");
    assert_eq!(json["metrics"][0]["metric"], "join_seconds");
    assert_eq!(json["metrics"][0]["statistic"], "max");
    assert_eq!(json["metrics"][0]["value"], 2.5);
}

#[test]
fn a_run_is_shown_with_the_steps_that_failed_and_why() {
    let program = stored();
    let path = results(&program).join(NEW).join("results.json");
    let text = fs::read_to_string(&path).unwrap();
    let failed = text.replace(r#""outcome": "passed""#, r#""outcome": "failed", "code": 3"#);
    assert_ne!(failed, text);
    fs::write(&path, failed).unwrap();
    let ran = program.args(["runs", "show", NEW]).run().code(0);
    let ran = ran.prints("\nfailed steps\njoin: web[001-002]: exit code 3\n");
    let json = ran
        .again()
        .args(["runs", "show", NEW, "--format", "json"])
        .run()
        .code(0)
        .json();
    let wanted = serde_json::json!([
        { "step": "join", "nodes": ["web001", "web002"], "reason": "exit code 3" }
    ]);
    assert_eq!(json["failed_steps"], wanted);
}

#[test]
fn an_experiment_is_shown_with_its_runs() {
    let ran = runs("show 20260131T115900Z").code(0).says_nothing();
    let ran = ran.prints("varied:      rev=old,new\n");
    let ran = ran.prints("command:     vcluster test demo.yaml --vary rev=old,new\n");
    let table = cells(&ran.stdout);
    let last = vec![NEW, "rev=new", "1 (confirmation)", "criteria failed"];
    assert_eq!(table.last(), Some(&last), "{}", ran.stdout);
    let json = runs("show 20260131T115900Z --format json").code(0).json();
    assert_eq!(json["experiment"]["runs"][1]["run"], NEW);
}

#[test]
fn runs_without_samples_are_shown_too() {
    for name in [EARLIER, CUT] {
        let ran = runs(&format!("show {name}")).code(0).says_nothing();
        assert!(!ran.stdout.contains("join_seconds"), "{}", ran.stdout);
        ran.prints("nodes:       3\n");
    }
}

#[test]
fn a_name_that_means_nothing_or_several_things_is_wrong_usage() {
    runs("show 20260131T120001Z")
        .code(2)
        .prints_nothing()
        .says("there is no run or experiment `20260131T120001Z` in ")
        .says("hint: did you mean `20260131T120000Z`?");
    runs("show 20260131")
        .code(2)
        .prints_nothing()
        .says(&format!("may be {EXPERIMENT}, {OLD}, {NEW}"))
        .says("hint: ");
    for name in ["../demo", "/etc/passwd", ".", ".."] {
        runs(&format!("show {name}"))
            .code(2)
            .prints_nothing()
            .says("is not a name of a run or experiment");
    }
    let error = runs("show nothing --format json").code(2).error();
    assert_eq!(error["exit_code"], 2);
}

#[test]
fn a_damaged_run_is_named_with_its_line_and_hides_no_other() {
    let damaged = || {
        let program = stored();
        let path = results(&program).join(NEW).join("samples.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("2.5", "NaN")).unwrap();
        program
    };
    for line in ["show 20260131T13", "export", "export --as jsonl 20260131T13"] {
        damaged()
            .args(["runs"])
            .args(line.split(' '))
            .run()
            .code(1)
            .prints_nothing()
            .says(&format!("{NEW}/samples.jsonl:2 is damaged: "))
            .says("hint: ");
    }
    let program = stored();
    fs::write(results(&program).join(NEW).join("run.json"), "{\n}").unwrap();
    let ran = program.args(["runs"]).run().code(0);
    assert_eq!(ran.stdout.lines().count(), 4, "{}", ran.stdout);
    let ran = ran.says(&format!("{NEW}/run.json:2 is damaged: missing field `version`"));
    ran.again()
        .args(["runs", "export"])
        .run()
        .code(1)
        .prints_nothing();
}

#[test]
fn runs_are_exported_in_the_formats_of_other_programs() {
    let ran = runs("export").code(0).says("note: 1 run left out: incomplete\n");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{}", ran.stdout);
    assert_eq!(
        lines[3],
        "20260131T130000Z,2026-01-31T13:00:00Z,demo,20260131T115900Z-test,new,1,criteria_failed,join_seconds,max,s,2.5"
    );
    let ran = runs("export --as jsonl 20260131T12").code(0).says_nothing();
    let samples = ran.lines();
    assert_eq!(samples.len(), 3);
    assert_eq!(samples[1]["run"], OLD);
    assert_eq!(samples[1]["value"], 1.75);
    assert_eq!(samples[1]["node"], "web002");
    let ran = runs(&format!("export --as openmetrics {EXPERIMENT}")).code(0);
    let ran = ran.prints("# TYPE vcluster_join_seconds gauge\n# UNIT vcluster_join_seconds seconds\n");
    assert!(ran.stdout.ends_with("# EOF\n"), "{}", ran.stdout);
    let ran = runs(&format!("export --as otava {EXPERIMENT}")).code(0);
    assert_eq!(
        ran.stdout,
        "time,commit,run,branch,join_seconds,step.join.seconds\n\
         2026-01-31T12:00:00Z,abc123,20260131T120000Z,rev=old,1.75,3.5\n\
         2026-01-31T13:00:00Z,abc123,20260131T130000Z,rev=new,2.5,3.5\n"
    );
    let ran = runs("export --as extrap 20260131T12").code(0);
    let lines = ran.lines();
    assert_eq!(lines[0]["params"]["n"], 2);
    assert_eq!(lines[0]["callpath"], "rev=old");
    assert_eq!(lines[0]["value"], 1.75);
    runs(&format!("export {CUT}"))
        .code(2)
        .prints_nothing()
        .says("there is no complete run to export");
}

#[test]
fn a_run_is_removed_only_after_a_confirmation() {
    runs(&format!("remove {EARLIER}"))
        .code(2)
        .says("-y")
        .again()
        .args(["runs"])
        .run()
        .code(0)
        .prints(EARLIER);
    let ran = stored()
        .args(["runs", "remove", EARLIER])
        .run_on_terminal("n\n")
        .code(8)
        .says("Remove 1 run? [y/N]")
        .says("nothing was changed");
    let ran = ran
        .again()
        .args(["runs", "remove", EARLIER])
        .run_on_terminal("y\n")
        .code(0);
    let ran = ran.again().args(["runs"]).run().code(0);
    assert!(!ran.stdout.contains(EARLIER), "{}", ran.stdout);
    assert!(!ran.path("state/vcluster/demo/results").join(EARLIER).exists());
}

#[test]
fn an_experiment_is_removed_with_its_runs_and_nothing_if_a_name_is_wrong() {
    runs(&format!("remove -y {OLD}"))
        .code(2)
        .says(&format!("is a part of experiment `{EXPERIMENT}`"))
        .says("hint: ");
    let ran = runs(&format!("remove -y {EXPERIMENT} nothing")).code(2);
    let ran = ran.again().args(["runs"]).run().code(0).prints(OLD);
    let ran = ran
        .again()
        .args(["runs", "remove", "-y", EXPERIMENT, "--format", "json"])
        .run()
        .code(0)
        .says_nothing();
    assert_eq!(ran.json()["removed"][0], EXPERIMENT);
    let ran = ran.again().args(["runs"]).run().code(0);
    assert_eq!(ran.stdout.lines().count(), 3, "{}", ran.stdout);
}

#[test]
fn only_the_newest_runs_are_kept_and_an_experiment_is_one() {
    let ran = runs("remove --keep-last 1 -y").code(0);
    let ran = ran.says(&format!("removed run {EARLIER}\n"));
    let ran = ran.again().args(["runs"]).run().code(0);
    let ran = ran.prints(OLD).prints(NEW).prints(CUT);
    assert!(!ran.stdout.contains(EARLIER), "{}", ran.stdout);
    ran.again()
        .args(["runs", "remove", "--keep-last", "1", "-y"])
        .run()
        .code(0)
        .says("nothing to remove");
    runs("remove").code(2).says("RUN|EXPERIMENT");
    runs("remove --keep-last 0").code(2).says("'0'");
    runs(&format!("remove --keep-last 1 {OLD}"))
        .code(2)
        .says("cannot be used with");
}
