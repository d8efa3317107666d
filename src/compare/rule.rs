//! What counts for a metric in a comparison, as the topologies of the runs say. Where they differ, the newest run decides.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::name::NodeName;
use crate::measure::{
    Better, Criterion, Expression, MetricName, MetricSpec, Operator, Reading, Severity, Statistic, Unit,
};
use crate::workload::Record;

/// The metrics and criteria of some runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Those of the newest run first.
    specs: Vec<MetricSpec>,
    /// Bounds only: a growth says nothing about runs of one size.
    bounds: BTreeMap<MetricName, Vec<Criterion>>,
}

/// What counts for one metric.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule<'a> {
    /// Whether it is judged: it has a criterion or a `min_change`.
    pub(super) is_judged: bool,
    /// What reduces the samples of a run to one value.
    pub(super) statistic: Statistic,
    /// Only samples of this step.
    pub(super) step: Option<&'a str>,
    pub(super) unit: Option<&'a Unit>,
    pub(super) better: Option<Better>,
    pub(super) min_change: Option<f64>,
    pub(super) floor: Option<f64>,
}

impl Rules {
    /// The rules of runs, the oldest first.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let records: Vec<&Record> = records.into_iter().collect();
        let mut rules = Self::default();
        for record in records.into_iter().rev() {
            for spec in &record.metrics {
                if !rules.specs.contains(spec) {
                    rules.specs.push(spec.clone());
                }
            }
            let mut own: BTreeMap<MetricName, Vec<Criterion>> = BTreeMap::new();
            for criterion in &record.criteria {
                if matches!(criterion.is, Expression::Bound { .. }) {
                    own.entry(criterion.metric.clone())
                        .or_default()
                        .push(criterion.clone());
                }
            }
            for (metric, bounds) in own {
                rules.bounds.entry(metric).or_insert(bounds);
            }
        }
        rules
    }

    /// What counts for a metric. Properties of a series that has none of its own are those of its file.
    pub(super) fn rule(&self, metric: &MetricName) -> Rule<'_> {
        let own = self
            .specs
            .iter()
            .filter(|spec| spec.name == *metric && !gives_many(spec));
        let file = self
            .specs
            .iter()
            .filter(|spec| spec.name.as_str() == metric.prefix() && gives_many(spec));
        let specs: Vec<&MetricSpec> = own.chain(file).collect();
        let number = |of: fn(&MetricSpec) -> Option<f64>| {
            let found = specs.iter().find_map(|spec| of(spec));
            found.filter(|value| value.is_finite() && *value >= 0.0)
        };
        let bounds = self.bounds.get(metric).map_or(&[][..], Vec::as_slice);
        let decisive = decisive(bounds);
        let min_change = number(|spec| spec.min_change);
        Rule {
            is_judged: min_change.is_some() || !bounds.is_empty(),
            statistic: decisive.and_then(statistic).unwrap_or(Statistic::Median),
            step: decisive.and_then(|criterion| criterion.step.as_deref()),
            unit: specs.iter().find_map(|spec| spec.unit.as_ref()),
            better: specs
                .iter()
                .find_map(|spec| spec.better)
                .or_else(|| bounds.iter().find_map(direction)),
            min_change,
            floor: number(|spec| spec.floor),
        }
    }

    /// The metrics that are judged by name, whether or not there are samples of them.
    pub(super) fn judged(&self) -> BTreeSet<MetricName> {
        let specs = self.specs.iter();
        let specs = specs.filter(|spec| spec.min_change.is_some() && !gives_many(spec));
        let named = specs.map(|spec| &spec.name).chain(self.bounds.keys());
        named.cloned().collect()
    }

    /// The criteria by which the values of a run are taken. Their nodes are those of the run itself: where the cluster has
    /// another size, `@worker` is other nodes.
    pub(super) fn criteria(&self, record: &Record) -> Vec<Criterion> {
        let decisive = self.bounds.values().filter_map(|bounds| decisive(bounds));
        let resolved = decisive.map(|criterion| Criterion {
            on: criterion
                .on
                .as_ref()
                .map(|on| own_nodes(criterion, record).unwrap_or(on).clone()),
            ..criterion.clone()
        });
        resolved.collect()
    }

    /// What must be equal between runs to compare their values: `statistic.NAME` where it is not the plain median, and
    /// `unit.NAME` of every metric that is described.
    pub(super) fn facts(&self) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::new();
        for metric in self.bounds.keys() {
            let rule = self.rule(metric);
            let text = match rule.step {
                Some(step) => format!("{} in step {step}", rule.statistic),
                None if rule.statistic == Statistic::Median => continue,
                None => rule.statistic.to_string(),
            };
            facts.insert(format!("statistic.{metric}"), text);
        }
        for spec in &self.specs {
            let unit = self.rule(&spec.name).unit;
            let text = unit.map_or_else(|| "none".to_owned(), Unit::to_string);
            facts.insert(format!("unit.{}", spec.name), text);
        }
        facts
    }
}

/// Whether it describes all series of a file, and is the name of none of them.
fn gives_many(spec: &MetricSpec) -> bool {
    spec.reading.as_ref().is_some_and(Reading::gives_many)
}

/// The criterion whose statistic is the value of a run.
fn decisive(bounds: &[Criterion]) -> Option<&Criterion> {
    bounds
        .iter()
        .find(|criterion| criterion.severity == Severity::Error)
}

/// The nodes that a criterion has in a run, as far as the run has it: with the same text, or else the same statistic.
fn own_nodes<'a>(criterion: &Criterion, record: &'a Record) -> Option<&'a Vec<NodeName>> {
    let same = record.criteria.iter().filter(|own| {
        (&own.metric, &own.step) == (&criterion.metric, &criterion.step)
            && own.on.is_some()
            && statistic(own) == statistic(criterion)
    });
    let by_text = same.clone().find(|own| own.text == criterion.text);
    by_text.or(same.clone().next())?.on.as_ref()
}

fn statistic(criterion: &Criterion) -> Option<Statistic> {
    match criterion.is {
        Expression::Bound { statistic, .. } => Some(statistic),
        Expression::Growth { .. } => None,
    }
}

/// The direction that a bound allows without end.
fn direction(criterion: &Criterion) -> Option<Better> {
    match criterion.is {
        Expression::Bound { operator, .. } => match operator {
            Operator::Less | Operator::AtMost => Some(Better::Lower),
            Operator::Greater | Operator::AtLeast => Some(Better::Higher),
            Operator::Equal | Operator::Different => None,
        },
        Expression::Growth { .. } => None,
    }
}
