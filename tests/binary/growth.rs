//! A stored `scale` whose `--find` tried sizes between the planned ones, written by hand in the format of docs/formats.md.

use std::path::Path;

use serde_json::{Value, json};

use crate::program::Vcluster;

const EXPERIMENT: &str = "20260131T115900Z-scale";

/// Sizes that were planned, with three runs each.
const PLANNED: [u32; 4] = [10, 20, 40, 80];

/// Sizes that were only tried to find where the criterion begins to fail.
const TRIED: [u32; 4] = [30, 25, 22, 24];

fn write(directory: &Path, file: &str, value: &Value) {
    std::fs::write(directory.join(file), format!("{value:#}\n")).unwrap();
}

/// The binary in a place with this experiment in `results`.
fn stored() -> Vcluster {
    let program = Vcluster::new();
    let store = program.path("results");
    std::fs::create_dir(&store).unwrap();
    let planned = PLANNED.iter().flat_map(|size| [*size; 3]);
    let mut listed = Vec::new();
    for (index, size) in planned.chain(TRIED).enumerate() {
        let name = format!("20260131T12{index:02}00Z");
        let place = store.join(&name);
        std::fs::create_dir(&place).unwrap();
        let verdict = if size < 25 { "passed" } else { "criteria_failed" };
        let variant = json!({ "nodes.worker": size.to_string() });
        let bound = json!({ "statistic": "max", "operator": "<", "bound": 12.0, "unit": "s" });
        let record = json!({
            "version": 2,
            "id": format!("{index:032x}"),
            "cluster_id": "00000000-0000-0000-0000-000000000007",
            "cluster": "demo",
            "began": "2026-01-31T12:00:00Z",
            "ended": "2026-01-31T12:01:00Z",
            "verdict": verdict,
            "experiment": EXPERIMENT,
            "variant": variant,
            "repetition": 1,
            "sizes": { "worker": size },
            "metrics": [{
                "name": "join_seconds", "source": "stdout", "reading": { "regex": "([0-9.]+)" }, "scale": 1.0,
                "unit": "s", "better": "lower", "min_change": null, "floor": null,
            }],
            "criteria": [{
                "metric": "join_seconds", "is": { "bound": bound }, "text": "max < 12s", "require_samples": true,
            }],
            "steps": [],
        });
        write(&place, "run.json", &record);
        // What was tried alone is far from the line through the others.
        let value = f64::from(size) * if TRIED.contains(&size) { 3.0 } else { 0.5 };
        let sample = json!({ "metric": "join_seconds", "value": value, "step": "join", "node": "w1" });
        std::fs::write(place.join("samples.jsonl"), format!("{sample}\n")).unwrap();
        let nothing = json!({ "version": 1, "findings": [], "troubles": [] });
        write(&place, "criteria.json", &nothing);
        let results = json!({ "version": 1, "cluster": "demo", "steps": [] });
        write(&place, "results.json", &results);
        listed.push(json!({
            "run": name, "variant": variant, "repetition": 1, "confirmation": false, "verdict": verdict,
        }));
    }
    let experiment = json!({
        "version": 1,
        "name": EXPERIMENT,
        "kind": "scale",
        "cluster": "demo",
        "topology": "demo.yaml",
        "began": "2026-01-31T11:59:00Z",
        "ended": "2026-01-31T13:00:00Z",
        "order": "interleaved",
        "between": "configure",
        "varied": { "nodes.worker": PLANNED.map(|size| size.to_string()) },
        "group": "worker",
        "to": 100,
        "found": [{ "variant": "", "criterion": "join_seconds max < 12s", "holds": 24, "fails": 25 }],
        "repeat": 3,
        "labels": {},
        "runs": listed,
        "command": ["vcluster", "scale", "demo.yaml", "--group", "worker=10,20,40,80", "--to", "100"],
    });
    write(&store, &format!("{EXPERIMENT}.json"), &experiment);
    program
}

const FOUND: &str = "`join_seconds max < 12s` fails from 25 nodes on, and holds at 24\n";

#[test]
fn sizes_that_were_only_tried_are_no_part_of_the_models() {
    stored()
        .args(["scale", "--from", EXPERIMENT, "--out", "results"])
        .run()
        .code(0)
        .prints("growth with worker (10, 20, 40, 80 nodes)\n")
        .prints("warning: 4 sizes with 3 runs or more each")
        .prints("AT 100")
        .prints(FOUND);
    let args = ["compare", EXPERIMENT, "--by", "nodes", "--results", "results"];
    let ran = stored().args(args).run().code(0);
    let ran = ran.prints("3 runs of nodes.worker=10 and 3 runs of nodes.worker=80 are too few");
    assert!(!ran.stdout.contains("nodes.worker=25"), "{}", ran.stdout);
}

#[test]
fn the_report_of_a_scale_has_its_target_its_ranking_and_what_was_found() {
    let args = ["report", EXPERIMENT, "--results", "results"];
    let ran = stored()
        .args(args)
        .run()
        .code(0)
        .prints("LARGEST HELD OUT")
        .prints("50 s at 100 nodes")
        .prints("most expensive at 100 nodes of worker\n")
        .prints(FOUND);
    let row = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("join_seconds (max)") && line.contains("at 100 nodes"));
    assert!(row.is_some_and(|row| row.contains("inside")), "{}", ran.stdout);
    let json = ran
        .again()
        .args(args)
        .args(["--format", "json"])
        .run()
        .code(0)
        .json();
    let growth = &json["growth"][0];
    assert_eq!(
        (&growth["size"], &growth["held_out_inside"]),
        (&json!(100), &json!(true))
    );
    for end in [&growth["value"], &growth["interval"][0], &growth["interval"][1]] {
        assert!((end.as_f64().unwrap() - 50.0).abs() < 1e-6, "{growth:#}");
    }
    let ranking = &json["rankings"][0];
    assert_eq!(
        (&ranking["size"], &ranking["ranking"][0]["metric"]),
        (&json!(100), &json!("join_seconds"))
    );
    assert_eq!(
        (&json["found"][0]["holds"], &json["found"][0]["fails"]),
        (&json!(24), &json!(25))
    );
    let ran = stored().args(args).args(["--html", "report.html"]).run().code(0);
    let page = std::fs::read_to_string(ran.path("report.html")).unwrap();
    for part in [
        "Most expensive",
        "At 100 nodes of worker",
        "Where it fails",
        "95 % interval 50 s to 50 s",
    ] {
        assert!(page.contains(part), "no {part}: {page}");
    }
}
