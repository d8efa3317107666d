//! `compare`: stored runs, written by hand in the format of docs/formats.md.

use std::path::Path;

use serde_json::{Value, json};

use crate::program::Vcluster;

/// The experiment that [`by`] stores.
pub(crate) const EXPERIMENT: &str = "20260131T115900Z-test";

/// Values of the runs of a side.
const CALM: [f64; 10] = [99.0, 99.2, 99.5, 99.7, 99.9, 100.1, 100.3, 100.5, 100.8, 101.0];

/// A run of the experiment.
struct Run {
    rev: &'static str,
    value: f64,
    verdict: &'static str,
    kernel: &'static str,
    /// Further assumptions.
    assumes: &'static [(&'static str, &'static str)],
}

impl Run {
    fn new(rev: &'static str, value: f64) -> Self {
        Self {
            rev,
            value,
            verdict: "passed",
            kernel: "6.1",
            assumes: &[],
        }
    }
}

/// Runs of the revisions `old` and `new` in turn; the values of `new` are those of `old`, multiplied.
fn runs(factor: f64) -> Vec<Run> {
    CALM.iter()
        .flat_map(|value| [Run::new("old", *value), Run::new("new", *value * factor)])
        .collect()
}

fn name(index: usize) -> String {
    format!("20260131T12{index:02}00Z")
}

fn write(directory: &Path, file: &str, value: &Value) {
    std::fs::write(directory.join(file), format!("{value:#}\n")).unwrap();
}

/// The binary in a place with these runs as an experiment in `DIRECTORY`.
fn stored(directory: &str, runs: &[Run]) -> Vcluster {
    let program = Vcluster::new();
    let store = program.path(directory);
    std::fs::create_dir_all(&store).unwrap();
    let mut listed = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let Run {
            rev,
            value,
            verdict,
            kernel,
            assumes,
        } = run;
        let variant = json!({ "rev": rev });
        let place = store.join(name(index));
        std::fs::create_dir(&place).unwrap();
        let bound = json!({ "statistic": "median", "operator": "<", "bound": 1000.0, "unit": null });
        let mut record = json!({
            "version": 2,
            "id": format!("{index:032x}"),
            "cluster_id": "00000000-0000-0000-0000-000000000007",
            "cluster": "demo",
            "began": "2026-01-31T12:00:00Z",
            "ended": "2026-01-31T12:01:00Z",
            "verdict": verdict,
            "experiment": EXPERIMENT,
            "variant": variant,
            "repetition": index / 2 + 1,
            "sizes": { "worker": 2 },
            "assumptions": {
                "topology": "t", "vars.rev": rev, "host.bm01.kernel": kernel, "git.commit": rev,
            },
            "metrics": [{
                "name": "join_seconds", "source": "stdout", "reading": { "regex": "([0-9.]+)" }, "scale": 1.0,
                "unit": "s", "better": "lower", "min_change": null, "floor": null,
            }],
            "criteria": [{
                "metric": "join_seconds", "is": { "bound": bound }, "text": "median < 1000", "require_samples": true,
            }],
            "steps": [],
        });
        for (key, value) in *assumes {
            record["assumptions"][*key] = json!(value);
        }
        write(&place, "run.json", &record);
        let sample = |metric: &str, node: &str, value: f64| {
            json!({ "metric": metric, "value": value, "step": "join", "node": node }).to_string()
        };
        let samples = [
            sample("join_seconds", "w1", *value),
            sample("join_seconds", "w2", *value),
            sample("node.memory_bytes", "w1", 66_165_146.0),
        ];
        std::fs::write(place.join("samples.jsonl"), samples.join("\n") + "\n").unwrap();
        write(
            &place,
            "criteria.json",
            &json!({ "version": 1, "findings": [], "troubles": [] }),
        );
        write(
            &place,
            "results.json",
            &json!({ "version": 1, "cluster": "demo", "steps": [] }),
        );
        listed.push(json!({
            "run": name(index), "variant": variant, "repetition": index / 2 + 1, "confirmation": false,
            "verdict": verdict,
        }));
    }
    let experiment = json!({
        "version": 1,
        "name": EXPERIMENT,
        "kind": "test",
        "cluster": "demo",
        "topology": "demo.yaml",
        "began": "2026-01-31T11:59:00Z",
        "ended": "2026-01-31T13:00:00Z",
        "order": "interleaved",
        "between": "keep",
        "varied": { "rev": ["old", "new"] },
        "group": null,
        "repeat": runs.len() / 2,
        "labels": {},
        "runs": listed,
        "command": ["vcluster", "test", "demo.yaml", "--vary", "rev=old,new"],
    });
    write(&store, &format!("{EXPERIMENT}.json"), &experiment);
    program
}

/// Compares its variants.
pub(crate) const BY: [&str; 6] = ["compare", EXPERIMENT, "--by", "rev", "--results", "results"];

/// The comparison of an experiment whose values are larger by this factor in its second variant.
pub(crate) fn by(factor: f64) -> Vcluster {
    stored("results", &runs(factor)).args(BY)
}

#[test]
fn a_regression_is_6_and_the_text_says_all_about_it() {
    let ran = by(1.2)
        .run()
        .code(6)
        .says_nothing()
        .prints("worse: rev=new is worse than rev=old in 1 of 1 judged metric: join_seconds +20 %\n")
        .prints("A  rev=old, 10 runs\nB  rev=new, 10 runs\n")
        .prints("JUDGED METRIC")
        .prints("differs, as it may:\n  git.commit: old in `rev=old`, new in `rev=new`\n")
        .prints("  vcluster test demo.yaml --vary rev=old,new\n")
        .prints(&format!(
            "  vcluster compare {EXPERIMENT} --by rev --results results\n"
        ));
    let row = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("join_seconds"))
        .unwrap();
    assert!(
        row.contains("100 s") && row.contains("120 s") && row.contains("worse"),
        "{row}"
    );
    let row = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("node.memory_bytes"))
        .unwrap();
    assert!(row.contains("63.1 MiB") && row.contains("0 %"), "{row}");
    assert!(ran.stdout.is_ascii(), "the locale is C: {}", ran.stdout);
    let ran = by(1.2).env("LC_ALL", "C.UTF-8").run().code(6);
    assert!(
        ran.stdout.contains('▁') && ran.stdout.contains('█'),
        "{}",
        ran.stdout
    );
}

#[test]
fn an_improvement_and_no_change_are_0() {
    by(0.8)
        .run()
        .code(0)
        .says_nothing()
        .prints("better: rev=new is better than rev=old in 1 of 1");
    by(1.01)
        .run()
        .code(0)
        .says_nothing()
        .prints("equal: rev=new does not differ from rev=old");
}

#[test]
fn sides_can_be_variants_or_lists_of_runs_by_name_or_path() {
    let select = |rev: &str| {
        let of = |index: &usize| index.is_multiple_of(2) == (rev == "old");
        let names: Vec<String> = (0..20).filter(of).map(name).collect();
        names.join(",")
    };
    let (old, new) = (format!("{EXPERIMENT}:rev=old"), format!("{EXPERIMENT}:rev=new"));
    let ran = stored("results", &runs(1.2))
        .args(["compare", &old, &new, "--results", "results"])
        .run()
        .code(6)
        .prints("worse: rev=new is worse than rev=old");
    let ran = ran
        .again()
        .args(["compare", &select("new"), &select("old"), "--results", "results"])
        .run()
        .code(0)
        .prints(&format!(
            "better: {} and 9 more is better than {} and 9 more",
            name(0),
            name(1)
        ));
    let (old, new) = (format!("results/{old}"), format!("results/{new}"));
    ran.again().args(["compare", &old, &new]).run().code(6);
}

#[test]
fn runs_are_found_in_the_results_of_all_clusters() {
    let by = ["compare", "20260131T115900Z", "--by", "rev"];
    let place = "state/vcluster/demo/results";
    let ran = stored(place, &runs(1.2)).args(by).run().code(6).prints("worse: ");
    let ran = ran.again().args(by).args(["-c", "demo"]).run().code(6);
    ran.again()
        .args(by)
        .args(["-c", "other"])
        .run()
        .code(2)
        .prints_nothing()
        .says("no cluster `other`");
}

#[test]
fn json_has_the_comparison_with_every_value() {
    let ran = by(1.2).args(["--format", "json"]).run().code(6).says_nothing();
    let document = ran.json();
    assert_eq!(document["version"], 1);
    let comparison = &document["comparisons"][0];
    assert_eq!(comparison["verdict"], "worse");
    assert_eq!(comparison["a"]["name"], "rev=old");
    assert_eq!(comparison["b"]["runs"].as_array().unwrap().len(), 10);
    let metric = &comparison["judged"][0];
    assert_eq!(metric["metric"], "join_seconds");
    assert_eq!(metric["unit"], "s");
    assert_eq!(metric["a"].as_array().unwrap().len(), 10);
    assert!((metric["change"].as_f64().unwrap() - 0.2).abs() < 1e-9);
    assert!(metric["adjusted_p"].as_f64().unwrap() < 0.01);
    assert_eq!(comparison["shown"][0]["metric"], "node.memory_bytes");
    assert_eq!(comparison["shown"][0]["unit"], "B");
}

#[test]
fn sides_that_differ_in_more_than_what_was_varied_are_refused_unless_that_is_accepted() {
    let mut runs = runs(1.2);
    for run in runs.iter_mut().filter(|run| run.rev == "new") {
        run.kernel = "6.6";
    }
    let ran = stored("results", &runs)
        .args(BY)
        .run()
        .code(2)
        .prints_nothing()
        .says("error: `rev=old` and `rev=new` differ in more than what was varied:\n")
        .says("  host.bm01.kernel: 6.1 in `rev=old`, 6.6 in `rev=new` (--despite host.bm01.kernel)\n")
        .says("hint: compare runs that were made alike, or take it on your word")
        .says(&format!(
            " vcluster compare {EXPERIMENT} --by rev --results results --despite host\n"
        ));
    ran.again()
        .args(BY)
        .args(["--despite", "host"])
        .run()
        .code(6)
        .prints("differs on your word (--despite):\n  host.bm01.kernel: 6.1 in `rev=old`, 6.6 in `rev=new`\n")
        .prints(" --despite host --results results\n");
}

#[test]
fn a_variable_that_sizes_the_nodes_or_chooses_their_image_is_what_was_varied() {
    let mut runs = runs(1.2);
    for run in &mut runs {
        run.assumes = if run.rev == "old" {
            &[
                ("group.worker.memory", "96 MiB"),
                ("image.debian", "1"),
                ("placement", "x"),
            ]
        } else {
            &[
                ("group.worker.memory", "128 MiB"),
                ("image.redis", "2"),
                ("placement", "y"),
            ]
        };
    }
    stored("results", &runs)
        .args(BY)
        .run()
        .code(6)
        .prints("  group.worker.memory: 96 MiB in `rev=old`, 128 MiB in `rev=new`\n")
        .prints("  image.redis: none in `rev=old`, 2 in `rev=new`\n");
    for run in &mut runs {
        run.assumes = if run.rev == "old" {
            &[("image.debian", "1")]
        } else {
            &[("image.debian", "2")]
        };
    }
    stored("results", &runs)
        .args(BY)
        .run()
        .code(2)
        .says("  image.debian: 1 in `rev=old`, 2 in `rev=new` (--despite image.debian)\n");
}

#[test]
fn runs_that_say_nothing_are_left_out_and_named() {
    let mut all = runs(1.2);
    all[1].verdict = "workload_failed";
    all[2].verdict = "interrupted";
    all[4].verdict = "criteria_failed";
    let program = stored("results", &all);
    std::fs::remove_file(program.path("results").join(name(3)).join("results.json")).unwrap();
    let ran = program
        .args(BY)
        .run()
        .code(6)
        .says(&format!("warning: 3 runs of `{EXPERIMENT}` left out: "))
        .says(&format!("{} failed: a step of its workload did", name(1)))
        .says(&format!("{} was interrupted", name(2)))
        .says(&format!("{} is incomplete", name(3)))
        .prints("A  rev=old, 9 runs\nB  rev=new, 8 runs\n");
    assert!(!ran.stderr.contains(&name(4)), "{}", ran.stderr);
    for run in all.iter_mut().filter(|run| run.rev == "new") {
        run.verdict = "interrupted";
    }
    stored("results", &all)
        .args(BY)
        .run()
        .code(2)
        .prints_nothing()
        .says(&format!("no run of rev=new in `{EXPERIMENT}` can be compared"));
}

#[test]
fn too_few_runs_judge_nothing_which_fails_only_if_that_is_wanted() {
    let few = || stored("results", &runs(3.0)[..8]).args(BY);
    few()
        .run()
        .code(0)
        .prints("inconclusive: nothing is judged: 4 runs of rev=old and 4 runs of rev=new are too few for 1 metric")
        .prints("; 1 run a side missing\n");
    few().args(["--strict"]).run().code(6);
}

#[test]
fn junit_has_a_case_for_the_judged_metric() {
    let ran = by(1.2).args(["--junit", "out.xml"]).run().code(6);
    let xml = std::fs::read_to_string(ran.path("out.xml")).unwrap();
    assert!(
        xml.contains(r#"<testsuites name="vcluster compare" tests="1" skipped="0" failures="1""#),
        "{xml}"
    );
    assert!(xml.contains(r#"<testcase name="join_seconds""#), "{xml}");
}

#[test]
fn what_cannot_be_compared_is_an_error_with_a_hint() {
    let selected = format!("{EXPERIMENT}:rev=newer");
    let twice = format!("{0},{0}", name(0));
    let of_a_run = format!("{}:rev=old", name(0));
    for (args, said) in [
        (&["compare", "nothing", EXPERIMENT][..], "`nothing`"),
        (&["compare", "../results/x", EXPERIMENT], "`x`"),
        (&["compare", &selected, EXPERIMENT], "no run of rev=newer"),
        (&["compare", &twice, EXPERIMENT], "is named twice"),
        (
            &["compare", &of_a_run, EXPERIMENT],
            "is a run, and has no variants",
        ),
        (
            &["compare", EXPERIMENT, "--by", "depth"],
            "`depth` was not varied",
        ),
        (&["compare", &twice[..16], "--by", "rev"], "is not an experiment"),
        (&["compare", EXPERIMENT, EXPERIMENT], "variant.rev: old in "),
    ] {
        stored("results", &runs(1.0))
            .args(args.iter().copied())
            .args(["--results", "results"])
            .run()
            .code(2)
            .prints_nothing()
            .says(said)
            .says("hint: ");
    }
    let ran = Vcluster::new()
        .args(["compare", "a", "b", "--results", "none"])
        .run()
        .code(2);
    ran.says("error: there is no directory none").says("hint: ");
    Vcluster::new().args(["compare", "a"]).run().code(2).says("<B>");
}
