//! Stored runs for the tests of `runs` and `report`: the results of the cluster `demo`, which itself is gone. The files are
//! in `results/`.

use std::fs;
use std::path::PathBuf;

use crate::program::Vcluster;

/// The first run of the experiment, which passed.
pub(crate) const OLD: &str = "20260131T120000Z";
/// Its second run, whose criterion failed.
pub(crate) const NEW: &str = "20260131T130000Z";
pub(crate) const EXPERIMENT: &str = "20260131T115900Z-test";
/// A run that was cut off.
pub(crate) const CUT: &str = "20260201T120000Z";

/// The directory of the results.
pub(crate) fn results(program: &Vcluster) -> PathBuf {
    program.path("state/vcluster/demo/results")
}

/// The binary in a place with an experiment of two runs.
pub(crate) fn experiment() -> Vcluster {
    let program = Vcluster::new();
    let old = [
        ("BEGAN", "2026-01-31T12:00:00Z"),
        ("VERDICT", "passed"),
        ("REV", "old"),
        ("VALUE", "1.75"),
        ("JUDGEMENT", "passed"),
    ];
    write_run(&program, OLD, &old);
    let new = [
        ("BEGAN", "2026-01-31T13:00:00Z"),
        ("VERDICT", "criteria_failed"),
        ("REV", "new"),
        ("VALUE", "2.5"),
        ("JUDGEMENT", "failed"),
    ];
    write_run(&program, NEW, &new);
    let file = results(&program).join(format!("{EXPERIMENT}.json"));
    fs::write(file, include_str!("results/experiment.json")).unwrap();
    program
}

fn write_run(program: &Vcluster, name: &str, values: &[(&str, &str)]) {
    let directory = results(program).join(name);
    fs::create_dir_all(&directory).unwrap();
    for (file, text) in [
        ("run.json", include_str!("results/run.json")),
        ("samples.jsonl", include_str!("results/samples.jsonl")),
        ("criteria.json", include_str!("results/criteria.json")),
        ("results.json", include_str!("results/results.json")),
    ] {
        let mut text = text.to_owned();
        for (from, to) in values {
            text = text.replace(from, to);
        }
        fs::write(directory.join(file), text).unwrap();
    }
}

/// Writes a run that has only its record, of a release that writes this version. It was cut off.
pub(crate) fn write_record(program: &Vcluster, name: &str, version: u32) {
    let directory = results(program).join(name);
    fs::create_dir(&directory).unwrap();
    let record = include_str!("results/earlier.json");
    let record = record.replace("\"version\": 1", &format!("\"version\": {version}"));
    fs::write(directory.join("run.json"), record).unwrap();
}
