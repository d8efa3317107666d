//! The nodes that break a bound.

use std::collections::BTreeMap;

use super::bound::Bound;
use crate::base::name::NodeName;
use crate::measure::{Operator, Statistic};

/// The most nodes that are named for a sum or a number, which no node breaks alone.
const NAMED: usize = 20;

/// The nodes whose own samples break a bound, the worst first. For a sum and for a number of samples, those with the
/// largest share; if the bound is a lower one, those with the smallest.
pub(super) fn worst<'a>(
    bound: Bound,
    value: f64,
    samples: impl Iterator<Item = (&'a NodeName, f64)>,
) -> Vec<NodeName> {
    let mut values: BTreeMap<&NodeName, Vec<f64>> = BTreeMap::new();
    for (node, value) in samples {
        values.entry(node).or_default().push(value);
    }
    let mut found: Vec<(f64, &NodeName)> = values
        .into_iter()
        .filter_map(|(node, values)| Some((bound.statistic.of(&values)?, node)))
        .collect();
    let adds_up = matches!(bound.statistic, Statistic::Sum | Statistic::Count);
    if !adds_up {
        found.retain(|(value, _)| !bound.holds(*value));
    }
    let is_bad = |of_node: f64| match bound.operator {
        Operator::Greater | Operator::AtLeast => -of_node,
        Operator::Equal | Operator::Different if !adds_up => (of_node - bound.value).abs(),
        Operator::Equal | Operator::Different if value < bound.value => -of_node,
        _ => of_node,
    };
    // The nodes are in the order of their names, and stay so where they are equally bad.
    found.sort_by(|(a, _), (b, _)| is_bad(*b).total_cmp(&is_bad(*a)));
    if adds_up {
        found.truncate(NAMED);
    }
    found.into_iter().map(|(_, node)| node.clone()).collect()
}
