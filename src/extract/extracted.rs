//! What was read: samples, units, and what is wrong with the sources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::name::NodeName;
use crate::measure::{MetricName, Sample, Unit, convert};

/// What is wrong with a source of a metric on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The step.
    pub step: String,
    /// The node.
    pub node: NodeName,
    /// The metric as the topology names it: of a source with many metrics, their prefix.
    pub metric: MetricName,
    /// Where it was found: `stdout`, `stderr`, or the path of the metric.
    pub source: String,
    /// What is wrong, for people.
    pub what: String,
    /// How often.
    pub count: u64,
    /// Whether samples are missing because of it, so that a criterion on the metric cannot pass.
    pub incomplete: bool,
}

/// The samples of a step on a node, or of many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extracted {
    /// The samples, in the order of the metrics and of the lines of their sources.
    pub samples: Vec<Sample>,
    /// What is wrong with the sources.
    pub troubles: Vec<Trouble>,
    /// The units of the metrics in sources with many of them. Their samples are in these units.
    pub specs: BTreeMap<MetricName, Unit>,
}

impl Extracted {
    /// Adds what another node or step gave. Where it declares another unit for a metric, its values are converted to the
    /// unit known here; those that cannot be are left out, with a trouble. So the result has one unit per metric.
    pub fn merge(&mut self, mut other: Self) {
        for (name, unit) in std::mem::take(&mut other.specs) {
            match self.specs.get(&name) {
                Some(known) if *known == unit => {}
                Some(known) => other.change_unit(&name, &unit, known),
                None => {
                    self.specs.insert(name, unit);
                }
            }
        }
        self.samples.append(&mut other.samples);
        self.troubles.append(&mut other.troubles);
    }

    fn change_unit(&mut self, name: &MetricName, from: &Unit, to: &Unit) {
        let mut lost: BTreeMap<(String, NodeName), u64> = BTreeMap::new();
        self.samples.retain_mut(|sample| {
            if sample.metric != *name {
                return true;
            }
            let converted = convert(sample.value, Some(from), Some(to)).ok();
            if let Some(value) = converted.filter(|value| value.is_finite()) {
                sample.value = value;
                return true;
            }
            if let (Some(step), Some(node)) = (&sample.step, &sample.node) {
                *lost.entry((step.clone(), node.clone())).or_default() += 1;
            }
            false
        });
        for ((step, node), count) in lost {
            let values = if count == 1 { "value" } else { "values" };
            self.troubles.push(Trouble {
                step,
                node,
                metric: name.clone(),
                source: "declared unit".to_owned(),
                what: format!("{count} {values} in {from} cannot be converted to {to}, the unit elsewhere"),
                count,
                incomplete: true,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(node: &str, value: f64, unit: &str) -> Extracted {
        let metric: MetricName = "ev.wait".parse().unwrap();
        Extracted {
            samples: vec![Sample {
                metric: metric.clone(),
                value,
                step: Some("load".to_owned()),
                node: Some(node.parse().unwrap()),
                labels: BTreeMap::new(),
            }],
            troubles: Vec::new(),
            specs: Unit::new(unit).map(|unit| (metric, unit)).into_iter().collect(),
        }
    }

    #[test]
    fn nodes_that_declare_different_units_are_brought_to_one() {
        let mut all = part("n1", 20.0, "ms");
        all.merge(part("n2", 0.5, "s"));
        all.merge(part("n3", 7.0, "ms"));
        // Without a unit, a value is in the unit of its metric.
        all.merge(part("n4", 8.0, ""));
        let values: Vec<f64> = all.samples.iter().map(|sample| sample.value).collect();
        assert_eq!(values, [20.0, 500.0, 7.0, 8.0]);
        assert_eq!(all.specs.values().map(Unit::as_str).collect::<Vec<_>>(), ["ms"]);
        assert_eq!(all.troubles, []);
    }

    #[test]
    fn values_in_a_unit_of_another_kind_are_left_out_and_counted() {
        let mut all = part("n1", 20.0, "ms");
        all.merge(part("n2", 5.0, "MiB"));
        assert_eq!(all.samples.len(), 1);
        let trouble = &all.troubles[0];
        assert_eq!(
            trouble.what,
            "1 value in MiB cannot be converted to ms, the unit elsewhere"
        );
        assert_eq!(
            (trouble.node.as_str(), trouble.count, trouble.incomplete),
            ("n2", 1, true)
        );
    }
}
