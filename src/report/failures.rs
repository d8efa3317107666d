//! Folds equal errors over the nodes that they happened on.

use serde::Serialize;

use super::tally::Failure;
use crate::base::failure_kind::FailureKind;
use crate::nodeset::{About, fold_texts};

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
    /// What it is about, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<FailureKind>,
}

/// Folds failures: those of one stage whose errors differ only in the names of node and host are one group.
/// The largest group comes first.
pub(super) fn group(failures: &[Failure]) -> Vec<FailureGroup> {
    let texts = failures.iter().map(|failure| {
        let about = About {
            name: &failure.subject,
            is_host: failure.unit == "hosts",
            host: failure.host.as_deref(),
            text: &failure.error,
        };
        ((failure.stage.as_str(), failure.kind), about)
    });
    let mut groups: Vec<FailureGroup> = fold_texts(texts)
        .into_iter()
        .map(|((stage, kind), folded)| FailureGroup {
            stage: stage.to_owned(),
            nodes: folded.names,
            count: folded.count,
            error: folded.text,
            kind,
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
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
            kind: None,
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
}
