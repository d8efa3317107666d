//! How the metrics of an experiment grow with its size: models, criteria, and what a larger cluster would cost. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::measured::SizedRuns;
use super::ranking::{RankedCost, ranking};
use super::row::{GrowthRow, models};
use crate::analysis::{Above, Fit, Model, Point, fit, held_out};
use crate::base::name::GroupName;
use crate::base::text::plural;
use crate::measure::{
    Better, Criterion, Expression, Finding, Growth, Judgement, MetricName, MetricSpec, Operator, Statistic,
    median,
};
use crate::runs::leading;
use crate::verdict::{comes_from, unit_of};

/// The seed of all resampling: the same runs give the same figures.
const SEED: u64 = 12;

/// Sizes and repetitions from which a model deserves trust.
const ENOUGH: usize = 5;

/// The most metrics that get a model. Those with a criterion come first.
const MOST: usize = 500;

/// How the metrics of one variant grow.
#[derive(Clone, Debug)]
pub struct GrowthReport {
    /// The group whose size is varied.
    pub group: GroupName,
    /// The variables of the variant for people; empty if none are varied.
    pub variant: String,
    /// The sizes with how often each ran, ascending.
    pub sizes: BTreeMap<u32, usize>,
    /// The size that the metrics are predicted for: the one asked for, else the largest that ran.
    pub target: u32,
    /// The metrics, those with a criterion first.
    pub rows: Vec<GrowthRow>,
    /// The criteria of growth.
    pub findings: Vec<Finding>,
    /// The metrics by what they will cost at the target size, of each unit the most expensive first, and after them the
    /// times that they explain.
    pub ranking: Vec<RankedCost>,
    /// Why the models deserve less trust.
    pub warnings: Vec<String>,
}

impl GrowthReport {
    /// Whether a criterion of growth fails.
    pub fn fails(&self) -> bool {
        self.findings.iter().any(Finding::fails)
    }

    /// A metric over the sizes.
    pub fn row(&self, metric: &MetricName) -> Option<&GrowthRow> {
        self.rows.iter().find(|row| row.metric == *metric)
    }
}

/// Judges the growth of all metrics of a variant. `to`: the size to predict them for.
pub(super) fn judge_growth(sized: &SizedRuns, group: &GroupName, to: Option<u32>) -> GrowthReport {
    let mut runs_at: BTreeMap<u32, usize> = BTreeMap::new();
    for run in &sized.runs {
        *runs_at.entry(run.size).or_default() += 1;
    }
    let largest = runs_at.keys().next_back().copied().unwrap_or(0);
    let target = to.unwrap_or(largest);
    let named: BTreeSet<&MetricName> = sized.criteria.iter().map(|criterion| &criterion.metric).collect();
    let measured: BTreeSet<&MetricName> = sized.runs.iter().flat_map(|run| run.values.keys()).collect();
    let (first, rest): (Vec<&MetricName>, Vec<&MetricName>) =
        measured.into_iter().partition(|metric| named.contains(*metric));
    let mut warnings = warnings(&runs_at, sized.left_out, target);
    let more = (first.len() + rest.len()).saturating_sub(MOST);
    if more > 0 {
        warnings.push(format!(
            "{} got no model: {MOST} at most do",
            plural(more, "metric")
        ));
    }
    let rows: Vec<GrowthRow> = first
        .iter()
        .chain(&rest)
        .take(MOST)
        .map(|metric| row(sized, metric, named.contains(*metric), target))
        .collect();
    GrowthReport {
        group: group.clone(),
        variant: sized.variant.clone(),
        findings: findings(&sized.criteria, &rows),
        ranking: ranking(&rows, target),
        sizes: runs_at,
        target,
        rows,
        warnings,
    }
}

fn row(sized: &SizedRuns, metric: &MetricName, has_criterion: bool, target: u32) -> GrowthRow {
    let mut by_size: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    let mut points = Vec::new();
    for run in &sized.runs {
        if let Some(value) = run.values.get(metric) {
            by_size.entry(run.size).or_default().push(*value);
            points.push(Point {
                size: f64::from(run.size),
                value: *value,
            });
        }
    }
    let medians = by_size.into_iter().filter_map(|(size, mut values)| {
        values.sort_unstable_by(f64::total_cmp);
        Some((size, median(&values)?))
    });
    let fit = fit(&points);
    let leading = leading(&sized.criteria, metric);
    GrowthRow {
        metric: metric.clone(),
        statistic: leading.map_or(Statistic::Median, |(_, statistic)| statistic),
        unit: unit_of(metric, &sized.metrics),
        better: better(&sized.metrics, metric),
        has_criterion,
        medians: medians.collect(),
        values: points.len(),
        prediction: fit
            .as_ref()
            .map(|fit| fit.predict(&points, f64::from(target), SEED)),
        fit,
        held_out: held_out(&points, SEED),
    }
}

/// Which direction of a metric is an improvement: less, unless the topology says otherwise.
fn better(metrics: &[MetricSpec], metric: &MetricName) -> Better {
    let own = metrics.iter().filter(|spec| spec.name == *metric);
    let of_file = metrics.iter().filter(|spec| comes_from(metric, spec));
    own.chain(of_file)
        .find_map(|spec| spec.better)
        .unwrap_or_default()
}

fn warnings(sizes: &BTreeMap<u32, usize>, left_out: usize, target: u32) -> Vec<String> {
    let mut warnings = Vec::new();
    let fewest = sizes.values().min().copied().unwrap_or(0);
    if sizes.len() < ENOUGH || fewest < ENOUGH {
        warnings.push(format!(
            "{} with {} or more each: a model deserves trust from {ENOUGH} sizes with {ENOUGH} runs each",
            plural(sizes.len(), "size"),
            plural(fewest, "run")
        ));
    }
    if left_out > 0 {
        let runs = plural(left_out, "run");
        warnings.push(format!("{runs} left out: interrupted, or the workload failed"));
    }
    let largest = sizes.keys().next_back().copied().unwrap_or(0);
    if largest > 0 && target / largest >= 10 {
        warnings.push(format!(
            "{target} is {} times the largest size that ran: what happens between is unknown",
            target / largest
        ));
    }
    warnings
}

/// The criteria of growth, judged.
fn findings(criteria: &[Criterion], rows: &[GrowthRow]) -> Vec<Finding> {
    let findings = criteria.iter().filter_map(|criterion| {
        let Expression::Growth { operator, growth } = criterion.is else {
            return None;
        };
        let row = rows.iter().find(|row| row.metric == criterion.metric);
        let (judgement, note) = judged(criterion, operator, growth, row);
        Some(Finding {
            criterion: criterion.clone(),
            judgement,
            value: None,
            bound: None,
            unit: row.and_then(|row| row.unit.clone()),
            samples: row.map_or(0, |row| row.values),
            nodes: Vec::new(),
            note,
        })
    });
    findings.collect()
}

fn judged(
    criterion: &Criterion,
    operator: Operator,
    bound: Growth,
    row: Option<&GrowthRow>,
) -> (Judgement, Option<String>) {
    let Some(row) = row else {
        let judgement = if criterion.require_samples {
            Judgement::NoSamples
        } else {
            Judgement::NotApplicable
        };
        return (judgement, Some("no run has samples of it".to_owned()));
    };
    let Some(fit) = &row.fit else {
        let sizes = plural(row.medians.len(), "size");
        let note = format!("it has values at {sizes}, a model needs 3");
        return (Judgement::NotApplicable, Some(note));
    };
    let above = match operator {
        Operator::Less => reaches(fit, bound),
        _ => fit.is_above(bound),
    };
    let models = models(fit);
    match above {
        Above::No => (Judgement::Passed, Some(format!("it grows with {models}"))),
        Above::Yes => (Judgement::Failed, Some(format!("it grows with {models}"))),
        Above::CannotTell => {
            let note = format!("cannot tell between {models}: it neither passes nor fails");
            (Judgement::NotApplicable, Some(note))
        }
    }
}

/// Whether the growth is the bound or above it, for a criterion that wants it below.
fn reaches(fit: &Fit, bound: Growth) -> Above {
    let is_below = |model: &Model| model.is_falling() || model.growth.compare(bound).is_lt();
    let best = is_below(&fit.best);
    match (best, fit.others.iter().all(|model| is_below(model) == best)) {
        (true, true) => Above::No,
        (false, true) => Above::Yes,
        (_, false) => Above::CannotTell,
    }
}

#[cfg(test)]
mod tests;
