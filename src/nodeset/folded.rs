//! Folds texts about several names: those that differ only in the names are one.

use std::hash::Hash;

use crate::base::group::grouped;

/// A text about a node or host.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The node or host.
    pub name: &'a str,
    /// Whether it is a host.
    pub is_host: bool,
    /// The host of the node.
    pub host: Option<&'a str>,
    /// The text.
    pub text: &'a str,
}

/// A text, and everything that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// Nodes (or hosts) as a node set.
    pub names: String,
    /// How many there are.
    pub count: usize,
    /// The text; `<node>` and `<host>` replace names that differ.
    pub text: String,
}

/// Folds texts: those with the same key that differ only in the names of node and host are one. The order is that of
/// their first appearance.
pub fn fold_texts<'a, K: Eq + Hash>(texts: impl IntoIterator<Item = (K, About<'a>)>) -> Vec<(K, Folded)> {
    let groups = grouped(texts.into_iter().map(|(key, about)| {
        let placeholder = if about.is_host { "<host>" } else { "<node>" };
        let mut generic = replace_word(about.text, about.name, placeholder);
        if let Some(host) = about.host {
            generic = replace_word(&generic, host, "<host>");
        }
        ((key, generic), about)
    }));
    groups
        .into_iter()
        .map(|((key, generic), members)| {
            let folded = Folded {
                names: super::fold(members.iter().map(|about| about.name)),
                count: members.len(),
                text: text_for(&generic, &members),
            };
            (key, folded)
        })
        .collect()
}

/// The most specific text that is true for all members.
fn text_for(generic: &str, members: &[About<'_>]) -> String {
    let first = members[0];
    if members.iter().all(|member| member.text == first.text) {
        return first.text.to_owned();
    }
    match first.host {
        Some(host) if members.iter().all(|member| member.host == Some(host)) => {
            generic.replace("<host>", host)
        }
        _ => generic.to_owned(),
    }
}

/// Replaces a name where it is a whole word: not the `n1` in `n10` or `n1-a`.
fn replace_word(text: &str, word: &str, with: &str) -> String {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word).filter(|_| !word.is_empty()) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let inside = result
            .chars()
            .chain(before.chars())
            .next_back()
            .is_some_and(part_of_name)
            || after.starts_with(part_of_name);
        result.push_str(before);
        result.push_str(if inside { word } else { with });
        rest = after;
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_replaced_as_a_whole_word_only() {
        assert_eq!(
            replace_word("n1 n10 xn1 n1-a n1: (n1)", "n1", "N"),
            "N n10 xn1 n1-a N: (N)"
        );
        assert_eq!(replace_word("n1n1 n1", "n1", "N"), "n1n1 N");
        assert_eq!(replace_word("abc", "", "N"), "abc");
    }
}
