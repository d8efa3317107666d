//! Stored runs and experiments as JSON (version 1).

use serde_json::{Value, json};

use super::details::Details;
use crate::base::failure::UserFacing as _;
use crate::measure::Statistic;
use crate::runs::{Experiment, Listing, StoredRun, statistic_of, unit_of};
use crate::workload::StepReport;

/// Version of the objects.
const VERSION: u32 = 1;

/// All that is in stores.
pub fn list(listings: &[Listing]) -> Value {
    let runs = listings.iter().flat_map(|listing| &listing.runs).map(summary);
    let experiments = listings.iter().flat_map(|listing| &listing.experiments);
    let damaged = listings.iter().flat_map(|listing| &listing.damaged);
    let damaged = damaged.map(|error| json!({ "error": error.to_string(), "hint": error.hint() }));
    json!({
        "version": VERSION,
        "runs": runs.collect::<Vec<_>>(),
        "experiments": experiments.collect::<Vec<_>>(),
        "damaged": damaged.collect::<Vec<_>>(),
    })
}

/// A run without its details.
fn summary(run: &StoredRun) -> Value {
    let record = &run.record;
    json!({
        "run": run.name(),
        "path": run.path.display().to_string(),
        "complete": run.is_complete(),
        "began": run.began(),
        "ended": record.ended,
        "cluster": record.cluster,
        "nodes": run.nodes(),
        "variant": record.variant,
        "repetition": record.repetition,
        "verdict": record.verdict,
        "experiment": record.experiment,
        "labels": record.labels,
    })
}

/// The steps that failed, by reason.
fn failed_steps(reports: &[StepReport]) -> Vec<Value> {
    let failures = reports.iter().flat_map(|report| {
        let of_step = report.failures().into_iter();
        of_step.map(move |(why, nodes)| json!({ "step": report.step, "nodes": nodes, "reason": why }))
    });
    failures.collect()
}

/// A run in detail.
pub fn run(run: &StoredRun, details: &Details) -> Value {
    let metrics = details.series.iter().map(|(metric, values)| {
        let statistic = statistic_of(&run.record, metric);
        json!({
            "metric": metric,
            "unit": unit_of(&run.record, metric),
            "samples": values.len(),
            "min": Statistic::Min.of(values),
            "median": Statistic::Median.of(values),
            "max": Statistic::Max.of(values),
            "statistic": statistic,
            "value": statistic.of(values),
        })
    });
    json!({
        "version": VERSION,
        "run": summary(run),
        "sizes": run.record.sizes,
        "assumptions": run.record.assumptions,
        "failed_steps": failed_steps(&details.reports),
        "findings": details.findings,
        "troubles": details.troubles,
        "metrics": metrics.collect::<Vec<_>>(),
    })
}

/// An experiment with its runs.
pub fn experiment(experiment: &Experiment) -> Value {
    json!({ "version": VERSION, "experiment": experiment })
}
