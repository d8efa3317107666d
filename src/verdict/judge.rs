//! Judges criteria.

use std::collections::HashSet;

use super::bound::{Bound, unit_of, unit_of_value};
use super::origin::{comes_from, is_of_process, is_of_run, makes};
use super::samples::{JudgedSamples, Kept};
use super::worst::worst;
use crate::base::group::grouped;
use crate::base::name::NodeName;
use crate::extract::Trouble;
use crate::measure::{Criterion, Expression, Finding, Judgement, MetricSpec};
use crate::nodeset;
use crate::topology::WorkloadStep;

/// The most kinds of trouble that a note names.
const NAMED: usize = 3;

/// What became of each criterion, in their order. `metrics` describes them: as in the topology, then what files declared;
/// `steps` are those that were run, with the nodes on which they were.
pub fn judge(
    criteria: &[Criterion],
    metrics: &[MetricSpec],
    samples: &JudgedSamples,
    troubles: &[Trouble],
    steps: &[WorkloadStep],
) -> Vec<Finding> {
    let judged = criteria.iter().map(|criterion| {
        let case = Case {
            criterion,
            metrics,
            all: samples,
            samples: samples.about(criterion),
            troubles: troubles
                .iter()
                .filter(|trouble| concerns(trouble, criterion, metrics))
                .collect(),
            steps,
        };
        case.judge()
    });
    judged.collect()
}

/// Whether a trouble is about what a criterion judges.
fn concerns(trouble: &Trouble, criterion: &Criterion, metrics: &[MetricSpec]) -> bool {
    // A trouble with a file of many series names its description.
    let mut described = metrics.iter().filter(|spec| spec.name == trouble.metric);
    let of_metric = trouble.metric == criterion.metric
        || described.any(|spec| comes_from(&criterion.metric, spec))
        || is_of_process(&criterion.metric, &trouble.metric);
    let step = criterion.step.as_ref();
    let on = criterion.on.as_ref();
    of_metric
        && step.is_none_or(|step| *step == trouble.step)
        && on.is_none_or(|on| on.contains(&trouble.node))
}

/// A criterion, and all that is about it.
struct Case<'a> {
    criterion: &'a Criterion,
    metrics: &'a [MetricSpec],
    all: &'a JudgedSamples,
    samples: Vec<Kept>,
    troubles: Vec<&'a Trouble>,
    steps: &'a [WorkloadStep],
}

impl Case<'_> {
    fn judge(&self) -> Finding {
        let metric = &self.criterion.metric;
        let expression = &self.criterion.is;
        let unit = unit_of_value(expression, unit_of(metric, self.metrics));
        let expected = self.expected();
        let mut finding = Finding {
            criterion: self.criterion.clone(),
            judgement: Judgement::NotApplicable,
            value: None,
            bound: None,
            unit,
            samples: self.samples.len(),
            nodes: Vec::new(),
            note: None,
        };
        if matches!(expression, Expression::Growth { .. }) {
            let note = "needs several sizes: `vcluster scale` and `test --nodes` judge it";
            finding.note = Some(note.to_owned());
            return finding;
        }
        if self.samples.is_empty()
            && let Some(note) = self.why_not_made(&expected)
        {
            finding.note = Some(note);
            return finding;
        }
        let bound = match Bound::of(expression, finding.unit.as_ref()) {
            Ok(Some(bound)) => bound,
            Ok(None) => return finding,
            Err(error) => {
                finding.judgement = Judgement::Failed;
                finding.note = Some(error.to_string());
                return finding;
            }
        };
        finding.bound = Some(bound.value);
        let values: Vec<f64> = self.samples.iter().map(|sample| sample.value).collect();
        let value = bound.statistic.of(&values).filter(|_| !values.is_empty());
        match value {
            Some(value) => self.compare(&mut finding, bound, value, &expected),
            None => self.without_samples(&mut finding, expected),
        }
        finding
    }

    /// The nodes that should have samples, each once.
    fn expected(&self) -> Vec<NodeName> {
        let criterion = self.criterion;
        let mut seen = HashSet::new();
        let makers = self.steps.iter().filter(|step| {
            let wanted = criterion.step.as_ref();
            wanted.is_none_or(|wanted| *wanted == step.name) && makes(step, &criterion.metric)
        });
        let nodes = makers.flat_map(|step| &step.on).filter(|node| {
            let on = criterion.on.as_ref();
            on.is_none_or(|on| on.contains(node))
        });
        nodes.filter(|node| seen.insert(*node)).cloned().collect()
    }

    /// Why this run makes no samples of the metric; `None` if it should.
    fn why_not_made(&self, expected: &[NodeName]) -> Option<String> {
        if !expected.is_empty() {
            return None;
        }
        if is_of_run(&self.criterion.metric) {
            return Some("this command does not measure it".to_owned());
        }
        if let Some(step) = &self.criterion.step
            && self.steps.iter().all(|known| known.name != *step)
        {
            return Some(format!("step `{step}` was not run"));
        }
        let mut steps = self.steps.iter();
        let is_made = steps.any(|step| makes(step, &self.criterion.metric));
        Some(if is_made && self.criterion.on.is_some() {
            "none of its nodes took part".to_owned()
        } else {
            "no step that was run makes it".to_owned()
        })
    }

    fn without_samples(&self, finding: &mut Finding, expected: Vec<NodeName>) {
        let is_incomplete = self.troubles.iter().any(|trouble| trouble.incomplete);
        finding.judgement = if self.criterion.require_samples {
            Judgement::NoSamples
        } else if is_incomplete {
            Judgement::Failed
        } else {
            Judgement::NotApplicable
        };
        let troubles = self.described(|_| true);
        finding.note = match finding.judgement {
            Judgement::NotApplicable if troubles.is_none() => Some("no samples".to_owned()),
            _ => troubles,
        };
        if finding.judgement != Judgement::NotApplicable {
            finding.nodes = expected;
        }
    }

    /// Judges a value. Samples that are known to be missing cannot let it pass.
    fn compare(&self, finding: &mut Finding, bound: Bound, value: f64, expected: &[NodeName]) {
        finding.value = Some(value);
        let mut notes = Vec::new();
        if bound.holds(value) {
            finding.judgement = Judgement::Passed;
        } else {
            finding.judgement = Judgement::Failed;
            finding.nodes = worst(bound, value, self.nodes());
        }
        if let Some(missing) = self.described(|trouble| trouble.incomplete) {
            if finding.judgement == Judgement::Passed {
                let troubles = self.troubles.iter().filter(|trouble| trouble.incomplete);
                finding.nodes = troubles.map(|trouble| trouble.node.clone()).collect();
                finding.nodes.sort();
                finding.nodes.dedup();
            }
            finding.judgement = Judgement::Failed;
            notes.push(format!("samples are missing: {missing}"));
        }
        let has: HashSet<&NodeName> = self.nodes().map(|(node, _)| node).collect();
        let without: Vec<&NodeName> = expected.iter().filter(|node| !has.contains(node)).collect();
        if !has.is_empty() && !without.is_empty() {
            notes.push(format!("no samples from {}", nodeset::fold(without)));
        }
        finding.note = (!notes.is_empty()).then(|| notes.join("; "));
    }

    /// The nodes with their values.
    fn nodes(&self) -> impl Iterator<Item = (&NodeName, f64)> {
        let samples = self.samples.iter();
        samples.filter_map(move |sample| Some((self.all.node(*sample)?, sample.value)))
    }

    /// The troubles that are wanted, in words; `None` if there are none.
    fn described(&self, is_wanted: impl Fn(&Trouble) -> bool) -> Option<String> {
        let wanted = self.troubles.iter().filter(|trouble| is_wanted(trouble));
        let kinds = grouped(wanted.map(|trouble| {
            let what = (trouble.source.as_str(), trouble.what.as_str());
            (what, &trouble.node)
        }));
        if kinds.is_empty() {
            return None;
        }
        let mut words: Vec<String> = kinds
            .iter()
            .take(NAMED)
            .map(|((source, what), nodes)| {
                format!("{source} of {}: {what}", nodeset::fold(nodes.iter().copied()))
            })
            .collect();
        if kinds.len() > NAMED {
            words.push(format!("{} more", kinds.len() - NAMED));
        }
        Some(words.join(", "))
    }
}
