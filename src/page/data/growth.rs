//! Charts of growth: the values of all runs by size, with the models that `scale` judges.

use std::collections::BTreeSet;

use super::reduced::Reduced;
use super::strips::title;
use crate::analysis::{Model, Point};
use crate::cluster::experiment::{GrowthReport, GrowthRow, contrast, models};
use crate::compare::variant_text;
use crate::measure::{Expression, Finding, Judgement, MetricName};
use crate::page::model::{GrowthChart, Mark};

/// The most charts, as far as all variants of a metric are among them. Metrics with a criterion come first.
const MOST: usize = 20;

/// Points of a curve, and of an interval: the latter take much more time.
const CURVE: u32 = 40;
const BAND: u32 = 5;

/// The seed of all resampling: the same runs give the same figures.
const SEED: u64 = 12;

/// The charts of all variants, those of one metric beside each other, that of the baseline first.
pub(super) fn charts(reports: &[GrowthReport], runs: &[Reduced]) -> Vec<GrowthChart> {
    let Some(first) = reports.first() else {
        return Vec::new();
    };
    let mut charts = Vec::new();
    for metric in metrics(reports).into_iter().take((MOST / reports.len()).max(1)) {
        for report in reports {
            if let Some(row) = report.row(metric) {
                charts.push(GrowthChart {
                    contrast: contrast(first, report, metric),
                    ..chart(report, row, runs)
                });
            }
        }
    }
    charts
}

/// The metrics of all variants, each once, those with a criterion first.
fn metrics(reports: &[GrowthReport]) -> Vec<&MetricName> {
    let mut known: BTreeSet<&MetricName> = BTreeSet::new();
    let rows = reports.iter().flat_map(|report| &report.rows);
    let mut rows: Vec<&GrowthRow> = rows.filter(|row| known.insert(&row.metric)).collect();
    rows.sort_by_key(|row| !row.has_criterion);
    rows.into_iter().map(|row| &row.metric).collect()
}

fn chart(report: &GrowthReport, row: &GrowthRow, runs: &[Reduced]) -> GrowthChart {
    let points: Vec<Point> = runs.iter().filter_map(|run| point(run, report, row)).collect();
    let sizes = || points.iter().map(|point| point.size);
    let (first, last) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    let last = last.max(f64::from(report.target));
    let (mut curve, mut band) = (Vec::new(), Vec::new());
    if let Some(fit) = row.fit.as_ref().filter(|_| first < last) {
        curve = spaced(first, last, CURVE)
            .map(|size| (size, fit.best.at(size)))
            .collect();
        curve.retain(|(_, value)| value.is_finite());
        let predicted = spaced(first, last, BAND).map(|size| {
            let interval = fit.predict(&points, size, SEED).interval;
            (size, interval.low, interval.high)
        });
        band = predicted
            .filter(|(_, low, high)| low.is_finite() && high.is_finite())
            .collect();
    }
    let mut findings = report.findings.iter();
    let finding = findings.find(|finding| finding.criterion.metric == row.metric);
    let best = row.fit.as_ref().map(|fit| &fit.best);
    let expected = row.prediction.as_ref().map(|prediction| prediction.interval);
    let expected = expected.filter(|interval| interval.low.is_finite() && interval.high.is_finite());
    GrowthChart {
        title: title(&row.metric, row.statistic),
        variant: report.variant.clone(),
        group: report.group.to_string(),
        unit: row.unit.clone(),
        models: row.fit.as_ref().map(models),
        curve,
        band,
        bound: finding.and_then(|finding| bound(finding, best, first, last)),
        judged: finding.map(judged),
        held_out: row.held_out.as_ref().map(|held_out| held_out.inside),
        at_target: row.at_target(report.target).map(|value| (report.target, value)),
        interval: expected.map(|interval| (interval.low, interval.high)),
        contrast: None,
        points: points.iter().map(|point| (point.size, point.value)).collect(),
    }
}

/// The size of a run of this variant, and its value of the metric.
fn point(run: &Reduced, report: &GrowthReport, row: &GrowthRow) -> Option<Point> {
    let mut variables = run.record.variant.clone();
    variables.retain(|key, _| !key.starts_with("nodes."));
    if !run.is_whole || variant_text(&variables) != report.variant {
        return None;
    }
    // Only sizes that the models know: not those that `--find` tried between them.
    let size = run.record.sizes.get(&report.group);
    let size = size.filter(|size| report.sizes.contains_key(*size))?;
    Some(Point {
        size: f64::from(*size),
        value: *run.values.get(&row.metric)?,
    })
}

/// Sizes with equal ratios from the first to the last.
fn spaced(first: f64, last: f64, count: u32) -> impl Iterator<Item = f64> {
    (0..count).map(move |index| {
        let share = f64::from(index) / f64::from(count - 1);
        first * (last / first).powf(share)
    })
}

/// The criterion with a curve that begins like the model and grows exactly as it allows.
fn bound(
    finding: &Finding,
    model: Option<&Model>,
    first: f64,
    last: f64,
) -> Option<(String, Vec<(f64, f64)>)> {
    let Expression::Growth { growth, .. } = finding.criterion.is else {
        return None;
    };
    // A logarithm is 0 at 1.
    let first = first.max(2.0);
    let factor = model?.at(first) / growth.at(first);
    let curve = spaced(first, last.max(first), CURVE).map(|size| (size, factor * growth.at(size)));
    let curve: Vec<(f64, f64)> = curve.filter(|(_, value)| value.is_finite()).collect();
    Some((finding.criterion.text.clone(), curve))
}

fn judged(finding: &Finding) -> (Mark, String) {
    let mark = match finding.judgement {
        Judgement::Passed => Mark::Good,
        Judgement::Failed | Judgement::NoSamples => Mark::Bad,
        Judgement::NotApplicable => Mark::Open,
    };
    (mark, finding.note.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_spaced_with_equal_ratios_from_end_to_end() {
        let sizes: Vec<f64> = spaced(10.0, 160.0, 5).collect();
        for (size, wanted) in sizes.iter().zip([10.0, 20.0, 40.0, 80.0, 160.0]) {
            assert!((size - wanted).abs() < 1e-9, "{sizes:?}");
        }
    }
}
