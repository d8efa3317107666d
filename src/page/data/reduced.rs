//! A run, reduced to what a report needs of it. Its samples are read once and are not kept.

use std::collections::BTreeMap;
use std::path::Path;

use super::events::timeline;
use super::nodes::{Placement, placement, printed};
use crate::base::group::grouped;
use crate::base::name::NodeName;
use crate::base::text::{plural, sanitize};
use crate::base::units::Moment;
use crate::compare::variant_text;
use crate::measure::figure::value;
use crate::measure::{Finding, MetricName, Sample, Statistic, Unit};
use crate::nodeset;
use crate::page::model::{Failure, Mark, Outlier, RunRow, Timeline};
use crate::page::outliers;
use crate::report::criteria::troubles;
use crate::runs::{StoreError, StoredRun, run_values, unit_of};
use crate::verdict::{explained, titled};
use crate::workload::{Outcome, Record, StepReport, Verdict};

/// Failed steps of a run of which the output is shown.
const OUTPUTS: usize = 3;

/// A run.
pub(super) struct Reduced {
    /// Its side or variant.
    pub(super) label: String,
    /// Whether all that it measured is there.
    pub(super) is_whole: bool,
    pub(super) row: RunRow,
    pub(super) record: Record,
    pub(super) findings: Vec<Finding>,
    /// Its value of each metric.
    pub(super) values: BTreeMap<MetricName, f64>,
    /// The own median of each node, by metric.
    pub(super) by_node: BTreeMap<MetricName, Vec<f64>>,
    pub(super) outliers: Vec<Outlier>,
    pub(super) failures: Vec<Failure>,
    pub(super) notes: Vec<String>,
    /// Seconds from its begin to its end.
    pub(super) seconds: Option<f64>,
    /// Its directory and where its nodes are, for its timeline.
    stored: StoredRun,
    placement: Placement,
}

impl Reduced {
    /// Reads a run.
    pub(super) fn read(label: String, run: StoredRun) -> Result<Self, StoreError> {
        let name = run.name().to_owned();
        let mut notes = Vec::new();
        let placement = placement(&run.path).unwrap_or_else(|error| {
            notes.push(format!("{name}: plan.json could not be read: {error}"));
            Placement::default()
        });
        let samples = run.samples()?;
        let findings = run.findings()?;
        let reports = run.reports()?;
        notes.extend(missing(&run));
        let troubles = troubles(&run.troubles()?).into_iter().map(|line| {
            let line = sanitize(&line).into_owned();
            format!("{name}: {}", line.strip_prefix("warning: ").unwrap_or(&line))
        });
        notes.extend(troubles);
        let mut found = outliers::found(&samples, &placement.groups);
        for outlier in &mut found {
            let metric = outlier
                .metric
                .split(" (")
                .next()
                .and_then(|metric| metric.parse::<MetricName>().ok());
            outlier.unit = metric.and_then(|metric| unit_of(&run.record, &metric));
        }
        let is_whole = run.is_complete() && run.record.verdict.is_some_and(Verdict::is_whole);
        let by_node = by_node(&samples);
        let mut values = run_values(&samples, &run.record.criteria);
        // That a run which was cut off has no samples says nothing.
        values.retain(|metric, _| is_whole || by_node.contains_key(metric));
        let seconds = match (run.began(), run.record.ended) {
            (Some(began), Some(ended)) => Some(ended.since(began).as_secs_f64()),
            _ => None,
        };
        Ok(Self {
            label,
            is_whole,
            row: row(&run, seconds),
            failures: failures(&run.path, &findings, &reports),
            record: run.record.clone(),
            findings,
            values,
            by_node,
            outliers: found,
            notes,
            seconds,
            stored: run,
            placement,
        })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.row.name
    }

    /// When what was done in it.
    pub(super) fn timeline(&self, title: &str) -> Option<Timeline> {
        timeline(title, &self.stored.path, &self.placement.hosts).unwrap_or_else(|error| {
            Some(Timeline {
                title: title.to_owned(),
                bars: Vec::new(),
                end: 0.0,
                note: Some(format!("events.jsonl could not be read: {error}")),
            })
        })
    }
}

/// What is missing of a run.
fn missing(run: &StoredRun) -> Option<String> {
    let name = run.name();
    if run.record.version() == 1 {
        return Some(format!("{name} is of an earlier release, which measured nothing"));
    }
    let ended = match run.record.verdict {
        _ if !run.is_complete() => "is incomplete: it was cut off, or is in progress",
        Some(Verdict::Interrupted) => "was interrupted",
        Some(Verdict::Aborted) => "was ended early by a criterion",
        _ => return None,
    };
    Some(format!("{name} {ended}. What it has so far is shown"))
}

/// The own medians of the nodes, for each metric with samples.
fn by_node(samples: &[Sample]) -> BTreeMap<MetricName, Vec<f64>> {
    let mut by_metric: BTreeMap<&MetricName, BTreeMap<&NodeName, Vec<f64>>> = BTreeMap::new();
    for sample in samples {
        let nodes = by_metric.entry(&sample.metric).or_default();
        if let Some(node) = &sample.node {
            nodes.entry(node).or_default().push(sample.value);
        }
    }
    let medians = by_metric.into_iter().map(|(metric, nodes)| {
        let medians = nodes.values().filter_map(|values| Statistic::Median.of(values));
        let medians = medians.filter(|value| value.is_finite()).collect();
        (metric.clone(), medians)
    });
    medians.collect()
}

fn row(run: &StoredRun, seconds: Option<f64>) -> RunRow {
    let verdict = run.record.verdict.filter(|_| run.is_complete());
    let mark = match verdict {
        Some(Verdict::Passed) => Mark::Good,
        Some(Verdict::CriteriaFailed | Verdict::WorkloadFailed | Verdict::Aborted) => Mark::Bad,
        Some(Verdict::Interrupted) | None => Mark::Open,
    };
    let words = match verdict {
        Some(verdict) => verdict.as_str().replace('_', " "),
        None if run.is_complete() => "no verdict".to_owned(),
        None => "incomplete".to_owned(),
    };
    RunRow {
        name: run.name().to_owned(),
        variant: variant_text(&run.record.variant),
        mark,
        verdict: words,
        began: run.began().map_or_else(|| "-".to_owned(), moment),
        took: seconds.map_or_else(|| "-".to_owned(), |took| value(took, Some(&Unit::seconds()))),
        nodes: run.nodes(),
    }
}

/// A moment as people read it: `2026-01-31 12:00:00 UTC`.
pub(super) fn moment(moment: Moment) -> String {
    moment.to_string().replace('T', " ").replace('Z', " UTC")
}

/// What failed: criteria, then steps by how they ended, with the end of what a node printed.
fn failures(run: &Path, findings: &[Finding], reports: &[StepReport]) -> Vec<Failure> {
    let criteria = findings.iter().filter(|finding| finding.fails());
    let mut failures: Vec<Failure> = criteria
        .map(|finding| Failure {
            text: format!("criterion {}: {}", titled(&finding.criterion), explained(finding)),
            output: None,
        })
        .collect();
    let mut outputs = 0;
    for report in reports {
        let failed = report
            .nodes
            .iter()
            .filter(|result| result.outcome != Outcome::Passed);
        for (outcome, nodes) in grouped(failed.map(|result| (result.outcome.describe(), &result.node))) {
            let output = nodes.first().filter(|_| outputs < OUTPUTS);
            let output = output.and_then(|node| printed(run, &report.step, node));
            outputs += usize::from(output.is_some());
            failures.push(Failure {
                text: format!(
                    "step {} on {} ({}): {outcome}",
                    report.step,
                    plural(nodes.len(), "node"),
                    nodeset::fold(nodes)
                ),
                output,
            });
        }
    }
    failures
}
