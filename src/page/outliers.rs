//! Nodes that stand out: their own median of a metric differs from that of the other nodes of their group by more than
//! three robust standard deviations.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::budget::Budget;
use super::model::Outlier;
use crate::base::name::{GroupName, NodeName};
use crate::base::text::plural;
use crate::measure::figure::{number, value};
use crate::measure::{Sample, Statistic};

/// Bytes of the page that nodes may take.
const ROOM: usize = 60_000;

/// From how many robust standard deviations on a node stands out.
const LIMIT: f64 = 3.0;

/// Below this many nodes nothing can be said.
const FEWEST: usize = 5;

/// What makes a median absolute deviation a standard deviation, for normal values.
const MAD_TO_SD: f64 = 1.4826;

/// The same for a mean absolute deviation.
const MEAN_TO_SD: f64 = 1.2533;

/// What nodes are compared in.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    sample: (&'a str, Option<&'a str>, Vec<(&'a str, &'a str)>),
    group: Option<&'a GroupName>,
}

/// The nodes of a run that stand out. Nodes are compared within their group, a metric per step and labels.
pub(super) fn found(samples: &[Sample], groups: &BTreeMap<NodeName, GroupName>) -> Vec<Outlier> {
    let mut all: BTreeMap<Key<'_>, BTreeMap<&NodeName, Vec<f64>>> = BTreeMap::new();
    for sample in samples {
        let Some(node) = sample.node.as_ref().filter(|_| sample.value.is_finite()) else {
            continue;
        };
        let labels = sample
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let key = Key {
            sample: (sample.metric.as_str(), sample.step.as_deref(), labels.collect()),
            group: groups.get(node),
        };
        all.entry(key)
            .or_default()
            .entry(node)
            .or_default()
            .push(sample.value);
    }
    let mut outliers = Vec::new();
    for (key, nodes) in &all {
        let own: Vec<(&NodeName, f64)> = nodes
            .iter()
            .filter_map(|(node, values)| Some((*node, Statistic::Median.of(values)?)))
            .collect();
        let Some((middle, deviation)) = spread(&own.iter().map(|(_, value)| *value).collect::<Vec<_>>())
        else {
            continue;
        };
        for (node, own) in own {
            let deviation = (own - middle) / deviation;
            if deviation.is_finite() && deviation.abs() > LIMIT {
                outliers.push(Outlier {
                    node: node.clone(),
                    metric: title(key),
                    unit: None,
                    own,
                    others: middle,
                    deviation,
                    runs: 1,
                });
            }
        }
    }
    outliers
}

/// The median of values and their robust standard deviation; `None` if there are too few, or all are equal.
fn spread(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < FEWEST {
        return None;
    }
    let middle = Statistic::Median.of(values)?;
    let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let mad = Statistic::Median.of(&distances)? * MAD_TO_SD;
    // More than half of the values are equal: the mean distance still tells those apart that are not.
    let deviation = if mad > 0.0 {
        mad
    } else {
        Statistic::Mean.of(&distances)? * MEAN_TO_SD
    };
    (deviation > 0.0 && deviation.is_finite()).then_some((middle, deviation))
}

/// `join_seconds (step join, link=eth0)`
fn title(key: &Key<'_>) -> String {
    let (metric, step, labels) = &key.sample;
    let step = step.map(|step| format!("step {step}"));
    let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
    let details: Vec<String> = step.into_iter().chain(labels).collect();
    if details.is_empty() {
        (*metric).to_owned()
    } else {
        format!("{metric} ({})", details.join(", "))
    }
}

/// The outliers of several runs as one list: each node and metric once, with its largest deviation. Those that stand out
/// in more runs come first, then those that stand out more.
pub(super) fn merged(all: impl IntoIterator<Item = Outlier>) -> Vec<Outlier> {
    let mut found: BTreeMap<(NodeName, String), Outlier> = BTreeMap::new();
    for outlier in all {
        let key = (outlier.node.clone(), outlier.metric.clone());
        match found.get_mut(&key) {
            None => {
                found.insert(key, outlier);
            }
            Some(known) => {
                let runs = known.runs + outlier.runs;
                if outlier.deviation.abs() > known.deviation.abs() {
                    *known = outlier;
                }
                known.runs = runs;
            }
        }
    }
    let mut outliers: Vec<Outlier> = found.into_values().collect();
    outliers.sort_by(|a, b| {
        let by_size = b.deviation.abs().total_cmp(&a.deviation.abs());
        b.runs.cmp(&a.runs).then(by_size)
    });
    outliers
}

/// The section. `runs`: how many runs the page has.
pub(super) fn section(outliers: &[Outlier], runs: usize) -> Markup {
    let (drawn, left_out) = Budget::new(ROOM).fitting(outliers, |outlier| row(outlier, runs));
    html! {
        @if !outliers.is_empty() {
            section {
                h2 { "Nodes that stand out" }
                p.explain {
                    "Their median of a metric lies more than " (LIMIT) " robust standard deviations from that of their "
                    "group. Of normal values 1 in 370 does so by chance."
                }
                div.scroll {
                    table {
                        thead {
                            tr {
                                @for heading in ["node", "metric"] { th scope="col" { (heading) } }
                                @for heading in ["node's median", "group's median", "deviations"] {
                                    th.number scope="col" { (heading) }
                                }
                                @if runs > 1 { th.number scope="col" { "in runs" } }
                            }
                        }
                        tbody { @for row in &drawn { (row) } }
                    }
                }
                @if left_out > 0 { p.note { (plural(left_out, "further finding")) " left out" } }
            }
        }
    }
}

fn row(outlier: &Outlier, runs: usize) -> Markup {
    let unit = outlier.unit.as_ref();
    html! {
        tr {
            th scope="row" { (outlier.node) }
            td { code { (outlier.metric) } }
            td.number { (value(outlier.own, unit)) }
            td.number { (value(outlier.others, unit)) }
            td.number { (number(outlier.deviation)) }
            @if runs > 1 { td.number { (outlier.runs) " of " (runs) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(node: usize, value: f64) -> Sample {
        Sample {
            metric: "join_seconds".parse().unwrap(),
            value,
            step: Some("join".into()),
            node: Some(format!("n{node:02}").parse().unwrap()),
            labels: BTreeMap::new(),
        }
    }

    fn samples(values: &[f64]) -> Vec<Sample> {
        values
            .iter()
            .enumerate()
            .map(|(node, value)| sample(node, *value))
            .collect()
    }

    #[test]
    fn a_node_more_than_three_robust_deviations_away_stands_out() {
        // The median is 10, the median distance from it 1.
        let found = found(
            &samples(&[8.0, 9.0, 9.0, 10.0, 11.0, 11.0, 20.0]),
            &BTreeMap::new(),
        );
        assert_eq!(found.len(), 1, "{found:?}");
        let outlier = &found[0];
        assert_eq!(
            (outlier.node.as_str(), outlier.metric.as_str()),
            ("n06", "join_seconds (step join)")
        );
        assert_eq!((outlier.own, outlier.others), (20.0, 10.0));
        assert!((outlier.deviation - 10.0 / 1.4826).abs() < 1e-9);
        let nearer = super::found(
            &samples(&[8.0, 9.0, 9.0, 10.0, 11.0, 11.0, 14.4]),
            &BTreeMap::new(),
        );
        assert!(nearer.is_empty(), "{nearer:?}");
    }

    #[test]
    fn a_node_is_compared_by_the_median_of_its_own_samples() {
        let mut all = samples(&[8.0, 9.0, 9.0, 10.0, 11.0, 11.0, 10.0]);
        // One slow sample of many does not make a node stand out.
        all.extend([sample(6, 10.0), sample(6, 900.0)]);
        assert!(found(&all, &BTreeMap::new()).is_empty());
    }

    #[test]
    fn where_most_nodes_are_equal_the_only_other_one_stands_out() {
        let mut values = vec![0.0; 20];
        values[3] = 1.0;
        let found = found(&samples(&values), &BTreeMap::new());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].node.as_str(), found[0].others), ("n03", 0.0));
        assert!(super::found(&samples(&[5.0; 20]), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn nodes_are_compared_within_their_group_and_few_are_not_compared() {
        let values = [1.0, 1.1, 1.2, 1.1, 1.0, 9.0, 9.1];
        let group = |node: usize| if node < 5 { "worker" } else { "seed" };
        let groups = (0..7).map(|node| {
            let name: NodeName = format!("n{node:02}").parse().unwrap();
            (name, group(node).parse().unwrap())
        });
        assert!(found(&samples(&values), &groups.collect()).is_empty());
        assert!(!found(&samples(&values), &BTreeMap::new()).is_empty());
        assert!(found(&samples(&[1.0, 1.0, 1.0, 90.0]), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn what_stands_out_in_several_runs_comes_first_with_its_largest_deviation() {
        let of = |node: &str, deviation: f64| Outlier {
            node: node.parse().unwrap(),
            metric: "m".into(),
            unit: None,
            own: 1.0,
            others: 0.0,
            deviation,
            runs: 1,
        };
        let merged = merged([of("a", 50.0), of("b", -4.0), of("b", -7.0)]);
        let shown: Vec<(&str, f64, usize)> = merged
            .iter()
            .map(|one| (one.node.as_str(), one.deviation, one.runs))
            .collect();
        assert_eq!(shown, [("b", -7.0, 2), ("a", 50.0, 1)]);
        let drawn = section(&merged, 2).into_string();
        assert!(drawn.contains("2 of 2") && drawn.contains(">-7<"), "{drawn}");
    }
}
