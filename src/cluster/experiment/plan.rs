//! Which runs an experiment has, in which order, and what is done to the cluster before each. Pure.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::name::GroupName;
use crate::compare::variant_text;
use crate::runs::{Between, Order};
use crate::topology::Overrides;

/// The first word of the name of a size in a variant: `nodes.worker`.
const NODES: &str = "nodes";

/// The most runs of an experiment.
const MOST_RUNS: usize = 10_000;

/// One choice of what is varied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// Variables of the topology, by name.
    pub vars: IndexMap<String, String>,
    /// Nodes per group.
    pub counts: IndexMap<GroupName, u32>,
}

impl Variant {
    /// What it sets in the topology.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            vars: self.vars.clone(),
            counts: self.counts.clone(),
        }
    }

    /// As in the record of a run: `rev` is `new`, `nodes.worker` is `30`.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let vars = self.vars.iter();
        let vars = vars.map(|(name, value)| (name.clone(), value.clone()));
        let counts = self.counts.iter();
        let counts = counts.map(|(group, count)| (nodes_of(group), count.to_string()));
        vars.chain(counts).collect()
    }

    /// As `compare` takes it: `nodes.worker=30,rev=new`; empty if nothing is varied.
    pub fn words(&self) -> String {
        variant_text(&self.labels())
    }
}

/// The name of a group's size in a variant.
pub(super) fn nodes_of(group: &GroupName) -> String {
    format!("{NODES}.{group}")
}

/// The group that such a name is about.
pub(super) fn group_of(name: &str) -> Option<GroupName> {
    let rest = name.strip_prefix(NODES)?.strip_prefix('.')?;
    rest.parse().ok()
}

/// What an experiment varies, and how often it runs.
#[derive(Clone, Debug)]
pub struct Design {
    /// Values of variables. The first of each are the baseline.
    pub vary: IndexMap<String, Vec<String>>,
    /// Sizes of groups, ascending. Groups with several sizes have equally many: they grow together.
    pub nodes: IndexMap<GroupName, Vec<u32>>,
    /// Runs of each variant at each size.
    pub repeat: u32,
    /// The order of the variants.
    pub order: Order,
    /// What is done between two runs.
    pub between: Between,
}

/// A run to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What it varies.
    pub variant: Variant,
    /// Which run of its variant it is, from 1.
    pub repetition: u32,
    /// Whether it confirms what earlier runs have shown.
    pub confirmation: bool,
}

/// The runs at one choice of sizes. The cluster only grows from one block to the next, so no node boots twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The variants at these sizes, the baseline first.
    pub(super) variants: Vec<Variant>,
    /// Its runs, in order.
    pub(super) runs: Vec<Planned>,
}

impl Design {
    /// Checks that there are not too many runs.
    pub fn check(&self) -> Result<(), UserError> {
        let runs = self.variant_count().saturating_mul(self.size_count());
        let runs = runs.saturating_mul(self.repeat as usize);
        if runs > MOST_RUNS {
            let text = format!("the experiment has {runs} runs, at most {MOST_RUNS} are allowed");
            let hint = "vary less at a time, or repeat it less often";
            return Err(UserError::new(ExitCode::Usage, text).with_hint(hint));
        }
        Ok(())
    }

    /// The blocks, sizes ascending.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let blocks = self.sizes().into_iter().map(|counts| {
            let variants = self.variants(&counts);
            Block {
                runs: self.runs(&variants, false),
                variants,
            }
        });
        blocks.collect()
    }

    /// All variants at all sizes, in the order of the blocks.
    pub fn all_variants(&self) -> Vec<Variant> {
        let sizes = self.sizes();
        sizes.iter().flat_map(|counts| self.variants(counts)).collect()
    }

    /// The variants without a size, the baseline first.
    pub(super) fn choices(&self) -> Vec<Variant> {
        self.variants(&IndexMap::new())
    }

    /// Once more the runs of these variants, in the reverse order.
    pub(super) fn confirmation(&self, variants: &[Variant]) -> Vec<Planned> {
        self.runs(variants, true)
    }

    /// What is varied, with all values, as in the file of the experiment.
    pub fn varied(&self) -> IndexMap<String, Vec<String>> {
        let vary = self.vary.iter();
        let vary = vary.map(|(name, values)| (name.clone(), values.clone()));
        let nodes = self.nodes.iter().map(|(group, sizes)| {
            let sizes = sizes.iter().map(u32::to_string);
            (nodes_of(group), sizes.collect())
        });
        vary.chain(nodes).collect()
    }

    /// How many sizes there are.
    pub fn size_count(&self) -> usize {
        self.nodes.values().map(Vec::len).max().unwrap_or(1)
    }

    /// How many variants there are at one size.
    pub fn variant_count(&self) -> usize {
        let counts = self.vary.values().map(Vec::len);
        counts.fold(1, usize::saturating_mul)
    }

    /// The sizes of all groups, block by block. A group with one size keeps it.
    fn sizes(&self) -> Vec<IndexMap<GroupName, u32>> {
        let of_block = |block: usize| {
            let groups = self.nodes.iter().filter_map(|(group, sizes)| {
                let size = sizes.get(block).or(sizes.last())?;
                Some((group.clone(), *size))
            });
            groups.collect()
        };
        (0..self.size_count()).map(of_block).collect()
    }

    /// Every combination of the values, at these sizes. The values of the last variable change fastest.
    fn variants(&self, counts: &IndexMap<GroupName, u32>) -> Vec<Variant> {
        let mut variants = vec![Variant {
            vars: IndexMap::new(),
            counts: counts.clone(),
        }];
        for (name, values) in &self.vary {
            let mut longer = Vec::with_capacity(variants.len() * values.len());
            for variant in &variants {
                for value in values {
                    let mut variant = variant.clone();
                    variant.vars.insert(name.clone(), value.clone());
                    longer.push(variant);
                }
            }
            variants = longer;
        }
        variants
    }

    fn runs(&self, variants: &[Variant], reversed: bool) -> Vec<Planned> {
        let order = ordered(variants.len(), self.repeat, self.order, reversed);
        let runs = order.into_iter().map(|(variant, repetition)| Planned {
            variant: variants[variant].clone(),
            repetition,
            confirmation: reversed,
        });
        runs.collect()
    }
}

/// The index and the repetition of each run. Interleaved: ABBA BAAB, so that a drift that grows with time hits all
/// variants equally, also one that grows with its square (the Thue-Morse sequence).
fn ordered(variants: usize, repeat: u32, order: Order, reversed: bool) -> Vec<(usize, u32)> {
    let direction = |backwards: bool| -> Vec<usize> {
        if backwards {
            (0..variants).rev().collect()
        } else {
            (0..variants).collect()
        }
    };
    match order {
        Order::Interleaved => (0..repeat)
            .flat_map(|round| {
                let backwards = (round.count_ones() % 2 == 1) != reversed;
                let round = round + 1;
                direction(backwards)
                    .into_iter()
                    .map(move |variant| (variant, round))
            })
            .collect(),
        Order::Sequential => direction(reversed)
            .into_iter()
            .flat_map(|variant| (1..=repeat).map(move |round| (variant, round)))
            .collect(),
    }
}

/// The cluster before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// There is none.
    Nothing,
    /// One of an earlier command: how it is configured is unknown.
    Unknown,
    /// That of the run before, with the same machines.
    SameMachines,
    /// That of the run before, with other machines.
    OtherMachines,
}

/// What is done to the cluster before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preparation {
    /// Nothing.
    Nothing,
    /// It is raised or changed to match the topology; new nodes are configured.
    Raise,
    /// As that, then all nodes are configured.
    RaiseAndConfigure,
    /// All nodes are configured.
    Configure,
    /// All nodes are created again and configured.
    Recreate,
}

/// What is to be done before a run.
pub(super) fn preparation(before: Before, between: Between) -> Preparation {
    match (before, between) {
        (Before::Nothing, _) => Preparation::Raise,
        (_, Between::Recreate) => Preparation::Recreate,
        (Before::SameMachines, Between::Keep) => Preparation::Nothing,
        (Before::SameMachines, Between::Configure) => Preparation::Configure,
        (_, Between::Keep) => Preparation::Raise,
        (_, Between::Configure) => Preparation::RaiseAndConfigure,
    }
}

#[cfg(test)]
mod tests;
