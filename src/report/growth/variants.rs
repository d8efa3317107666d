//! The growth of several variants beside each other: a row per variant for each metric, and their rankings. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{EXPLAINED, RANKED, ROWS, against, figures, name, scale, verdict};
use crate::base::text::{plural, sanitize_painted};
use crate::cluster::experiment::{GrowthReport, GrowthRow, contrast};
use crate::measure::MetricName;
use crate::measure::figure::value;
use crate::report::style::{HEADING, WARNING};
use crate::report::table;

/// The growth of the variants as text, the baseline first. With a single one as [`super::text`].
pub fn text(reports: &[GrowthReport], is_utf8: bool) -> String {
    let [first, _, ..] = reports else {
        return reports
            .iter()
            .map(|report| super::text(report, is_utf8))
            .collect();
    };
    let sizes: BTreeSet<u32> = reports
        .iter()
        .flat_map(|report| report.sizes.keys().copied())
        .collect();
    let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
    let mut text = format!(
        "{HEADING}growth with {} ({} nodes), {} variants{HEADING:#}\n",
        first.group,
        sizes.join(", "),
        reports.len()
    );
    for report in reports {
        for warning in &report.warnings {
            let _ = writeln!(text, "{WARNING}warning{WARNING:#}: {}: {warning}", report.variant);
        }
    }
    let _ = write!(text, "\n{}", rows(reports, first, is_utf8));
    if reports.iter().any(|report| !report.ranking.is_empty()) {
        let _ = write!(text, "\n{}", ranking(reports, first));
    }
    let findings = reports
        .iter()
        .flat_map(|report| report.findings.iter().map(move |finding| (report, finding)));
    for (index, (report, finding)) in findings.enumerate() {
        let before = if index == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{before}{}", verdict(finding, &report.variant));
    }
    sanitize_painted(&text).into_owned()
}

/// What the metrics will cost at the target size, with its styles: the rankings of the variants beside each other. Empty
/// if nothing is known of that.
pub fn rankings(reports: &[GrowthReport]) -> String {
    let Some(first) = reports.first() else {
        return String::new();
    };
    let text = match reports {
        _ if reports.iter().all(|report| report.ranking.is_empty()) => String::new(),
        [one] => super::ranking(one),
        _ => ranking(reports, first),
    };
    sanitize_painted(&text).into_owned()
}

/// The metrics of all variants: those of the baseline in their order, then those that only others have.
fn metrics(reports: &[GrowthReport]) -> Vec<&GrowthRow> {
    let mut known: BTreeSet<&MetricName> = BTreeSet::new();
    let rows = reports.iter().flat_map(|report| &report.rows);
    let mut rows: Vec<&GrowthRow> = rows.filter(|row| known.insert(&row.metric)).collect();
    // Stable: those with a criterion stay in their order.
    rows.sort_by_key(|row| !row.has_criterion);
    rows
}

fn rows(reports: &[GrowthReport], first: &GrowthReport, is_utf8: bool) -> String {
    let at = format!("at {}", first.target);
    let against_first = format!("against {}", first.variant);
    let headings = [
        "metric",
        "variant",
        "by size",
        "grows with",
        "error",
        at.as_str(),
        "interval",
        "largest held out",
        against_first.as_str(),
    ];
    let mut table = table::new(&headings);
    let metrics = metrics(reports);
    let named = metrics.iter().filter(|row| row.has_criterion).count();
    let count = (ROWS / reports.len()).max(named).min(metrics.len());
    for known in &metrics[..count] {
        let metric = &known.metric;
        let scale = scale(reports.iter().filter_map(|report| report.row(metric)));
        for (index, report) in reports.iter().enumerate() {
            let title = if index == 0 { name(known) } else { String::new() };
            let figures = match report.row(metric) {
                Some(row) => figures(row, report.target, scale, is_utf8),
                None => ["", "no samples", "-", "-", "-", "-"].map(str::to_owned),
            };
            let contrast = contrast(first, report, metric);
            let contrast = contrast.map_or_else(|| "-".to_owned(), |contrast| against(&contrast));
            let cells = [title, report.variant.clone()].into_iter().chain(figures);
            table.add_row(cells.chain([contrast]));
        }
    }
    let mut text = table::render(&table);
    let more = metrics.len() - count;
    if more > 0 {
        let _ = writeln!(text, "{}: --format json shows them", plural(more, "more metric"));
    }
    text
}

/// The rankings, a column for each variant.
fn ranking(reports: &[GrowthReport], first: &GrowthReport) -> String {
    let mut text = format!(
        "{HEADING}most expensive at {} nodes of {}{HEADING:#}\n",
        first.target, first.group
    );
    let headings = reports
        .iter()
        .flat_map(|report| [report.variant.as_str(), "value"]);
    let mut table = table::new(&std::iter::once("").chain(headings).collect::<Vec<_>>());
    let longest = reports.iter().map(|report| report.ranking.len()).max();
    for place in 0..longest.unwrap_or(0).min(RANKED) {
        let cells = reports.iter().flat_map(|report| match report.ranking.get(place) {
            Some(cost) => [cost.metric.to_string(), value(cost.value, cost.unit.as_ref())],
            None => [String::new(), String::new()],
        });
        table.add_row(std::iter::once((place + 1).to_string()).chain(cells));
    }
    text.push_str(&table::render(&table));
    let mut shown = reports
        .iter()
        .flat_map(|report| report.ranking.iter().take(RANKED));
    if shown.any(|cost| cost.is_explained) {
        text.push_str(EXPLAINED);
    }
    text
}

/// How many times larger each metric is in each further variant than in the baseline, for programs.
pub fn json(reports: &[GrowthReport]) -> Vec<Value> {
    let Some((first, others)) = reports.split_first() else {
        return Vec::new();
    };
    let pairs = first
        .rows
        .iter()
        .flat_map(|row| others.iter().map(move |report| (report, &row.metric)));
    let contrasts = pairs.filter_map(|(report, metric)| contrast(first, report, metric));
    contrasts
        .map(|contrast| {
            json!({
                "metric": contrast.metric,
                "baseline": contrast.baseline,
                "variant": contrast.variant,
                "size": contrast.size,
                "times": contrast.times,
                "intervals_overlap": contrast.overlaps,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::experiment::RankedCost;
    use crate::measure::fixture::finding;
    use crate::measure::{Better, Judgement, Statistic, Unit};
    use crate::report::style::plain;

    /// A variant that ran at two sizes, with its metric at each.
    fn report(variant: &str, values: [f64; 2]) -> GrowthReport {
        let metric: MetricName = "join_seconds".parse().unwrap();
        GrowthReport {
            group: "worker".parse().unwrap(),
            variant: variant.into(),
            sizes: BTreeMap::from([(10, 5), (20, 5)]),
            target: 20,
            rows: vec![GrowthRow {
                metric: metric.clone(),
                statistic: Statistic::Median,
                unit: Some(Unit::seconds()),
                better: Better::Lower,
                has_criterion: true,
                medians: vec![(10, values[0]), (20, values[1])],
                values: 10,
                fit: None,
                prediction: None,
                held_out: None,
            }],
            findings: vec![finding("growth <= n", Judgement::NotApplicable)],
            ranking: vec![RankedCost {
                metric,
                value: values[1],
                unit: Some(Unit::seconds()),
                times: Some(1.0),
                grown: Some(2.0),
                is_explained: false,
            }],
            warnings: vec!["2 sizes".into()],
        }
    }

    #[test]
    fn variants_stand_beside_each_other_and_the_second_against_the_first() {
        let reports = [report("rev=old", [2.0, 8.0]), report("rev=new", [2.0, 4.0])];
        let text = plain(&text(&reports, false));
        let cells: Vec<Vec<&str>> = text
            .lines()
            .map(|line| {
                let cells = line.split("  ").map(str::trim);
                cells.filter(|cell| !cell.is_empty()).collect()
            })
            .collect();
        assert_eq!(cells[0], ["growth with worker (10, 20 nodes), 2 variants"]);
        assert_eq!(cells[1], ["warning: rev=old: 2 sizes"]);
        assert_eq!(cells[2], ["warning: rev=new: 2 sizes"]);
        assert_eq!(cells[4].last(), Some(&"AGAINST REV=OLD"));
        // Both strips have one scale: 4 s is half of it.
        let unknown = "unknown: fewer than 3 sizes";
        let old = [
            "join_seconds",
            "rev=old",
            ":#",
            unknown,
            "-",
            "8 s",
            "-",
            "-",
            "-",
        ];
        assert_eq!(cells[5], old);
        let new = ["rev=new", ":=", unknown, "-", "4 s", "-", "-", "2 times smaller"];
        assert_eq!(cells[6], new);
        assert_eq!(cells[8], ["most expensive at 20 nodes of worker"]);
        assert_eq!(cells[9], ["REV=OLD", "VALUE", "REV=NEW", "VALUE"]);
        assert_eq!(cells[10], ["1", "join_seconds", "8 s", "join_seconds", "4 s"]);
        assert_eq!(cells[12], ["not judged: rev=old: join_seconds growth <= n:"]);
        assert_eq!(cells[13], ["not judged: rev=new: join_seconds growth <= n:"]);
    }

    #[test]
    fn programs_get_how_many_times_larger_a_variant_is() {
        let reports = [report("rev=old", [2.0, 8.0]), report("rev=new", [2.0, 4.0])];
        let found = json(&reports);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0]["variant"], &found[0]["times"]),
            (&"rev=new".into(), &0.5.into())
        );
        assert_eq!(
            (&found[0]["size"], &found[0]["metric"]),
            (&20.into(), &"join_seconds".into())
        );
        assert!(json(&reports[..1]).is_empty());
    }

    #[test]
    fn a_single_variant_is_shown_as_before() {
        let reports = [report("", [2.0, 8.0])];
        assert_eq!(text(&reports, false), super::super::text(&reports[0], false));
    }

    #[test]
    fn a_metric_of_one_variant_only_is_shown_as_missing_in_the_other() {
        let mut reports = [report("rev=old", [2.0, 8.0]), report("rev=new", [2.0, 4.0])];
        reports[0].rows.clear();
        let text = plain(&text(&reports, false));
        assert!(
            text.contains("join_seconds  rev=old           no samples"),
            "{text}"
        );
    }
}
