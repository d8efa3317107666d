//! What metrics will cost at the target size, and where a criterion begins to fail.

use maud::{Markup, html};

use super::budget::Budget;
use crate::base::text::plural;
use crate::cluster::experiment::{GrowthReport, RankedCost};
use crate::measure::figure::{number, value};
use crate::report::growth::{EXPLAINED, RANKED, found_earlier};
use crate::runs::ExperimentFound;

/// Bytes of the page that rankings may take, and those that what was found may take.
const RANKINGS: usize = 50_000;
const FOUND: usize = 20_000;

/// The rankings of the variants.
pub(super) fn section(reports: &[GrowthReport]) -> Markup {
    let ranked: Vec<&GrowthReport> = reports
        .iter()
        .filter(|report| !report.ranking.is_empty())
        .collect();
    let (drawn, left_out) = Budget::new(RANKINGS).fitting(&ranked, |report| ranking(report));
    html! {
        @if !ranked.is_empty() {
            section {
                h2 { "Most expensive" }
                @for ranking in &drawn { (ranking) }
                @if left_out > 0 { p.note { (plural(left_out, "further variant")) " left out" } }
            }
        }
    }
}

fn ranking(report: &GrowthReport) -> Markup {
    let smallest = report.sizes.keys().next().copied().unwrap_or(0);
    let largest = report.sizes.keys().next_back().copied().unwrap_or(0);
    let shown = &report.ranking[..report.ranking.len().min(RANKED)];
    html! {
        h3 {
            "At " (plural(report.target as usize, "node")) " of " (report.group)
            @if !report.variant.is_empty() { ", " (report.variant) }
        }
        div.scroll {
            table {
                thead {
                    tr {
                        th scope="col" { "metric" }
                        th.number scope="col" { "value" }
                        th.number scope="col" { "times that at " (largest) }
                        th.number scope="col" { "times that at " (smallest) }
                    }
                }
                tbody { @for cost in shown { (row(cost)) } }
            }
        }
        @if shown.iter().any(|cost| cost.is_explained) { p.explain { (EXPLAINED.trim_end()) } }
    }
}

fn row(cost: &RankedCost) -> Markup {
    let times = |times: Option<f64>| times.map_or_else(|| "-".to_owned(), number);
    html! {
        tr {
            th scope="row" { code { (cost.metric) } }
            td.number { (value(cost.value, cost.unit.as_ref())) }
            td.number { (times(cost.times)) }
            td.number { (times(cost.grown)) }
        }
    }
}

/// Where a criterion begins to fail, for each variant.
pub(super) fn found(found: &[ExperimentFound]) -> Markup {
    let (drawn, left_out) = Budget::new(FOUND).fitting(found, |one| html! { li { (found_earlier(one)) } });
    html! {
        @if !found.is_empty() {
            section {
                h2 { "Where it fails" }
                ul { @for one in &drawn { (one) } }
                @if left_out > 0 { p.note { (plural(left_out, "further variant")) " left out" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::measure::Unit;

    fn report(variant: &str) -> GrowthReport {
        let cost = |metric: &str, value: f64, is_explained| RankedCost {
            metric: metric.parse().unwrap(),
            value,
            unit: Some(Unit::seconds()),
            times: Some(4.0),
            grown: None,
            is_explained,
        };
        GrowthReport {
            group: "worker".parse().unwrap(),
            variant: variant.into(),
            sizes: BTreeMap::from([(10, 1), (50, 1)]),
            target: 100,
            rows: Vec::new(),
            findings: Vec::new(),
            ranking: vec![
                cost("watch.app.cpu_seconds", 90.0, false),
                cost("step.join.seconds", 95.0, true),
            ],
            warnings: Vec::new(),
        }
    }

    #[test]
    fn every_variant_has_its_ranking_at_the_target_size() {
        let drawn = section(&[report("rev=<old>"), report("rev=new")]).into_string();
        for part in [
            "<h3>At 100 nodes of worker, rev=&lt;old&gt;</h3>",
            "times that at 50</th>",
            "<code>watch.app.cpu_seconds</code></th><td class=\"number\">90 s</td><td class=\"number\">4</td>",
            "the time of a step or a stage is the sum",
        ] {
            assert!(drawn.contains(part), "no {part}: {drawn}");
        }
        assert_eq!(drawn.matches("<table>").count(), 2);
        assert_eq!(section(&[]).into_string(), "");
    }

    #[test]
    fn where_a_criterion_begins_to_fail_is_said_for_each_variant() {
        let one = ExperimentFound {
            variant: "rev=<new>".into(),
            criterion: "join max < 2s".into(),
            holds: Some(24),
            fails: Some(25),
        };
        let drawn = found(&[one]).into_string();
        let text = "rev=&lt;new&gt;: `join max &lt; 2s` fails from 25 nodes on, and holds at 24</li>";
        assert!(drawn.contains(text), "{drawn}");
        assert_eq!(found(&[]).into_string(), "");
    }
}
