//! One run for people: its record, its criteria, what was wrong with its metrics, and a line for each metric.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::steps::failed_steps;
use super::{cell, field, or_dash, verdict};
use crate::extract::Trouble;
use crate::measure::figure::{self, with_bound};
use crate::measure::{Finding, Judgement, MetricName, Severity, Statistic};
use crate::nodeset::fold;
use crate::report::style::HEADING;
use crate::report::table;
use crate::runs::{StoredRun, unit_of, variant_text};
use crate::workload::{Record, StepReport};

/// What a run has besides its record.
#[derive(Debug)]
pub struct Details {
    /// How its steps ended.
    pub reports: Vec<StepReport>,
    /// What became of its criteria.
    pub findings: Vec<Finding>,
    /// What was wrong with its metrics.
    pub troubles: Vec<Trouble>,
    /// The values of each metric.
    pub series: BTreeMap<MetricName, Vec<f64>>,
}

/// The run in detail.
pub fn run(run: &StoredRun, details: &Details) -> String {
    let mut out = record(run);
    let failed = failed_steps(&details.reports);
    if !failed.is_empty() {
        heading(&mut out, "failed steps");
        for line in failed {
            let _ = writeln!(out, "{line}");
        }
    }
    if !details.findings.is_empty() {
        heading(&mut out, "criteria");
        out.push_str(&criteria(&details.findings));
    }
    if !details.troubles.is_empty() {
        heading(&mut out, "troubles");
        out.push_str(&troubles(&details.troubles));
    }
    if !details.series.is_empty() {
        heading(&mut out, "metrics");
        out.push_str(&metrics(&run.record, &details.series));
    }
    if !run.record.assumptions.is_empty() {
        heading(&mut out, "assumptions");
        for (name, value) in &run.record.assumptions {
            let _ = writeln!(out, "{}: {}", cell(name), cell(value));
        }
    }
    out
}

fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, "\n{HEADING}{text}{HEADING:#}");
}

fn record(run: &StoredRun) -> String {
    let record = &run.record;
    let sizes = record.sizes.iter();
    let sizes: Vec<String> = sizes.map(|(group, size)| format!("{group} {size}")).collect();
    let mut nodes = run.nodes().to_string();
    if !sizes.is_empty() {
        let _ = write!(nodes, " ({})", sizes.join(", "));
    }
    let mut out = String::new();
    for (name, value) in [
        ("run", run.name().to_owned()),
        ("path", run.path.display().to_string()),
        ("cluster", shown(record.cluster.as_ref())),
        ("nodes", nodes),
        ("began", shown(run.began())),
        ("ended", shown(record.ended)),
        ("verdict", verdict(run)),
        ("variant", variant_text(&record.variant)),
        ("repetition", shown(record.repetition)),
        ("experiment", shown(record.experiment.as_ref())),
        ("labels", variant_text(&record.labels)),
    ] {
        field(&mut out, name, &value);
    }
    out
}

fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn criteria(findings: &[Finding]) -> String {
    let mut table = table::new(&[
        "result",
        "metric",
        "criterion",
        "value",
        "bound",
        "samples",
        "nodes",
    ]);
    for finding in findings {
        let criterion = &finding.criterion;
        let (value, bound) = with_bound(finding.value, finding.bound, finding.unit.as_ref());
        table.add_row([
            judgement(finding),
            cell(criterion.metric.as_str()),
            cell(&criterion.text),
            value,
            bound,
            finding.samples.to_string(),
            or_dash(Some(fold(&finding.nodes)).filter(|nodes| !nodes.is_empty())),
        ]);
    }
    let mut out = table::render(&table);
    for finding in findings {
        if let Some(note) = &finding.note {
            let Finding { criterion, .. } = finding;
            let (metric, text) = (cell(criterion.metric.as_str()), cell(&criterion.text));
            let _ = writeln!(out, "note: {metric}: {text}: {}", cell(note));
        }
    }
    out
}

fn judgement(finding: &Finding) -> String {
    let text = match finding.judgement {
        Judgement::Passed => return "passed".to_owned(),
        Judgement::NotApplicable => return "not applicable".to_owned(),
        Judgement::Failed => "failed",
        Judgement::NoSamples => "no samples",
    };
    match finding.criterion.severity {
        Severity::Error => text.to_owned(),
        Severity::Warn => format!("{text} (warning)"),
    }
}

fn troubles(troubles: &[Trouble]) -> String {
    let mut table = table::new(&["metric", "step", "node", "source", "what", "times"]);
    for trouble in troubles {
        table.add_row([
            cell(trouble.metric.as_str()),
            cell(&trouble.step),
            trouble.node.to_string(),
            cell(&trouble.source),
            cell(&trouble.what),
            trouble.count.to_string(),
        ]);
    }
    let incomplete = troubles.iter().filter(|trouble| trouble.incomplete).count();
    let mut out = table::render(&table);
    if incomplete > 0 {
        let _ = writeln!(out, "samples are missing because of {incomplete} of these");
    }
    out
}

fn metrics(record: &Record, series: &BTreeMap<MetricName, Vec<f64>>) -> String {
    let mut table = table::new(&["metric", "samples", "min", "median", "max"]);
    for (metric, values) in series {
        let unit = unit_of(record, metric);
        let value = |statistic: Statistic| {
            let value = statistic.of(values);
            or_dash(value.map(|value| figure::value(value, unit.as_ref())))
        };
        table.add_row([
            cell(metric.as_str()),
            values.len().to_string(),
            value(Statistic::Min),
            value(Statistic::Median),
            value(Statistic::Max),
        ]);
    }
    table::render(&table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Unit, fixture};
    use crate::report::style::plain;

    fn finding(text: &str, judgement: Judgement, value: Option<f64>) -> Finding {
        Finding {
            value,
            ..fixture::finding(text, judgement)
        }
    }

    #[test]
    fn values_are_in_the_multiple_of_their_unit_that_fits() {
        let record = Record::new(uuid::Uuid::from_u128(7), Vec::new());
        let memory = "node.memory_bytes".parse().unwrap();
        let series = BTreeMap::from([(memory, vec![66_165_146.0, 2048.0])]);
        let text = plain(&metrics(&record, &series));
        assert!(text.contains("2 KiB") && text.contains("63.1 MiB"), "{text}");
        let mut large = finding("max < 100MiB", Judgement::Failed, Some(104_857_601.0));
        (large.bound, large.unit) = (Some(104_857_600.0), Some(Unit::bytes()));
        let text = plain(&criteria(&[large]));
        assert!(text.contains("100.000001 MiB  100 MiB"), "{text}");
    }

    #[test]
    fn a_criterion_is_shown_with_its_value_its_bound_and_its_nodes() {
        let mut failed = finding("max < 2s", Judgement::Failed, Some(2.5));
        failed.nodes = ["n001", "n002"].map(|name| name.parse().unwrap()).into();
        failed.criterion.severity = Severity::Warn;
        let mut none = finding("growth <= n", Judgement::NotApplicable, None);
        none.bound = None;
        none.note = Some("a run of one size\x1b[2J".into());
        let text = plain(&criteria(&[failed, none]));
        let cells: Vec<Vec<&str>> = text
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .collect()
            })
            .collect();
        let first = [
            "failed (warning)",
            "join_seconds",
            "max < 2s",
            "2.5 s",
            "2 s",
            "3",
            "n[001-002]",
        ];
        assert_eq!(cells[1], first);
        let second = [
            "not applicable",
            "join_seconds",
            "growth <= n",
            "-",
            "-",
            "3",
            "-",
        ];
        assert_eq!(cells[2], second);
        assert_eq!(
            cells[3],
            ["note: join_seconds: growth <= n: a run of one size^[[2J"]
        );
    }

    #[test]
    fn troubles_say_whether_samples_are_missing() {
        let trouble = Trouble {
            step: "join".into(),
            node: "n1".parse().unwrap(),
            metric: "app".parse().unwrap(),
            source: "/tmp/app.prom".into(),
            what: "is not UTF-8".into(),
            count: 7,
            incomplete: true,
        };
        let text = plain(&troubles(&[trouble]));
        assert!(
            text.contains("/tmp/app.prom") && text.contains("is not UTF-8"),
            "{text}"
        );
        assert!(
            text.ends_with("samples are missing because of 1 of these\n"),
            "{text}"
        );
    }
}
