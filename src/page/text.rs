//! A report as text for a terminal, in the order of the page.

use std::fmt::Write as _;

use super::assumptions;
use super::criteria;
use super::growth::expected;
use super::model::{Mark, Page, Strip};
use crate::base::text::{plural, sanitize_painted};
use crate::measure::figure::{number, value, with_bound};
use crate::report::comparison::{self, Look};
use crate::report::growth;
use crate::report::strip::{extent, strip};
use crate::report::table;

/// Rows of each table. More of them are on the page.
const ROWS: usize = 30;

/// Values of a strip. Of more, the lowest, the highest and those between at equal distances are shown.
const WIDTH: usize = 40;

/// The report as text, with its styles. Comparisons have the form of `vcluster compare`.
pub fn text(page: &Page, look: Look) -> String {
    let mut text = format!("{}: {}\n", page.name, page.verdict);
    for (name, value) in &page.facts {
        let _ = writeln!(text, "  {name}: {value}");
    }
    for failure in page.failures.iter().take(ROWS) {
        let _ = writeln!(text, "failed: {}", failure.text);
        if let Some((name, output)) = &failure.output {
            let _ = writeln!(text, "  the end of {name}:");
            for line in output.lines() {
                let _ = writeln!(text, "  | {line}");
            }
        }
    }
    more(&mut text, page.failures.len(), "failure");
    for note in &page.notes {
        let _ = writeln!(text, "note: {note}");
    }
    for comparison in &page.comparisons {
        let _ = write!(text, "\n{}", comparison::text(comparison, look));
    }
    runs(&mut text, page);
    criteria(&mut text, page);
    strips(&mut text, page, look.is_utf8);
    growth(&mut text, page);
    costs(&mut text, page);
    timelines(&mut text, page);
    outliers(&mut text, page);
    assumptions(&mut text, page);
    if !page.commands.is_empty() {
        text.push_str("\nagain:\n");
        for command in &page.commands {
            let _ = writeln!(text, "  {command}");
        }
    }
    sanitize_painted(&text).into_owned()
}

/// What a table leaves out.
fn more(text: &mut String, count: usize, word: &str) {
    if count > ROWS {
        let _ = writeln!(text, "{} more: --html FILE", plural(count - ROWS, word));
    }
}

/// A mark as a word: not every terminal has the characters.
fn word(mark: Mark) -> &'static str {
    match mark {
        Mark::Good => "ok",
        Mark::Bad => "FAILED",
        Mark::Open => "open",
    }
}

fn runs(text: &mut String, page: &Page) {
    if page.runs.len() < 2 {
        return;
    }
    let mut table = table::new(&["run", "variant", "verdict", "took", "nodes"]);
    for run in page.runs.iter().take(ROWS) {
        table.add_row([
            run.name.clone(),
            run.variant.clone(),
            run.verdict.clone(),
            run.took.clone(),
            run.nodes.to_string(),
        ]);
    }
    let _ = write!(text, "\n{}", table::render(&table));
    more(text, page.runs.len(), "run");
}

fn criteria(text: &mut String, page: &Page) {
    if page.criteria.is_empty() {
        return;
    }
    let mut table = table::new(&["", "criterion", "variant", "value", "bound", "result", "nodes"]);
    for row in page.criteria.iter().take(ROWS) {
        let (value, bound) = with_bound(row.value, row.bound, row.unit.as_ref());
        table.add_row([
            word(row.mark()).to_owned(),
            row.title.clone(),
            row.variant.clone(),
            value,
            bound,
            criteria::words(row),
            criteria::nodes(row),
        ]);
    }
    let _ = write!(text, "\n{}", table::render(&table));
    more(text, page.criteria.len(), "result");
}

fn strips(text: &mut String, page: &Page, is_utf8: bool) {
    if page.strips.is_empty() {
        return;
    }
    let mut table = table::new(&[
        "metric", "variant", "values", "median", "lowest", "highest", "all",
    ]);
    for metric in page.strips.iter().take(ROWS) {
        let Some((low, high)) = extent(metric.rows.iter().flat_map(|row| &row.values)) else {
            continue;
        };
        for (index, row) in metric.rows.iter().enumerate() {
            let unit = metric.unit.as_ref();
            let (least, most) = extent(&row.values).unwrap_or((f64::NAN, f64::NAN));
            table.add_row([
                if index == 0 {
                    metric.title.clone()
                } else {
                    String::new()
                },
                row.label.clone(),
                row.values.len().to_string(),
                value(row.median, unit),
                value(least, unit),
                value(most, unit),
                strip(&thinned(metric, &row.values), low, high, is_utf8),
            ]);
        }
    }
    let _ = write!(text, "\n{}", table::render(&table));
    more(text, page.strips.len(), "metric");
}

/// The values of a strip, if they are few. Those of nodes have no order of their own: sorted, so many tell how they are
/// distributed.
fn thinned(metric: &Strip, values: &[f64]) -> Vec<f64> {
    if values.len() <= WIDTH && metric.each == "run" {
        return values.to_vec();
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    if last < WIDTH {
        return sorted;
    }
    (0..WIDTH)
        .map(|index| sorted[index * last / (WIDTH - 1)])
        .collect()
}

fn growth(text: &mut String, page: &Page) {
    if page.growth.is_empty() {
        return;
    }
    let headings = [
        "metric",
        "variant",
        "runs",
        "grows with",
        "predicted",
        "interval",
        "largest held out",
        "against the first",
        "criterion",
        "result",
    ];
    let mut table = table::new(&headings);
    for chart in page.growth.iter().take(ROWS) {
        let result = match &chart.judged {
            Some((mark, why)) => format!("{}: {why}", word(*mark)),
            None => "-".to_owned(),
        };
        let predicted = chart.at_target.map(|(size, at)| {
            let at = value(at, chart.unit.as_ref());
            format!("{at} at {}", plural(size as usize, "node"))
        });
        let contrast = chart.contrast.as_ref().map(growth::against);
        let held_out = chart
            .held_out
            .map(|inside| if inside { "inside" } else { "outside" }.to_owned());
        let known = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            chart.title.clone(),
            chart.variant.clone(),
            chart.points.len().to_string(),
            known(chart.models.clone()),
            known(predicted),
            known(expected(chart)),
            known(held_out),
            known(contrast),
            known(chart.bound.as_ref().map(|(text, _)| text.clone())),
            result,
        ]);
    }
    let _ = write!(text, "\n{}", table::render(&table));
    more(text, page.growth.len(), "metric");
}

/// What metrics will cost at the target size, and where a criterion begins to fail.
fn costs(text: &mut String, page: &Page) {
    let rankings = growth::variants::rankings(&page.reports);
    if !rankings.is_empty() {
        let _ = write!(text, "\n{rankings}");
    }
    for (index, found) in page.found.iter().take(ROWS).enumerate() {
        let before = if index == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{before}{}", growth::found_earlier(found));
    }
    more(text, page.found.len(), "variant");
}

fn timelines(text: &mut String, page: &Page) {
    let seconds = crate::measure::Unit::seconds();
    let at = |time: f64| value(time, Some(&seconds));
    for timeline in &page.timelines {
        let _ = writeln!(text, "\n{}", timeline.title);
        let mut table = table::new(&["host", "stage", "times", "begin", "half ended", "end", "failed"]);
        for bar in &timeline.bars {
            table.add_row([
                bar.host.clone(),
                bar.stage.clone(),
                bar.count.to_string(),
                at(bar.begin),
                at(bar.half),
                at(bar.end),
                bar.failed.to_string(),
            ]);
        }
        text.push_str(&table::render(&table));
        if let Some(note) = &timeline.note {
            let _ = writeln!(text, "{note}");
        }
    }
}

fn outliers(text: &mut String, page: &Page) {
    if page.outliers.is_empty() {
        return;
    }
    let mut table = table::new(&[
        "node stands out",
        "metric",
        "its median",
        "its group's",
        "deviations",
        "runs",
    ]);
    for outlier in page.outliers.iter().take(ROWS) {
        let unit = outlier.unit.as_ref();
        table.add_row([
            outlier.node.to_string(),
            outlier.metric.clone(),
            value(outlier.own, unit),
            value(outlier.others, unit),
            number(outlier.deviation),
            outlier.runs.to_string(),
        ]);
    }
    let _ = write!(text, "\n{}", table::render(&table));
    more(text, page.outliers.len(), "finding");
}

/// What differs between the runs; the others are on the page.
fn assumptions(text: &mut String, page: &Page) {
    let differ = page
        .assumptions
        .iter()
        .filter(|assumption| assumption.values.len() > 1);
    let differ: Vec<_> = differ.collect();
    let same = page.assumptions.len() - differ.len();
    if !page.assumptions.is_empty() {
        let _ = writeln!(
            text,
            "\n{} (--html FILE shows them)",
            plural(same, "equal assumption")
        );
    }
    for assumption in differ.iter().take(ROWS) {
        let _ = writeln!(
            text,
            "differs: {}: {}",
            assumption.key,
            assumptions::words(assumption)
        );
    }
    more(text, differ.len(), "difference");
}
