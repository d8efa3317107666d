//! The growth of metrics for people and for programs: models, predictions, criteria, and the size that fails. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::strip::{extent, strip};
use super::style::{ERROR, HEADING, WARNING};
use super::table;
use super::value::{number, value};
use crate::analysis::Interval;
use crate::base::name::GroupName;
use crate::base::text::{plural, sanitize_painted};
use crate::cluster::experiment::{Boundary, Find, Found, GrowthReport, GrowthRow, RankedCost, models};
use crate::measure::{Finding, Judgement, Statistic};

/// Metrics that are shown: all with a criterion, and of the others as many as make up this.
const ROWS: usize = 40;

/// Metrics in the ranking.
const RANKED: usize = 10;

/// The growth as text, with its styles. `is_utf8`: whether the strips may have characters beyond ASCII.
pub fn text(report: &GrowthReport, is_utf8: bool) -> String {
    let sizes: Vec<String> = report.sizes.keys().map(u32::to_string).collect();
    let variant = if report.variant.is_empty() {
        String::new()
    } else {
        format!(", {}", report.variant)
    };
    let mut text = format!(
        "{HEADING}growth with {} ({} nodes){variant}{HEADING:#}\n",
        report.group,
        sizes.join(", ")
    );
    for warning in &report.warnings {
        let _ = writeln!(text, "{WARNING}warning{WARNING:#}: {warning}");
    }
    text.push('\n');
    text.push_str(&rows(report, is_utf8));
    if !report.ranking.is_empty() {
        text.push('\n');
        text.push_str(&ranking(report));
    }
    if !report.findings.is_empty() {
        text.push('\n');
        for finding in &report.findings {
            let _ = writeln!(text, "{}", verdict(finding));
        }
    }
    sanitize_painted(&text).into_owned()
}

fn rows(report: &GrowthReport, is_utf8: bool) -> String {
    let at = format!("at {}", report.target);
    let headings = [
        "metric",
        "by size",
        "grows with",
        "error",
        at.as_str(),
        "interval",
        "largest held out",
    ];
    let mut table = table::new(&headings);
    let named = report.rows.iter().filter(|row| row.has_criterion).count();
    let count = ROWS.max(named).min(report.rows.len());
    for row in &report.rows[..count] {
        let unit = row.unit.as_ref();
        let (growth, error) = match &row.fit {
            Some(fit) => (models(fit), format!("{} %", number(fit.best.error * 100.0))),
            None => ("unknown: fewer than 3 sizes".to_owned(), "-".to_owned()),
        };
        let predicted = row.prediction.as_ref();
        let held_out = row
            .held_out
            .as_ref()
            .map_or("-", |held_out| if held_out.inside { "inside" } else { "outside" });
        table.add_row([
            name(row),
            by_size(row, is_utf8),
            growth,
            error,
            predicted.map_or_else(|| "-".to_owned(), |it| value(it.value, unit)),
            predicted.map_or_else(|| "-".to_owned(), |it| interval(row, &it.interval)),
            held_out.to_owned(),
        ]);
    }
    let mut text = table::render(&table);
    let more = report.rows.len() - count;
    if more > 0 {
        let _ = writeln!(text, "{}: --format json shows them", plural(more, "more metric"));
    }
    text
}

/// A metric with the statistic that is not the usual one: `join_seconds (p99)`.
fn name(row: &GrowthRow) -> String {
    match row.statistic {
        Statistic::Median => row.metric.to_string(),
        other => format!("{} ({other})", row.metric),
    }
}

/// The medians as a strip. It begins at 0, unless there are values below.
fn by_size(row: &GrowthRow, is_utf8: bool) -> String {
    let medians: Vec<f64> = row.medians.iter().map(|(_, median)| *median).collect();
    let (low, high) = extent(&medians).unwrap_or((0.0, 0.0));
    strip(&medians, low.min(0.0), high, is_utf8)
}

fn interval(row: &GrowthRow, interval: &Interval) -> String {
    let unit = row.unit.as_ref();
    format!("{} to {}", value(interval.low, unit), value(interval.high, unit))
}

fn ranking(report: &GrowthReport) -> String {
    let mut text = format!(
        "{HEADING}most expensive at {} nodes of {}{HEADING:#}\n",
        report.target, report.group
    );
    let largest = report.sizes.keys().next_back().copied().unwrap_or(0);
    let mut table = table::new(&["metric", "value", &format!("times that at {largest}")]);
    for cost in report.ranking.iter().take(RANKED) {
        let RankedCost {
            metric,
            value: at,
            unit,
            times,
        } = cost;
        table.add_row([
            metric.to_string(),
            value(*at, unit.as_ref()),
            times.map_or_else(|| "-".to_owned(), number),
        ]);
    }
    text.push_str(&table::render(&table));
    text
}

/// A criterion of growth on a line.
fn verdict(finding: &Finding) -> String {
    let word = match finding.judgement {
        Judgement::Passed => "passed".to_owned(),
        Judgement::NotApplicable => format!("{WARNING}not judged{WARNING:#}"),
        Judgement::Failed | Judgement::NoSamples if finding.fails() => format!("{ERROR}failed{ERROR:#}"),
        Judgement::Failed | Judgement::NoSamples => format!("{WARNING}warning{WARNING:#}"),
    };
    let criterion = &finding.criterion;
    let note = finding.note.as_deref().unwrap_or_default();
    format!("{word}: {} {}: {note}", criterion.metric, criterion.text)
}

/// What the search for the smallest size that fails has found.
pub fn found(found: &Found, find: &Find, group: &GroupName) -> String {
    let criterion = format!("{} {}", find.criterion.metric, find.criterion.text);
    let runs = |size: &u32| {
        let tried = found.tried.get(size).copied().unwrap_or_default();
        format!("fails in {} of {}", tried.failed, plural(tried.runs, "run"))
    };
    let mut text = match &found.boundary {
        Boundary::Between { holds, fails } => format!(
            "`{criterion}` fails from {fails} nodes of {group} on ({}), and holds at {holds} ({})",
            runs(fails),
            runs(holds)
        ),
        Boundary::FailsAtOnce(size) => format!(
            "`{criterion}` fails at the smallest size already, {size} ({}): give a smaller one",
            runs(size)
        ),
        Boundary::HoldsThroughout(size) => format!(
            "`{criterion}` holds up to the largest size, {size} ({}): give a larger one",
            runs(size)
        ),
        Boundary::Unknown(size) => {
            format!("`{criterion}` could not be judged at {size}: no complete run has samples of it")
        }
    };
    let exceptions = found.exceptions();
    if !exceptions.is_empty() {
        let sizes: Vec<String> = exceptions.iter().map(u32::to_string).collect();
        let _ = write!(
            text,
            "\nit holds at {} all the same: it does not depend on the size alone",
            sizes.join(", ")
        );
    }
    text
}

/// The largest size at which a criterion holds and the smallest at which it fails, as far as they are known.
pub fn bounds(found: &Found) -> (Option<u32>, Option<u32>) {
    match found.boundary {
        Boundary::Between { holds, fails } => (Some(holds), Some(fails)),
        Boundary::FailsAtOnce(fails) => (None, Some(fails)),
        Boundary::HoldsThroughout(holds) => (Some(holds), None),
        Boundary::Unknown(_) => (None, None),
    }
}

/// The growth for programs.
pub fn json(report: &GrowthReport) -> Value {
    let interval = |interval: &Interval| json!([interval.low, interval.high]);
    let rows = report.rows.iter().map(|row| {
        let others = |fit: &crate::analysis::Fit| -> Vec<String> {
            fit.others.iter().map(|model| model.growth.to_string()).collect()
        };
        json!({
            "metric": row.metric,
            "statistic": row.statistic,
            "unit": row.unit,
            "values": row.values,
            "medians": row.medians,
            "growth": row.fit.as_ref().map(|fit| fit.best.growth),
            "cannot_tell_from": row.fit.as_ref().map(others),
            "constant": row.fit.as_ref().map(|fit| fit.best.constant),
            "factor": row.fit.as_ref().map(|fit| fit.best.factor),
            "error": row.fit.as_ref().map(|fit| fit.best.error),
            "predicted": row.prediction.as_ref().map(|it| it.value),
            "interval": row.prediction.as_ref().map(|it| interval(&it.interval)),
            "held_out_inside": row.held_out.as_ref().map(|it| it.inside),
        })
    });
    let ranking = report.ranking.iter().map(
        |cost| json!({ "metric": cost.metric, "value": cost.value, "unit": cost.unit, "times": cost.times }),
    );
    json!({
        "group": report.group,
        "variant": report.variant,
        "sizes": report.sizes,
        "target": report.target,
        "metrics": rows.collect::<Vec<_>>(),
        "ranking": ranking.collect::<Vec<_>>(),
        "findings": report.findings,
        "warnings": report.warnings,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::style::plain;
    use super::*;
    use crate::cluster::experiment::Tried;

    #[test]
    fn what_was_found_says_where_it_fails_and_how_often_it_ran() {
        let find = Find::parse("join: p99 < 2s").unwrap();
        let group = "worker".parse().unwrap();
        let mut tried = BTreeMap::from([
            (40, Tried { runs: 5, failed: 1 }),
            (41, Tried { runs: 1, failed: 1 }),
            (80, Tried { runs: 5, failed: 5 }),
        ]);
        let boundary = Boundary::Between { holds: 40, fails: 41 };
        let shown = |boundary: Boundary, tried: &BTreeMap<u32, Tried>| {
            let tried = tried.clone();
            found(&Found { boundary, tried }, &find, &group)
        };
        assert_eq!(
            shown(boundary, &tried),
            "`join p99 < 2s` fails from 41 nodes of worker on (fails in 1 of 1 run), and holds at 40 (fails in 1 of 5 \
             runs)"
        );
        tried.insert(80, Tried { runs: 5, failed: 0 });
        assert!(
            shown(boundary, &tried)
                .ends_with("it holds at 80 all the same: it does not depend on the size alone")
        );
        let text = shown(Boundary::HoldsThroughout(80), &tried);
        assert!(
            text.contains("holds up to the largest size, 80 (fails in 0 of 5 runs)"),
            "{text}"
        );
    }

    #[test]
    fn a_report_without_models_says_why() {
        let row = GrowthRow {
            metric: "join".parse().unwrap(),
            statistic: Statistic::Max,
            unit: None,
            better: crate::measure::Better::Lower,
            has_criterion: true,
            medians: vec![(10, 1.0), (20, 7.0)],
            values: 2,
            fit: None,
            prediction: None,
            held_out: None,
        };
        let report = GrowthReport {
            group: "worker".parse().unwrap(),
            variant: "rev=new".into(),
            sizes: BTreeMap::from([(10, 1), (20, 1)]),
            target: 20,
            rows: vec![row],
            findings: Vec::new(),
            ranking: Vec::new(),
            warnings: vec!["2 sizes".into()],
        };
        let text = plain(&text(&report, false));
        assert!(
            text.starts_with("growth with worker (10, 20 nodes), rev=new\nwarning: 2 sizes\n\n"),
            "{text}"
        );
        assert!(
            text.contains("join (max)  .#       unknown: fewer than 3 sizes"),
            "{text}"
        );
        assert_eq!(json(&report)["metrics"][0]["medians"][1][0], 20);
    }
}
