//! Stored runs and experiments: lists of them, and one in detail.

mod details;
pub mod json;
mod steps;

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub use details::{Details, run};
pub use steps::{failed_steps, uncollected};

use super::table;
use crate::base::text;
use crate::runs::{Experiment, StoredRun, variant_text};

/// The runs as a table.
pub fn list(runs: &[StoredRun]) -> String {
    let mut table = table::new(&[
        "run",
        "began",
        "cluster",
        "nodes",
        "variant",
        "verdict",
        "experiment",
    ]);
    for run in runs {
        let record = &run.record;
        table.add_row([
            cell(run.name()),
            or_dash(run.began()),
            or_dash(record.cluster.as_ref()),
            run.nodes().to_string(),
            variant(&record.variant),
            verdict(run),
            or_dash(record.experiment.as_ref()),
        ]);
    }
    table::render(&table)
}

/// An experiment with its runs.
pub fn experiment(experiment: &Experiment) -> String {
    let mut out = String::new();
    let ended = experiment.ended.map_or_else(
        || "it has not ended, or was interrupted".to_owned(),
        |ended| ended.to_string(),
    );
    let varied = experiment.varied.iter();
    let varied: Vec<String> = varied
        .map(|(key, values)| format!("{key}={}", values.join(",")))
        .collect();
    for (name, value) in [
        ("experiment", experiment.name.clone()),
        ("cluster", experiment.cluster.to_string()),
        ("topology", experiment.topology.clone()),
        ("began", experiment.began.to_string()),
        ("ended", ended),
        ("varied", varied.join(" ")),
        ("repetitions", experiment.repeat.to_string()),
        ("labels", variant_text(&experiment.labels)),
        ("command", experiment.command.join(" ")),
    ] {
        field(&mut out, name, &value);
    }
    let mut table = table::new(&["run", "variant", "repetition", "verdict"]);
    for run in &experiment.runs {
        let again = if run.confirmation { " (confirmation)" } else { "" };
        table.add_row([
            cell(&run.run),
            variant(&run.variant),
            format!("{}{again}", run.repetition),
            run.verdict
                .map_or_else(|| "-".to_owned(), |verdict| words(verdict.as_str())),
        ]);
    }
    let _ = write!(out, "\n{}", table::render(&table));
    out
}

/// A line with a name and a value; none without a value.
fn field(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let name = format!("{name}:");
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<13}{}", cell(value));
    }
}

/// Text of a file as one line that cannot control a terminal.
fn cell(text: &str) -> String {
    text::line(text.as_bytes())
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| cell(&value.to_string()))
}

fn variant(variant: &BTreeMap<String, String>) -> String {
    or_dash(Some(variant_text(variant)).filter(|text| !text.is_empty()))
}

/// How a run ended.
fn verdict(run: &StoredRun) -> String {
    match run.record.verdict {
        _ if !run.is_complete() => "incomplete".to_owned(),
        Some(verdict) => words(verdict.as_str()),
        None => "-".to_owned(),
    }
}

/// A name of JSON for people.
fn words(name: &str) -> String {
    name.replace('_', " ")
}
