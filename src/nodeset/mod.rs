//! Node sets as in ClusterShell: `node[001-150]`, `rack[1-2]node[01-10]`, `node[0-6/2]`,
//! `@group`, and the operators `,` (union), `!` (difference), `&` (intersection) and `^`
//! (symmetric difference), from left to right. Text in, names out; the caller resolves
//! groups.
//!
//! Differences from ClusterShell 1.9, all on purpose: an unknown group, white space in a
//! name and a negative index are errors; an expression that expands to more than
//! [`LIMIT`] names is refused; digits before a range are put before each of its numbers
//! (`a1[9-10]` is `a19,a110`, but `a[19-110]` in ClusterShell); a grid with holes
//! (`r[1-3]n[1-3]!r2n2`) may be split into other products.

mod error;
mod folded;
mod grid;
mod index;
mod parse;

use std::collections::{BTreeMap, BTreeSet};

pub use error::{NodeSetError, NodeSetErrorKind};
pub use folded::{About, Folded, fold_texts};
use index::Index;

/// The most names that an expression may expand to, duplicates counted.
pub const LIMIT: usize = 1_000_000;

/// A set of node names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet {
    /// Pattern (`%s` for an index, `%%` for a percent sign: the form by which
    /// ClusterShell sorts) to index vectors. None of the sets is empty.
    patterns: BTreeMap<String, BTreeSet<Box<[Index]>>>,
}

/// Expands a node set without groups, in order.
pub fn expand(text: &str) -> Result<Vec<String>, NodeSetError> {
    Ok(NodeSet::parse(text, |_| None)?.iter().collect())
}

/// Folds names to the shortest text that we know for them. Names are literal: brackets and
/// operators in them have no meaning.
pub fn fold<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().collect::<NodeSet>().to_string()
}

impl NodeSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses an expression. `groups` resolves the name of a group (without `@`) to its nodes, and
    /// `*` to all nodes (`@*`, and `@all` if no group has that name).
    pub fn parse(text: &str, groups: impl Fn(&str) -> Option<Vec<String>>) -> Result<Self, NodeSetError> {
        parse::Parser {
            resolve: &groups,
            budget: LIMIT,
        }
        .expression(text)
    }

    /// Adds one name.
    pub fn insert(&mut self, name: &str) -> bool {
        let (pattern, vector) = Self::scan(name);
        self.patterns.entry(pattern).or_default().insert(vector)
    }

    /// Whether the name is in the set.
    pub fn contains(&self, name: &str) -> bool {
        let (pattern, vector) = Self::scan(name);
        self.patterns
            .get(&pattern)
            .is_some_and(|vectors| vectors.contains(&vector))
    }

    /// How many names are in the set.
    pub fn len(&self) -> usize {
        self.patterns.values().map(BTreeSet::len).sum()
    }

    /// Whether no name is in the set.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The names, sorted by their text without numbers, then by their numbers. Names with
    /// several numbers come in the order of their fold, as in ClusterShell.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        self.patterns
            .iter()
            .flat_map(|(pattern, vectors)| -> Vec<String> {
                if vectors.first().is_some_and(|vector| vector.len() < 2) {
                    return vectors
                        .iter()
                        .map(|vector| fill(pattern, vector.iter()))
                        .collect();
                }
                let products = grid::products(vectors);
                let vectors = products.iter().flat_map(|product| grid::vectors(product));
                vectors.map(|vector| fill(pattern, vector.iter())).collect()
            })
    }

    /// Adds all names of another set.
    pub fn union_with(&mut self, other: Self) {
        for (pattern, vectors) in other.patterns {
            self.patterns.entry(pattern).or_default().extend(vectors);
        }
    }

    /// Removes all names of another set.
    pub fn difference_with(&mut self, other: &Self) {
        for (pattern, vectors) in &other.patterns {
            if let Some(mine) = self.patterns.get_mut(pattern) {
                mine.retain(|vector| !vectors.contains(vector));
            }
        }
        self.tidy();
    }

    /// Keeps only the names that are in another set too.
    pub fn intersection_with(&mut self, other: &Self) {
        for (pattern, mine) in &mut self.patterns {
            match other.patterns.get(pattern) {
                Some(vectors) => mine.retain(|vector| vectors.contains(vector)),
                None => mine.clear(),
            }
        }
        self.tidy();
    }

    /// Keeps the names that are in exactly one of the two sets.
    pub fn symmetric_difference_with(&mut self, other: Self) {
        for (pattern, vectors) in other.patterns {
            let mine = self.patterns.entry(pattern).or_default();
            for vector in vectors {
                if !mine.remove(&vector) {
                    mine.insert(vector);
                }
            }
        }
        self.tidy();
    }

    fn tidy(&mut self) {
        self.patterns.retain(|_, vectors| !vectors.is_empty());
    }

    /// Splits a name into its pattern and its indices.
    fn scan(name: &str) -> (String, Box<[Index]>) {
        let mut pattern = String::with_capacity(name.len() + 2);
        let mut vector = Vec::new();
        let mut rest = name;
        while let Some(c) = rest.chars().next() {
            let run = rest.bytes().take_while(u8::is_ascii_digit).count();
            match (run, Index::read(&rest[..run])) {
                (0, _) => {
                    Self::push_literal(&mut pattern, c);
                    rest = &rest[c.len_utf8()..];
                }
                (_, Some(index)) => {
                    Self::push_slot(&mut pattern);
                    vector.push(index);
                    rest = &rest[run..];
                }
                (_, None) => {
                    pattern.push_str(&rest[..run]);
                    rest = &rest[run..];
                }
            }
        }
        (pattern, vector.into())
    }

    fn push_literal(pattern: &mut String, c: char) {
        if c == '%' {
            pattern.push('%');
        }
        pattern.push(c);
    }

    fn push_slot(pattern: &mut String) {
        pattern.push_str("%s");
    }

    /// The set of all combinations; the caller has checked their number.
    fn product(pattern: String, dimensions: &[Vec<Index>]) -> Self {
        let vectors: BTreeSet<Box<[Index]>> = grid::vectors(dimensions)
            .into_iter()
            .map(Vec::into_boxed_slice)
            .collect();
        let mut set = Self {
            patterns: BTreeMap::from([(pattern, vectors)]),
        };
        set.tidy();
        set
    }
}

/// Puts values into the slots of a pattern.
fn fill<T: std::fmt::Display>(pattern: &str, mut values: impl Iterator<Item = T>) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some((literal, behind)) = rest.split_once('%') {
        out.push_str(literal);
        if behind.starts_with('%') {
            out.push('%');
        } else if let Some(value) = values.next() {
            out.push_str(&value.to_string());
        }
        rest = &behind[1..];
    }
    out.push_str(rest);
    out
}

impl std::fmt::Display for NodeSet {
    /// The folded form.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut first = true;
        for (pattern, vectors) in &self.patterns {
            // A pattern without slots has one, empty, vector and is its own product.
            for product in grid::products(vectors) {
                if !std::mem::take(&mut first) {
                    f.write_str(",")?;
                }
                f.write_str(&fill(pattern, product.iter().map(|set| grid::dimension(set))))?;
            }
        }
        Ok(())
    }
}

impl<S: AsRef<str>> FromIterator<S> for NodeSet {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut set = Self::new();
        for name in names {
            set.insert(name.as_ref());
        }
        set
    }
}

#[cfg(test)]
mod tests;
