//! A side of a comparison: runs, each reduced to one value per metric.

use std::collections::BTreeMap;

use super::rule::Rules;
use super::variant::variant_text;
use crate::measure::MetricName;
use crate::runs::{StoreError, StoredRun, run_values};
use crate::workload::Record;

/// A side of a comparison.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its name for people: `rev=old`, or the name of an experiment.
    pub name: String,
    /// Its runs, the replicates.
    pub runs: Vec<SideRun>,
    /// By what the values of the runs were taken; the same for both sides of a comparison.
    pub rules: Rules,
}

/// A run of a side.
#[derive(Clone, Debug)]
pub struct SideRun {
    /// Its name in the store.
    pub name: String,
    /// Its record.
    pub record: Record,
    /// Its value of each metric: finite, in the unit of the metric.
    pub values: BTreeMap<MetricName, f64>,
}

impl Side {
    /// What was varied, of its first run.
    pub(super) fn variant(&self) -> BTreeMap<String, String> {
        let first = self.runs.first();
        first.map(|run| run.record.variant.clone()).unwrap_or_default()
    }
}

impl SideRun {
    /// Reads the samples of a run, once, and reduces them.
    fn read(run: StoredRun, rules: &Rules) -> Result<Self, StoreError> {
        let values = run_values(&run.samples()?, &rules.criteria(&run.record));
        Ok(Self {
            name: run.name().to_owned(),
            record: run.record,
            values,
        })
    }
}

/// Reads groups of runs as sides that can be compared with each other, the baseline first. Which statistic is a run's
/// value is decided for all of them at once.
pub fn read(groups: Vec<(String, Vec<StoredRun>)>) -> Result<Vec<Side>, StoreError> {
    let rules = Rules::of(
        groups
            .iter()
            .flat_map(|(_, runs)| runs.iter().map(|run| &run.record)),
    );
    let mut sides = Vec::new();
    for (name, runs) in groups {
        let runs: Result<Vec<SideRun>, StoreError> =
            runs.into_iter().map(|run| SideRun::read(run, &rules)).collect();
        sides.push(Side {
            name,
            runs: runs?,
            rules: rules.clone(),
        });
    }
    Ok(sides)
}

/// The runs of an experiment as one side per variant, in order of appearance.
pub fn sides(runs: Vec<StoredRun>) -> Result<Vec<Side>, StoreError> {
    let mut groups: Vec<(String, Vec<StoredRun>)> = Vec::new();
    for run in runs {
        let name = variant_text(&run.record.variant);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(run),
            None => groups.push((name, vec![run])),
        }
    }
    read(groups)
}

/// The comparisons of an experiment by one key of its variants: each further value against the first one, among sides
/// that are equal in everything else that was varied. If one of the two has no runs, its name is the error.
pub fn pairs<'a>(
    sides: &'a [Side],
    by: &str,
    values: &[String],
) -> Result<Vec<(&'a Side, &'a Side)>, String> {
    let mut rests: Vec<BTreeMap<String, String>> = Vec::new();
    for side in sides {
        let mut rest = side.variant();
        rest.remove(by);
        if !rests.contains(&rest) {
            rests.push(rest);
        }
    }
    let find = |rest: &BTreeMap<String, String>, value: &String| {
        let mut wanted = rest.clone();
        wanted.insert(by.to_owned(), value.clone());
        let found = sides.iter().find(|side| side.variant() == wanted);
        found.ok_or_else(|| variant_text(&wanted))
    };
    let mut pairs = Vec::new();
    for rest in &rests {
        if let Some((first, others)) = values.split_first() {
            for other in others {
                pairs.push((find(rest, first)?, find(rest, other)?));
            }
        }
    }
    Ok(pairs)
}
