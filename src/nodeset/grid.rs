//! Folding of names with several indices: `rack1node1,rack1node2,rack2node1,rack2node2`
//! to `rack[1-2]node[1-2]`. A fold is a list of products that do not overlap.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::index::{Index, ranges};

/// A product of index sets, one per dimension, each sorted.
pub(super) type Product = Vec<Vec<Index>>;

/// Folds index vectors (all of the same length, at least 1) to products, in the order of
/// ClusterShell: larger products first, then by their first dimensions.
pub(super) fn products(vectors: &BTreeSet<Box<[Index]>>) -> Vec<Product> {
    let mut products = rows(vectors);
    let dimensions = vectors.first().map_or(0, |vector| vector.len());
    // Rows are merged along the dimensions before the last one, until nothing changes.
    loop {
        let before = products.len();
        for axis in (0..dimensions).rev() {
            products = merged(products, axis);
        }
        if products.len() == before {
            break;
        }
    }
    products.sort_by_cached_key(|product| {
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
    products
}

/// Vectors that differ only in their last index are adjacent in the sorted set: one pass
/// folds them, so that a full grid of a million names stays cheap.
fn rows(vectors: &BTreeSet<Box<[Index]>>) -> Vec<Product> {
    let mut rows: Vec<Product> = Vec::new();
    let mut current: &[Index] = &[];
    for vector in vectors {
        let Some((&last, prefix)) = vector.split_last() else {
            // A name without a number: one product without dimensions.
            return vec![Vec::new()];
        };
        match rows.last_mut().and_then(|row| row.last_mut()) {
            Some(set) if current == prefix => set.push(last),
            _ => {
                let singles = prefix.iter().map(|&index| vec![index]);
                rows.push(singles.chain([vec![last]]).collect());
                current = prefix;
            }
        }
    }
    rows
}

/// Merges the products that differ along one axis only.
fn merged(products: Vec<Product>, axis: usize) -> Vec<Product> {
    let mut by_rest: BTreeMap<Product, Vec<Index>> = BTreeMap::new();
    for mut product in products {
        let set = std::mem::take(&mut product[axis]);
        by_rest.entry(product).or_default().extend(set);
    }
    by_rest
        .into_iter()
        .map(|(mut product, mut set)| {
            set.sort_unstable();
            product[axis] = set;
            product
        })
        .collect()
}

/// The vectors of a product; the last dimension varies fastest.
pub(super) fn vectors(product: &[Vec<Index>]) -> Vec<Vec<Index>> {
    let mut vectors: Vec<Vec<Index>> = vec![Vec::with_capacity(product.len())];
    for set in product {
        vectors = vectors
            .iter()
            .flat_map(|vector| {
                set.iter().map(|&index| {
                    let mut longer = Vec::with_capacity(product.len());
                    longer.extend_from_slice(vector);
                    longer.push(index);
                    longer
                })
            })
            .collect();
    }
    vectors
}

/// Writes one dimension: `7` or `[1-3,7]`.
pub(super) fn dimension(set: &[Index]) -> String {
    match set {
        [one] => one.to_string(),
        many => format!("[{}]", ranges(many)),
    }
}
