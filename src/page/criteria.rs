//! Criteria with value, bound and the nodes that break them; and for comparisons, the metrics that are judged.

use maud::{Markup, html};

use super::budget::Budget;
use super::model::{CriterionRow, Mark};
use crate::base::text::plural;
use crate::compare::{ChangeVerdict, Comparison, MetricComparison};
use crate::measure::Statistic;
use crate::measure::figure::{number, percent, probability, value, with_bound};
use crate::nodeset;
use crate::report::comparison::headline;

/// Bytes of the page that criteria may take, and those that comparisons may take.
const CRITERIA: usize = 150_000;
const COMPARISONS: usize = 150_000;

/// Nodes that are named one by one.
const NAMED: usize = 5;

/// The section of the criteria.
pub(super) fn section(criteria: &[CriterionRow]) -> Markup {
    let has_variants = criteria.iter().any(|row| !row.variant.is_empty());
    let draw = |criterion: &CriterionRow| row(criterion, has_variants);
    let (drawn, left_out) = Budget::new(CRITERIA).fitting(criteria, draw);
    html! {
        @if !criteria.is_empty() {
            section {
                h2 { "Criteria" }
                div.scroll {
                    table {
                        thead {
                            tr {
                                th scope="col" { "result" }
                                th scope="col" { "criterion" }
                                @if has_variants { th scope="col" { "variant" } }
                                th.number scope="col" { "value" }
                                th.number scope="col" { "bound" }
                                th scope="col" { "nodes that break it" }
                            }
                        }
                        tbody { @for row in &drawn { (row) } }
                    }
                }
                @if left_out > 0 { p.note { (plural(left_out, "further criterion result")) " left out" } }
            }
        }
    }
}

fn row(row: &CriterionRow, has_variants: bool) -> Markup {
    let mark = row.mark();
    let (value, bound) = with_bound(row.value, row.bound, row.unit.as_ref());
    html! {
        tr {
            td { span class={ "mark " (mark.as_str()) } { (mark.symbol()) } " " (words(row)) }
            th scope="row" {
                code { (row.title) }
                @if row.only_warns { " (warning only)" }
                @if let Some(note) = &row.note { br; small { (note) } }
            }
            @if has_variants { td { (row.variant) } }
            td.number { (value) }
            td.number { (bound) }
            td { (nodes(row)) }
        }
    }
}

/// What became of a criterion: of several runs, in how many.
pub(super) fn words(row: &CriterionRow) -> String {
    let all = row.passed + row.failed + row.open;
    if all <= 1 {
        return match row.mark() {
            Mark::Good => "passed",
            Mark::Bad => "failed",
            Mark::Open => "not judged",
        }
        .to_owned();
    }
    let mut text = format!("{} of {} passed", row.passed, plural(all, "run"));
    if row.open > 0 {
        text.push_str(&format!(", {} not judged", row.open));
    }
    text
}

/// The worst nodes by name, all of them as a node set.
pub(super) fn nodes(row: &CriterionRow) -> String {
    let all = &row.nodes;
    if all.is_empty() {
        return "-".to_owned();
    }
    let several = row.passed + row.failed + row.open > 1;
    let first = all.iter().take(NAMED).map(|(node, runs)| {
        if several {
            format!("{node} ({})", plural(*runs, "run"))
        } else {
            node.to_string()
        }
    });
    let mut text = first.collect::<Vec<_>>().join(", ");
    if all.len() > NAMED {
        let folded = nodeset::fold(all.iter().map(|(node, _)| node.as_str()));
        text.push_str(&format!(" and {} more: {folded}", all.len() - NAMED));
    }
    text
}

/// The section of the comparisons.
pub(super) fn comparisons(comparisons: &[Comparison]) -> Markup {
    let (drawn, left_out) = Budget::new(COMPARISONS).fitting(comparisons, comparison);
    html! {
        @if !comparisons.is_empty() {
            section {
                h2 { "Comparison" }
                @for comparison in &drawn { (comparison) }
                @if left_out > 0 { p.note { (plural(left_out, "further comparison")) " left out" } }
            }
        }
    }
}

/// The mark of a verdict.
pub(super) fn mark(verdict: ChangeVerdict) -> Mark {
    match verdict {
        ChangeVerdict::Worse => Mark::Bad,
        ChangeVerdict::Better | ChangeVerdict::Equal => Mark::Good,
        ChangeVerdict::Inconclusive => Mark::Open,
    }
}

fn comparison(comparison: &Comparison) -> Markup {
    let mark = mark(comparison.verdict);
    html! {
        h3 { (comparison.a) " and " (comparison.b) }
        p { span class={ "mark " (mark.as_str()) } { (mark.symbol()) } " " (headline(comparison)) }
        @if !comparison.judged.is_empty() {
            div.scroll {
                table {
                    thead {
                        tr {
                            @for heading in ["verdict", "metric"] { th scope="col" { (heading) } }
                            @for heading in ["median of A", "median of B", "change", "interval", "adjusted p"] {
                                th.number scope="col" { (heading) }
                            }
                            th.number scope="col" { "smallest change it could have found" }
                        }
                    }
                    tbody { @for metric in &comparison.judged { (judged(metric)) } }
                }
            }
        }
        @for (title, differences) in [
            ("Differs on the user's word", &comparison.despite),
            ("Differs, as it may", &comparison.varied),
        ] {
            @if !differences.is_empty() {
                p { (title) ":" }
                ul { @for difference in differences { li { (difference) } } }
            }
        }
    }
}

fn judged(metric: &MetricComparison) -> Markup {
    let unit = metric.unit.as_ref();
    let mark = mark(metric.verdict);
    let (low, high) = (metric.interval.low, metric.interval.high);
    let interval = if low.is_finite() && high.is_finite() {
        format!("{} to {}", percent(low), percent(high))
    } else {
        "-".to_owned()
    };
    let detectable = metric.detectable;
    let detectable =
        detectable.map_or_else(|| "-".to_owned(), |share| format!("{} %", number(share * 100.0)));
    html! {
        tr {
            td { span class={ "mark " (mark.as_str()) } { (mark.symbol()) } " " (metric.verdict.as_str()) }
            th scope="row" {
                code { (metric.metric) }
                @if metric.statistic != Statistic::Median { " (" (metric.statistic) ")" }
                @if let Some(note) = &metric.note { br; small { (note) } }
                @if let Some(entry) = &metric.accepted {
                    br; small { "accepted until " (entry.until) ": " (entry.reason) }
                }
                @if let Some(entry) = &metric.expired {
                    br; small { "was accepted until " (entry.until) ": " (entry.reason) }
                }
            }
            td.number { (value(metric.median_a, unit)) }
            td.number { (value(metric.median_b, unit)) }
            td.number { (percent(metric.change)) }
            td.number { (interval) }
            td.number { (probability(metric.adjusted)) }
            td.number { (detectable) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criterion(nodes: usize, failed: usize) -> CriterionRow {
        CriterionRow {
            title: "join_seconds p99 < 2s".into(),
            variant: String::new(),
            only_warns: false,
            passed: 0,
            failed,
            open: 0,
            value: Some(3.25),
            bound: Some(2.0),
            unit: Some(crate::measure::Unit::seconds()),
            nodes: (1..=nodes)
                .map(|number| (format!("n{number:03}").parse().unwrap(), 1))
                .collect(),
            note: Some("no samples from <n9>".into()),
        }
    }

    #[test]
    fn a_criterion_is_shown_with_value_bound_and_the_nodes_that_break_it() {
        let drawn = section(&[criterion(7, 1)]).into_string();
        for part in [
            "✗</span> failed",
            "join_seconds p99 &lt; 2s",
            ">3.25 s<",
            ">2 s<",
            "n001, n002, n003, n004, n005 and 2 more: n[001-007]",
            "no samples from &lt;n9&gt;",
        ] {
            assert!(drawn.contains(part), "no {part}: {drawn}");
        }
    }

    #[test]
    fn of_several_runs_it_says_in_how_many() {
        let mut row = criterion(1, 2);
        row.passed = 3;
        row.open = 1;
        assert_eq!(words(&row), "3 of 6 runs passed, 1 not judged");
        assert_eq!(nodes(&row), "n001 (1 run)");
        assert_eq!(row.mark(), Mark::Bad);
        assert_eq!(criterion(0, 0).mark(), Mark::Open);
    }
}
