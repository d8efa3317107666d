//! Accepted regressions: which file counts, for `compare` and for `report`.

use serde_json::{Value, json};

use crate::compare::{BY, EXPERIMENT, by};
use crate::program::Vcluster;

/// A regression whose topology was this file.
fn by_from(topology: &str) -> Vcluster {
    let program = by(1.2);
    std::fs::create_dir_all(program.path(topology).parent().unwrap()).unwrap();
    let file = program.path("results").join(format!("{EXPERIMENT}.json"));
    let mut experiment: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    experiment["topology_file"] = json!(program.path(topology));
    std::fs::write(&file, experiment.to_string()).unwrap();
    program
}

#[test]
fn an_accepted_regression_is_0_and_an_expired_one_is_6() {
    let known = "- { metric: join_seconds, variant: rev=new, reason: known, until: 9998-12-31 }\n";
    let ran = by_from("topologies/demo.yaml")
        .file("accepted.yaml", "it is not beside the topology")
        .file("topologies/accepted.yaml", known)
        .run()
        .code(0)
        .prints("; 1 regression accepted\n")
        .prints("join_seconds: accepted until 9998-12-31: known\n");
    let report = ["report", EXPERIMENT, "--results", "results"];
    let ran = ran
        .again()
        .args(report)
        .run()
        .code(0)
        .prints("join_seconds: accepted until 9998-12-31: known\n");
    let ran = ran
        .again()
        .args(report)
        .file("late.yaml", &known.replace("9998", "2025"))
        .args(["--accepted", "late.yaml"])
        .run()
        .code(0)
        .prints("join_seconds: was accepted until 2025-12-31: known\n")
        .prints(" --accepted late.yaml\n");
    let ran = ran
        .again()
        .args(report)
        .args(["--accepted", "none.yaml"])
        .run()
        .code(2)
        .says("error: failed to read none.yaml");
    let ran = ran
        .again()
        .args(BY)
        .file("late.yaml", &known.replace("9998", "2025"))
        .args(["--accepted", "late.yaml"])
        .run()
        .code(6)
        .prints("join_seconds: was accepted until 2025-12-31: known\n");
    let ran = ran
        .again()
        .args(BY)
        .file(
            "bad.yaml",
            &format!("{known}- metric: join_seconds\n  because: x\n"),
        )
        .args(["--accepted", "bad.yaml"])
        .run()
        .code(2)
        .says("error: bad.yaml:")
        .says("because");
    ran.again()
        .args(BY)
        .args(["--accepted", "none.yaml"])
        .run()
        .code(2)
        .says("error: failed to read none.yaml");
}
