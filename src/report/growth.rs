//! The growth of metrics for people and for programs: models, predictions, criteria, and the size that fails. Pure.

pub mod variants;

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::strip::{extent, strip};
use super::style::{ERROR, HEADING, WARNING};
use super::table;
use crate::analysis::Interval;
use crate::base::name::GroupName;
use crate::base::text::{plural, sanitize_painted};
use crate::cluster::experiment::{Boundary, Contrast, Find, Found, GrowthReport, GrowthRow, models};
use crate::measure::figure::{number, value};
use crate::measure::{Finding, Judgement, Statistic};
use crate::runs::ExperimentFound;

/// Metrics that are shown: all with a criterion, and of the others as many as make up this.
const ROWS: usize = 40;

/// Metrics in the ranking.
pub const RANKED: usize = 10;

/// What stands below a ranking in which times of steps or stages come last.
pub const EXPLAINED: &str =
    "the time of a step or a stage is the sum of what happens in it: it comes after what explains it\n";

/// The growth as text, with its styles. `is_utf8`: whether the strips may have characters beyond ASCII.
pub fn text(report: &GrowthReport, is_utf8: bool) -> String {
    let sizes: Vec<String> = report.sizes.keys().map(u32::to_string).collect();
    let variant = named(", ", &report.variant, "");
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
            let _ = writeln!(text, "{}", verdict(finding, ""));
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
        let figures = figures(row, report.target, scale([row]), is_utf8);
        table.add_row(std::iter::once(name(row)).chain(figures));
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

/// What stands between commas or the like, if there is anything: `, rev=new`.
fn named(before: &str, name: &str, after: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!("{before}{name}{after}")
    }
}

/// The cells of a metric: its medians by size as a strip, its growth with the error, its value at the target with the
/// interval, and whether the largest size was predicted.
fn figures(row: &GrowthRow, target: u32, (low, high): (f64, f64), is_utf8: bool) -> [String; 6] {
    let unit = row.unit.as_ref();
    let medians: Vec<f64> = row.medians.iter().map(|(_, median)| *median).collect();
    let (growth, error) = match &row.fit {
        Some(fit) => (models(fit), format!("{} %", number(fit.best.error * 100.0))),
        None => ("unknown: fewer than 3 sizes".to_owned(), "-".to_owned()),
    };
    let at = row.at_target(target);
    let predicted = row.prediction.as_ref();
    let held_out = row
        .held_out
        .as_ref()
        .map_or("-", |held_out| if held_out.inside { "inside" } else { "outside" });
    [
        strip(&medians, low, high, is_utf8),
        growth,
        error,
        at.map_or_else(|| "-".to_owned(), |at| value(at, unit)),
        predicted.map_or_else(|| "-".to_owned(), |it| interval(row, &it.interval)),
        held_out.to_owned(),
    ]
}

/// The scale of the strips of a metric. It begins at 0, unless there are values below.
fn scale<'a>(rows: impl IntoIterator<Item = &'a GrowthRow>) -> (f64, f64) {
    let medians = rows.into_iter().flat_map(|row| &row.medians);
    let (low, high) = extent(medians.map(|(_, median)| median)).unwrap_or((0.0, 0.0));
    (low.min(0.0), high)
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
    let smallest = report.sizes.keys().next().copied().unwrap_or(0);
    let largest = report.sizes.keys().next_back().copied().unwrap_or(0);
    let since = [largest, smallest].map(|size| format!("times that at {size}"));
    let mut table = table::new(&["metric", "value", &since[0], &since[1]]);
    let shown = report.ranking.iter().take(RANKED);
    for cost in shown.clone() {
        let times = |times: Option<f64>| times.map_or_else(|| "-".to_owned(), number);
        table.add_row([
            cost.metric.to_string(),
            value(cost.value, cost.unit.as_ref()),
            times(cost.times),
            times(cost.grown),
        ]);
    }
    text.push_str(&table::render(&table));
    if shown.clone().any(|cost| cost.is_explained) {
        text.push_str(EXPLAINED);
    }
    text
}

/// How many times larger or smaller a variant is than the baseline: `81 times smaller`.
pub fn against(contrast: &Contrast) -> String {
    let (times, word) = if contrast.times >= 1.0 {
        (contrast.times, "larger")
    } else {
        (1.0 / contrast.times, "smaller")
    };
    let times = number(times);
    let text = if times == "1" {
        "equal".to_owned()
    } else {
        format!("{times} times {word}")
    };
    match contrast.overlaps {
        Some(true) => format!("{text} (intervals overlap)"),
        _ => text,
    }
}

/// A criterion of growth on a line, with the variant if there are several.
fn verdict(finding: &Finding, variant: &str) -> String {
    let word = match finding.judgement {
        Judgement::Passed => "passed".to_owned(),
        Judgement::NotApplicable => format!("{WARNING}not judged{WARNING:#}"),
        Judgement::Failed | Judgement::NoSamples if finding.fails() => format!("{ERROR}failed{ERROR:#}"),
        Judgement::Failed | Judgement::NoSamples => format!("{WARNING}warning{WARNING:#}"),
    };
    let criterion = &finding.criterion;
    let note = finding.note.as_deref().unwrap_or_default();
    let variant = named("", variant, ": ");
    format!("{word}: {variant}{} {}: {note}", criterion.metric, criterion.text)
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

/// What a search has found that was done earlier.
pub fn found_earlier(found: &ExperimentFound) -> String {
    let ExperimentFound {
        variant,
        criterion,
        holds,
        fails,
    } = found;
    let variant = named("", variant, ": ");
    let text = match (holds, fails) {
        (Some(holds), Some(fails)) => format!("fails from {fails} nodes on, and holds at {holds}"),
        (None, Some(fails)) => format!("fails at the smallest size already, {fails}"),
        (Some(holds), None) => format!("holds up to the largest size, {holds}"),
        (None, None) => "could not be judged at all sizes".to_owned(),
    };
    format!("{variant}`{criterion}` {text}")
}

/// The ranking for programs.
pub fn ranking_json(report: &GrowthReport) -> Vec<Value> {
    let ranking = report.ranking.iter().map(|cost| {
        json!({
            "metric": cost.metric,
            "value": cost.value,
            "unit": cost.unit,
            "times": cost.times,
            "times_smallest": cost.grown,
            "explained": cost.is_explained,
        })
    });
    ranking.collect()
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
    json!({
        "group": report.group,
        "variant": report.variant,
        "sizes": report.sizes,
        "target": report.target,
        "metrics": rows.collect::<Vec<_>>(),
        "ranking": ranking_json(report),
        "findings": report.findings,
        "warnings": report.warnings,
    })
}

#[cfg(test)]
mod tests;
