//! The stored runs of an experiment, as its growth is judged from.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::plan::group_of;
use crate::base::name::GroupName;
use crate::compare::variant_text;
use crate::measure::{Criterion, MetricName, MetricSpec};
use crate::runs::{Experiment, Store, run_values};
use crate::workload::Verdict;

/// A run of one size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GrowthRun {
    /// Nodes of the group that grows.
    pub(super) size: u32,
    /// The value of each metric.
    pub(super) values: BTreeMap<MetricName, f64>,
}

/// The runs of one variant over sizes.
#[derive(Clone, Debug, Default)]
pub(super) struct SizedRuns {
    /// The variables of the variant, as `compare` takes them: `rev=new`; empty if none are varied.
    pub(super) variant: String,
    /// Its runs, in the order in which they were done.
    pub(super) runs: Vec<GrowthRun>,
    /// The criteria, as in its latest run.
    pub(super) criteria: Vec<Criterion>,
    /// The metrics, as in its latest run.
    pub(super) metrics: Vec<MetricSpec>,
    /// How many runs say nothing: interrupted, or their workload failed.
    pub(super) left_out: usize,
}

/// The group whose size an experiment varies: that of `scale`, or the first of several sizes.
pub fn growing_group(experiment: &Experiment) -> Option<GroupName> {
    let mut varied = experiment.varied.iter();
    let grows = || varied.find_map(|(name, values)| group_of(name).filter(|_| values.len() > 1));
    experiment.group.clone().or_else(grows)
}

/// Reads the runs of an experiment, by variant, the baseline first. Runs without a size of this group are left out. Those at
/// sizes that only `--find` tried do not count: single runs close to each other would spoil the models.
pub(super) fn sized_runs(
    store: &Store,
    experiment: &Experiment,
    group: &GroupName,
) -> anyhow::Result<Vec<SizedRuns>> {
    // In the order of their first runs: the baseline comes first.
    let mut variants: IndexMap<String, SizedRuns> = IndexMap::new();
    for run in store.runs_of(experiment)? {
        let record = &run.record;
        if !experiment.is_planned(&record.variant) {
            continue;
        }
        let mut vars = record.variant.clone();
        vars.retain(|name, _| group_of(name).is_none());
        let variant = variant_text(&vars);
        let sized = variants.entry(variant.clone()).or_default();
        sized.variant = variant;
        let is_whole = record.verdict.is_some_and(Verdict::is_whole);
        let Some(size) = record.sizes.get(group).filter(|_| is_whole) else {
            sized.left_out += 1;
            continue;
        };
        sized.runs.push(GrowthRun {
            size: *size,
            values: run_values(&run.samples()?, &record.criteria),
        });
        sized.criteria.clone_from(&record.criteria);
        sized.metrics.clone_from(&record.metrics);
    }
    Ok(variants.into_values().collect())
}
