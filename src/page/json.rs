//! A report for programs: its verdict and what it found. The values themselves are in the store: `vcluster runs export`
//! has them in several formats.

use serde_json::{Value, json};

use super::model::Page;
use crate::measure::Unit;
use crate::report::{comparison, growth};

/// Version of the document.
const VERSION: u32 = 1;

/// The report as one JSON object.
pub fn json(page: &Page) -> Value {
    let unit = |unit: Option<&Unit>| unit.map(Unit::to_string);
    let failures: Vec<&str> = page
        .failures
        .iter()
        .map(|failure| failure.text.as_str())
        .collect();
    let criteria = page.criteria.iter().map(|row| {
        let nodes: Vec<&str> = row.nodes.iter().map(|(node, _)| node.as_str()).collect();
        json!({
            "criterion": row.title, "variant": row.variant, "result": row.mark().as_str(),
            "only_warns": row.only_warns, "passed": row.passed, "failed": row.failed, "not_judged": row.open,
            "value": row.value, "bound": row.bound, "unit": unit(row.unit.as_ref()), "nodes": nodes, "note": row.note,
        })
    });
    let metrics = page.strips.iter().flat_map(|strip| {
        strip.rows.iter().map(move |row| {
            json!({
                "metric": strip.title, "variant": row.label, "unit": unit(strip.unit.as_ref()), "each": strip.each,
                "values": row.values.len(), "median": row.median, "interval": row.interval,
            })
        })
    });
    let charts = page.growth.iter().map(|chart| {
        json!({
            "metric": chart.title, "variant": chart.variant, "group": chart.group, "models": chart.models,
            "criterion": chart.bound.as_ref().map(|(text, _)| text),
            "result": chart.judged.as_ref().map(|(mark, _)| mark.as_str()),
            "size": chart.at_target.map(|(size, _)| size),
            "value": chart.at_target.map(|(_, value)| value), "unit": unit(chart.unit.as_ref()),
            "interval": chart.interval, "held_out_inside": chart.held_out,
            "times": chart.contrast.as_ref().map(|contrast| contrast.times),
            "baseline": chart.contrast.as_ref().map(|contrast| contrast.baseline.as_str()),
        })
    });
    let rankings = page.reports.iter().map(|report| {
        json!({
            "variant": report.variant, "group": report.group, "size": report.target,
            "ranking": growth::ranking_json(report),
        })
    });
    let outliers = page.outliers.iter().map(|outlier| {
        json!({
            "node": outlier.node.as_str(), "metric": outlier.metric, "unit": unit(outlier.unit.as_ref()),
            "median": outlier.own, "median_of_group": outlier.others, "deviations": outlier.deviation,
            "runs": outlier.runs,
        })
    });
    json!({
        "version": VERSION,
        "type": "report",
        "kind": page.kind.as_str(),
        "name": page.name,
        "result": page.mark.as_str(),
        "verdict": page.verdict,
        "failures": failures,
        "notes": page.notes,
        "runs": page.runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(),
        "comparisons": comparison::json(&page.comparisons)["comparisons"],
        "criteria": criteria.collect::<Vec<Value>>(),
        "metrics": metrics.collect::<Vec<Value>>(),
        "growth": charts.collect::<Vec<Value>>(),
        "rankings": rankings.collect::<Vec<Value>>(),
        "found": page.found,
        "outliers": outliers.collect::<Vec<Value>>(),
        "commands": page.commands,
    })
}
