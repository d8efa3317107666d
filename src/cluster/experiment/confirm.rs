//! The variants of an experiment compared with its baseline, and what is worse compared again in runs that confirm it.

use super::plan::{Block, Variant};
use crate::base::units::Moment;
use crate::compare::{
    Accepted, ChangeVerdict, CompareOptions, Comparison, Refusal, Side, compare, confirmed, read, to_confirm,
};
use crate::runs::{ExperimentRun, Store, StoredRun};
use crate::workload::Verdict;

/// A variant compared with the baseline.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The baseline.
    pub baseline: Variant,
    /// The variant.
    pub variant: Variant,
    /// What the comparison says, or why there is none.
    pub result: Result<Comparison, Refusal>,
    /// Whether something is worse that no further runs have confirmed yet.
    pub is_unconfirmed: bool,
    /// Why the runs that were made to confirm it could not be compared.
    pub not_confirmed: Option<Refusal>,
    /// Runs that say nothing: interrupted, or their workload failed.
    pub left_out: usize,
}

impl Compared {
    /// Whether a regression was found and confirmed.
    pub fn fails(&self) -> bool {
        let is_worse = |comparison: &Comparison| comparison.verdict == ChangeVerdict::Worse;
        !self.is_unconfirmed && self.result.as_ref().is_ok_and(is_worse)
    }

    /// Why runs could not be compared: the first ones, or those that were to confirm what these have shown.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.result.as_ref().err().or(self.not_confirmed.as_ref())
    }

    /// Takes into account what the runs have shown that were made to confirm it. If they cannot be compared, they confirm
    /// nothing: what the first ones have shown is still shown.
    fn confirm_with(&mut self, again: Result<Comparison, Refusal>) {
        match again {
            Ok(again) => {
                if let Ok(first) = &self.result {
                    self.result = Ok(confirmed(first.clone(), &again));
                }
                self.is_unconfirmed = false;
            }
            Err(refusal) => self.not_confirmed = Some(refusal),
        }
    }
}

/// Compares all variants of a block with the first one. Runs that confirm something do not count.
pub(super) fn compare_block(
    store: &Store,
    runs: &[ExperimentRun],
    block: &Block,
    accepted: &[Accepted],
) -> anyhow::Result<Vec<Compared>> {
    let Some((baseline, others)) = block.variants.split_first() else {
        return Ok(Vec::new());
    };
    let (sides, left_out) = read_sides(store, runs, &block.variants, false)?;
    let Some((first, further)) = sides.split_first() else {
        return Ok(Vec::new());
    };
    let options = CompareOptions::new(Moment::now());
    let compared = others.iter().zip(further).map(|(variant, side)| {
        let result = compare(first, side, &options, accepted);
        let suspects = result.as_ref().map(to_confirm).unwrap_or_default();
        Compared {
            baseline: baseline.clone(),
            variant: variant.clone(),
            is_unconfirmed: !suspects.is_empty(),
            not_confirmed: None,
            result,
            left_out,
        }
    });
    Ok(compared.collect())
}

/// The variants to run again: the baseline and those that are worse. Empty if none are.
pub(super) fn suspects(compared: &[Compared]) -> Vec<Variant> {
    let worse = compared.iter().filter(|compared| compared.is_unconfirmed);
    let baseline = worse.clone().next().map(|compared| compared.baseline.clone());
    let variants = worse.map(|compared| compared.variant.clone());
    baseline.into_iter().chain(variants).collect()
}

/// Takes into account the runs that were made to confirm: what is worse in them again is confirmed.
pub(super) fn confirm(
    store: &Store,
    runs: &[ExperimentRun],
    compared: &mut [Compared],
    accepted: &[Accepted],
) -> anyhow::Result<()> {
    for compared in compared.iter_mut().filter(|compared| compared.is_unconfirmed) {
        let variants = [compared.baseline.clone(), compared.variant.clone()];
        let (sides, left_out) = read_sides(store, runs, &variants, true)?;
        compared.left_out += left_out;
        let (Ok(first), [a, b]) = (&compared.result, &sides[..]) else {
            continue;
        };
        let mut options = CompareOptions::new(Moment::now());
        options.only = Some(to_confirm(first));
        let again = compare(a, b, &options, accepted);
        compared.confirm_with(again);
    }
    Ok(())
}

/// The complete runs of these variants as sides, and how many are left out.
fn read_sides(
    store: &Store,
    runs: &[ExperimentRun],
    variants: &[Variant],
    confirmation: bool,
) -> anyhow::Result<(Vec<Side>, usize)> {
    let mut left_out = 0;
    let mut groups: Vec<(String, Vec<StoredRun>)> = Vec::new();
    for variant in variants {
        let labels = variant.labels();
        let mut group = Vec::new();
        for run in runs {
            if run.variant != labels || run.confirmation != confirmation {
                continue;
            }
            if run.verdict.is_some_and(Verdict::is_whole) {
                group.push(store.run(&run.run)?);
            } else {
                left_out += 1;
            }
        }
        groups.push((variant.words(), group));
    }
    Ok((read(groups)?, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::fixture::decided;

    #[test]
    fn what_is_worse_stays_where_the_runs_that_should_confirm_it_cannot_be_compared() {
        let refusal = Refusal {
            a: "rev=old".into(),
            b: "rev=new".into(),
            differences: Vec::new(),
            command: None,
        };
        let worse = || Compared {
            baseline: Variant::default(),
            variant: Variant::default(),
            result: Ok(decided(ChangeVerdict::Worse)),
            is_unconfirmed: true,
            not_confirmed: None,
            left_out: 0,
        };
        let mut open = worse();
        open.confirm_with(Err(refusal.clone()));
        let kept = open.result.as_ref().map(|comparison| comparison.verdict);
        assert_eq!(kept, Ok(ChangeVerdict::Worse));
        assert!(open.is_unconfirmed && !open.fails());
        assert_eq!(open.refusal(), Some(&refusal));
        let mut again = worse();
        again.confirm_with(Ok(decided(ChangeVerdict::Equal)));
        assert!(!again.is_unconfirmed && again.refusal().is_none());
        let mut first = worse();
        first.result = Err(refusal.clone());
        assert_eq!(first.refusal(), Some(&refusal));
        assert!(!first.fails());
    }
}
