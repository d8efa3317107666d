//! Folds equal errors over the nodes that they happened on.

use indexmap::IndexMap;
use serde::Serialize;

use super::tally::Failure;

/// One error and everything that it happened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailureGroup {
    /// The stage.
    pub stage: String,
    /// Nodes (or hosts) as a node set.
    pub nodes: String,
    /// How many there are.
    pub count: usize,
    /// The error; `<node>` and `<host>` replace names that differ.
    pub error: String,
}

/// Folds failures: those of one stage whose errors differ only in the names of node and host are one group.
/// The largest group comes first.
pub(super) fn group(failures: &[Failure]) -> Vec<FailureGroup> {
    let mut groups: IndexMap<(&str, String), Vec<&Failure>> = IndexMap::new();
    for failure in failures {
        let placeholder = if failure.unit == "hosts" {
            "<host>"
        } else {
            "<node>"
        };
        let mut error = replace_word(&failure.error, &failure.subject, placeholder);
        if let Some(host) = &failure.host {
            error = replace_word(&error, host, "<host>");
        }
        groups.entry((&failure.stage, error)).or_default().push(failure);
    }
    let mut folded: Vec<FailureGroup> = groups
        .into_iter()
        .map(|((stage, generic), members)| FailureGroup {
            stage: stage.to_owned(),
            nodes: crate::nodeset::fold(members.iter().map(|failure| failure.subject.as_str())),
            count: members.len(),
            error: text_for(&generic, &members),
        })
        .collect();
    folded.sort_by_key(|group| std::cmp::Reverse(group.count));
    folded
}

/// The most specific text that is true for all members.
fn text_for(generic: &str, members: &[&Failure]) -> String {
    let first = members[0];
    if members.iter().all(|member| member.error == first.error) {
        return first.error.clone();
    }
    match &first.host {
        Some(host) if members.iter().all(|member| member.host.as_ref() == Some(host)) => {
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

    fn failure(node: &str, host: &str, error: &str) -> Failure {
        Failure {
            stage: "start".into(),
            unit: "nodes",
            subject: node.into(),
            host: Some(host.into()),
            error: error.into(),
        }
    }

    #[test]
    fn errors_that_differ_only_in_the_name_are_one_group() {
        let groups = group(&[
            failure("n1", "bm01", "failed to start `n1` on `bm01`: no space"),
            failure("n3", "bm02", "failed to start `n3` on `bm02`: refused"),
            failure("n10", "bm01", "failed to start `n10` on `bm01`: no space"),
        ]);
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].nodes.as_str(), groups[0].count), ("n[1,10]", 2));
        assert_eq!(groups[0].error, "failed to start `<node>` on `bm01`: no space");
        assert_eq!((groups[1].nodes.as_str(), groups[1].count), ("n3", 1));
        assert_eq!(groups[1].error, "failed to start `n3` on `bm02`: refused");
    }

    #[test]
    fn hosts_that_differ_are_not_named() {
        let groups = group(&[
            failure("n1", "bm01", "`n1` on `bm01` died"),
            failure("n2", "bm02", "`n2` on `bm02` died"),
        ]);
        assert_eq!(groups[0].error, "`<node>` on `<host>` died");
    }

    #[test]
    fn equal_errors_of_different_stages_stay_apart() {
        let mut other = failure("n2", "bm01", "timeout");
        other.stage = "login".into();
        assert_eq!(group(&[failure("n1", "bm01", "timeout"), other]).len(), 2);
    }

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
