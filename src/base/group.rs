//! Groups items by a key.

use std::hash::Hash;

use indexmap::IndexMap;

/// The items of each key, in their order; the keys in the order of their first item.
pub(crate) fn grouped<K: Eq + Hash, T>(items: impl IntoIterator<Item = (K, T)>) -> IndexMap<K, Vec<T>> {
    let mut groups: IndexMap<K, Vec<T>> = IndexMap::new();
    for (key, item) in items {
        groups.entry(key).or_default().push(item);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_items_keep_their_order() {
        let groups = grouped([("b", 1), ("a", 2), ("b", 3)]);
        assert_eq!(
            groups.into_iter().collect::<Vec<_>>(),
            [("b", vec![1, 3]), ("a", vec![2])]
        );
    }
}
