//! Comparisons for people: the verdict in words, the judged metrics with their figures, strips of all runs, the other
//! metrics, what was accepted, and the commands that make it again. Pure.

mod headline;
mod json;
mod junit;

use std::fmt::Write as _;

use super::strip::{extent, strip};
use super::style::{ERROR, HEADING, HINT, WARNING};
use super::table;
use crate::base::text::{plural, sanitize_painted};
use crate::compare::{ChangeVerdict, Comparison, Difference, MetricComparison};
use crate::measure::Statistic;
use crate::measure::figure::{number, percent, probability, value};

pub use headline::headline;
pub use json::json;
pub use junit::junit;

/// Metrics that are not judged are explanation; more than this is noise.
const SHOWN: usize = 20;

/// How a comparison is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether strips may have characters beyond ASCII.
    pub is_utf8: bool,
    /// All metrics that are not judged, not only those that changed most.
    pub all: bool,
}

/// A comparison as text, with its styles.
pub fn text(comparison: &Comparison, look: Look) -> String {
    let style = match comparison.verdict {
        ChangeVerdict::Worse => ERROR,
        ChangeVerdict::Inconclusive => WARNING,
        ChangeVerdict::Better | ChangeVerdict::Equal => HEADING,
    };
    let headline = headline(comparison);
    let (word, rest) = headline.split_once(':').unwrap_or((headline.as_str(), ""));
    let mut text = format!("{style}{word}{style:#}:{rest}\n\n");
    let (a, b) = comparison.runs;
    let _ = writeln!(text, "A  {}, {}", comparison.a, plural(a, "run"));
    let _ = writeln!(text, "B  {}, {}", comparison.b, plural(b, "run"));
    if !comparison.judged.is_empty() {
        text.push('\n');
        text.push_str(&judged(&comparison.judged));
        text.push_str(&remarks(&comparison.judged));
        text.push('\n');
        text.push_str(&strips(&comparison.judged, look.is_utf8));
    }
    if !comparison.shown.is_empty() {
        text.push('\n');
        text.push_str(&shown(&comparison.shown, look.all));
    }
    text.push_str(&list("differs on your word (--despite):", &comparison.despite));
    text.push_str(&list("differs, as it may:", &comparison.varied));
    if !comparison.reproduce.is_empty() {
        let _ = writeln!(text, "\n{HINT}again:{HINT:#}");
        for command in &comparison.reproduce {
            let _ = writeln!(text, "  {command}");
        }
    }
    sanitize_painted(&text).into_owned()
}

/// A metric with the statistic that is not the usual one: `join_seconds (p99)`.
fn name(metric: &MetricComparison) -> String {
    match metric.statistic {
        Statistic::Median => metric.metric.to_string(),
        other => format!("{} ({other})", metric.metric),
    }
}

fn judged(metrics: &[MetricComparison]) -> String {
    let mut table = table::new(&[
        "judged metric",
        "median a",
        "median b",
        "change",
        "99 % interval",
        "p (adjusted)",
        "verdict",
        "could have found",
    ]);
    for metric in metrics {
        table.add_row([
            name(metric),
            value(metric.median_a, metric.unit.as_ref()),
            value(metric.median_b, metric.unit.as_ref()),
            percent(metric.change),
            interval(metric),
            probability(metric.adjusted),
            verdict(metric),
            metric.detectable.map_or_else(|| "-".to_owned(), unsigned),
        ]);
    }
    table::render(&table)
}

/// `+9.8 % to +14 %`; that of the absolute change if the relative one has no bounds.
fn interval(metric: &MetricComparison) -> String {
    let relative = &metric.interval;
    if relative.low.is_finite() && relative.high.is_finite() {
        return format!("{} to {}", percent(relative.low), percent(relative.high));
    }
    match &metric.difference {
        Some(difference) if difference.low.is_finite() && difference.high.is_finite() => {
            let unit = metric.unit.as_ref();
            format!(
                "{} to {}",
                value(difference.low, unit),
                value(difference.high, unit)
            )
        }
        _ => "-".to_owned(),
    }
}

/// A share without a sign: `3.2 %`.
fn unsigned(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

fn verdict(metric: &MetricComparison) -> String {
    let word = metric.verdict.as_str();
    match (&metric.accepted, &metric.expired, metric.runs_needed) {
        (Some(_), ..) => format!("{word}, accepted"),
        (None, Some(_), _) => format!("{word}, no longer accepted"),
        (None, None, Some(runs)) => format!("{word}: {} a side", plural(runs, "run")),
        (None, None, None) => word.to_owned(),
    }
}

/// What is special about metrics, a line each.
fn remarks(metrics: &[MetricComparison]) -> String {
    let mut text = String::new();
    for metric in metrics {
        let name = &metric.metric;
        if let Some(note) = &metric.note {
            let _ = writeln!(text, "{name}: {note}");
        }
        if let Some(entry) = &metric.accepted {
            let _ = writeln!(text, "{name}: accepted until {}: {}", entry.until, entry.reason);
        }
        if let Some(entry) = &metric.expired {
            let _ = writeln!(
                text,
                "{name}: was accepted until {}: {}",
                entry.until, entry.reason
            );
        }
    }
    text
}

/// Both sides of each metric on a scale of their own.
fn strips(metrics: &[MetricComparison], is_utf8: bool) -> String {
    let mut table = table::new(&["every run", "", "", "lowest", "highest"]);
    for metric in metrics {
        let Some((low, high)) = extent(metric.a.iter().chain(&metric.b)) else {
            continue;
        };
        for (side, values) in [("A", &metric.a), ("B", &metric.b)] {
            let unit = metric.unit.as_ref();
            let (least, most) = extent(values).unwrap_or((f64::NAN, f64::NAN));
            table.add_row([
                if side == "A" { name(metric) } else { String::new() },
                side.to_owned(),
                strip(values, low, high, is_utf8),
                value(least, unit),
                value(most, unit),
            ]);
        }
    }
    table::render(&table)
}

/// The metrics that are not judged, those that changed most first.
fn shown(metrics: &[MetricComparison], all: bool) -> String {
    let mut sorted: Vec<&MetricComparison> = metrics.iter().collect();
    // What one side does not have comes last.
    let size = |metric: &MetricComparison| match metric.change.abs() {
        size if size.is_nan() => -1.0,
        size => size,
    };
    sorted.sort_by(|one, other| size(other).total_cmp(&size(one)));
    let count = if all {
        sorted.len()
    } else {
        SHOWN.min(sorted.len())
    };
    let mut table = table::new(&["not judged", "median a", "median b", "change"]);
    for metric in &sorted[..count] {
        table.add_row([
            name(metric),
            value(metric.median_a, metric.unit.as_ref()),
            value(metric.median_b, metric.unit.as_ref()),
            percent(metric.change),
        ]);
    }
    let mut text = table::render(&table);
    if count < sorted.len() {
        let _ = writeln!(text, "{} more: --all", sorted.len() - count);
    }
    text
}

fn list(title: &str, differences: &[Difference]) -> String {
    let mut text = String::new();
    if !differences.is_empty() {
        let _ = writeln!(text, "\n{HEADING}{title}{HEADING:#}");
        for difference in differences {
            let _ = writeln!(text, "  {difference}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
