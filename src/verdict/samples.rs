//! The samples that criteria are about, with no more than what judging needs: a run may have millions.

use std::collections::HashMap;

use indexmap::IndexSet;

use crate::base::name::NodeName;
use crate::measure::{Criterion, MetricName, Sample};

/// A sample of a known metric. Step and node are positions in the lists of their names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) value: f64,
    step: Option<u32>,
    node: Option<u32>,
}

/// The samples of the metrics that have criteria.
#[derive(Clone, Debug, Default)]
pub struct JudgedSamples {
    by_metric: HashMap<MetricName, Vec<Kept>>,
    steps: IndexSet<String>,
    nodes: IndexSet<NodeName>,
}

impl JudgedSamples {
    /// None yet, for these criteria.
    pub fn of(criteria: &[Criterion]) -> Self {
        let metrics = criteria.iter().map(|criterion| criterion.metric.clone());
        Self {
            by_metric: metrics.map(|metric| (metric, Vec::new())).collect(),
            ..Self::default()
        }
    }

    /// With these samples.
    #[must_use]
    pub fn with(mut self, samples: &[Sample]) -> Self {
        for sample in samples {
            self.add(sample);
        }
        self
    }

    /// Adds a sample, if it is about a criterion. Nothing is judged by its labels.
    pub fn add(&mut self, sample: &Sample) {
        if let Some(kept) = self.by_metric.get_mut(&sample.metric) {
            kept.push(Kept {
                value: sample.value,
                step: sample.step.as_ref().map(|step| position(&mut self.steps, step)),
                node: sample.node.as_ref().map(|node| position(&mut self.nodes, node)),
            });
        }
    }

    /// Those that a criterion is about: of its metric, its step and its nodes.
    pub(super) fn about(&self, criterion: &Criterion) -> Vec<Kept> {
        let step = criterion.step.as_ref();
        let on = criterion.on.as_ref();
        let is_wanted = |sample: &Kept| {
            step.is_none_or(|step| self.step(*sample) == Some(step))
                && on.is_none_or(|on| self.node(*sample).is_some_and(|node| on.contains(node)))
        };
        let of_metric = self.by_metric.get(&criterion.metric).into_iter().flatten();
        of_metric.copied().filter(is_wanted).collect()
    }

    fn step(&self, sample: Kept) -> Option<&String> {
        self.steps.get_index(sample.step? as usize)
    }

    /// The node of a sample.
    pub(super) fn node(&self, sample: Kept) -> Option<&NodeName> {
        self.nodes.get_index(sample.node? as usize)
    }
}

/// The position of a name, which is added if it is new.
fn position<T: Clone + Eq + std::hash::Hash>(names: &mut IndexSet<T>, name: &T) -> u32 {
    let known = names.get_index_of(name);
    known.unwrap_or_else(|| names.insert_full(name.clone()).0) as u32
}
