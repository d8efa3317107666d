//! Folding of names with several indices: `rack1node1,rack1node2,rack2node1,rack2node2`
//! to `rack[1-2]node[1-2]`. A fold is a list of products that don't overlap.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::index::{Index, ranges};

/// A product of index sets, one per dimension, each sorted.
pub(super) type Product = Vec<Vec<Index>>;

/// Folds index vectors (all of the same length, at least 1) to products, in the order in which
/// ClusterShell writes them: larger products first, then by their first dimensions.
pub(super) fn products(vectors: &BTreeSet<Box<[Index]>>) -> Vec<Product> {
    let dimensions = vectors.first().map_or(0, |vector| vector.len());
    if dimensions == 1 {
        return vec![vec![vectors.iter().map(|vector| vector[0]).collect()]];
    }
    let last_first = merged(vectors, (0..dimensions).rev().collect());
    // One product cannot be beaten; else the other direction may need fewer.
    let mut best = if last_first.len() > 1 {
        let first_first = merged(vectors, (0..dimensions).collect());
        if first_first.len() < last_first.len() {
            first_first
        } else {
            last_first
        }
    } else {
        last_first
    };
    best.sort_by_cached_key(|product| {
        let size: usize = product.iter().map(Vec::len).product();
        let shape: Vec<_> = product
            .iter()
            .map(|set| {
                let text = |index: Option<&Index>| index.map(ToString::to_string);
                (Reverse(set.len()), text(set.first()), text(set.last()))
            })
            .collect();
        (Reverse(size), shape)
    });
    best
}

/// Merges along one axis after the other until nothing changes.
fn merged(vectors: &BTreeSet<Box<[Index]>>, axes: Vec<usize>) -> Vec<Product> {
    let mut all: Vec<Product> = vectors
        .iter()
        .map(|vector| vector.iter().map(|&index| vec![index]).collect())
        .collect();
    loop {
        let before = all.len();
        for &axis in &axes {
            let mut by_rest: BTreeMap<Product, Vec<Index>> = BTreeMap::new();
            for mut product in all {
                let set = std::mem::take(&mut product[axis]);
                by_rest.entry(product).or_default().extend(set);
            }
            all = by_rest
                .into_iter()
                .map(|(mut product, mut set)| {
                    set.sort_unstable();
                    product[axis] = set;
                    product
                })
                .collect();
        }
        if all.len() == before {
            return all;
        }
    }
}

/// Writes one dimension: `7` or `[1-3,7]`.
pub(super) fn dimension(set: &[Index]) -> String {
    match set {
        [one] => one.to_string(),
        many => format!("[{}]", ranges(many)),
    }
}
