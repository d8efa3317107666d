//! What the runs of an experiment came to, by variant.

use std::collections::BTreeMap;

use crate::compare::variant_text;
use crate::measure::{Criterion, Expression, Finding, Unit, median};
use crate::runs::{Experiment, Store, StoreError};
use crate::workload::Verdict;

/// The runs of an experiment, by variant.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The criteria that have a value, with its unit.
    pub criteria: Vec<(Criterion, Option<Unit>)>,
    /// The variants, in the order of their first runs.
    pub variants: Vec<VariantTally>,
}

/// The runs of one variant.
#[derive(Clone, Debug, Default)]
pub struct VariantTally {
    /// The variant, as `compare` takes it; empty if nothing is varied.
    pub variant: String,
    /// Whether these are the runs that were made to confirm something.
    pub confirmation: bool,
    /// How many there are.
    pub runs: usize,
    /// How many passed.
    pub passed: usize,
    /// The median of the value of each criterion.
    pub medians: Vec<Option<f64>>,
}

/// Reads what the runs of an experiment came to.
pub fn tally(store: &Store, experiment: &Experiment) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let mut values: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    for run in &experiment.runs {
        let variant = variant_text(&run.variant);
        let is_same = |row: &VariantTally| row.variant == variant && row.confirmation == run.confirmation;
        let row = tally.variants.iter().position(is_same).unwrap_or_else(|| {
            tally.variants.push(VariantTally {
                variant: variant.clone(),
                confirmation: run.confirmation,
                ..VariantTally::default()
            });
            tally.variants.len() - 1
        });
        let counts = &mut tally.variants[row];
        counts.runs += 1;
        counts.passed += usize::from(run.verdict == Some(Verdict::Passed));
        // A run that was cut off has no findings.
        if run.verdict.is_none_or(|verdict| !verdict.is_whole()) {
            continue;
        }
        for finding in store.run(&run.run)?.findings()? {
            if let (Some(column), Some(value)) = (column(&mut tally.criteria, &finding), finding.value) {
                values.entry((row, column)).or_default().push(value);
            }
        }
    }
    let columns = tally.criteria.len();
    for (row, counts) in tally.variants.iter_mut().enumerate() {
        counts.medians = (0..columns)
            .map(|column| {
                let mut values = values.remove(&(row, column))?;
                values.sort_unstable_by(f64::total_cmp);
                median(&values)
            })
            .collect();
    }
    Ok(tally)
}

/// The column of a criterion: the same in all runs, although its nodes may differ with the size.
fn column(criteria: &mut Vec<(Criterion, Option<Unit>)>, finding: &Finding) -> Option<usize> {
    let wanted = &finding.criterion;
    if let Expression::Growth { .. } = wanted.is {
        return None;
    }
    let is_same = |(known, _): &(Criterion, Option<Unit>)| {
        (&known.metric, &known.text, &known.step) == (&wanted.metric, &wanted.text, &wanted.step)
    };
    if let Some(column) = criteria.iter().position(is_same) {
        return Some(column);
    }
    criteria.push((wanted.clone(), finding.unit.clone()));
    Some(criteria.len() - 1)
}
