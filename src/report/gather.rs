//! Gathers equal outputs under one header with their node set, as `clush -b` does.

use std::fmt::Write;

use crate::base::group::grouped;
use crate::nodeset;

/// One output and the nodes that produced it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// The nodes, in order of arrival.
    pub nodes: Vec<String>,
    /// The output.
    pub text: String,
}

impl Gathered {
    /// The nodes as a node set.
    pub fn nodeset(&self) -> String {
        nodeset::fold(&self.nodes)
    }
}

/// Gathers equal outputs; a missing newline at the end makes no difference, because it is invisible.
/// The output of the most nodes comes first, ties in order of arrival.
pub fn gather(outputs: impl IntoIterator<Item = (String, String)>) -> Vec<Gathered> {
    let texts = outputs
        .into_iter()
        .map(|(node, text)| (text.strip_suffix('\n').unwrap_or(&text).to_owned(), node));
    let mut groups: Vec<Gathered> = grouped(texts)
        .into_iter()
        .map(|(text, nodes)| Gathered { nodes, text })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.nodes.len()));
    groups
}

const RULE: &str = "---------------";

/// The gathered outputs as text: a header with the node set (and the number of nodes, if more than one),
/// then the output, escaped for a terminal.
pub fn render(groups: &[Gathered]) -> String {
    let mut text = String::new();
    for group in groups {
        let count = match group.nodes.len() {
            1 => String::new(),
            many => format!(" ({many})"),
        };
        let _ = writeln!(text, "{RULE}\n{}{count}\n{RULE}", group.nodeset());
        for line in group.text.lines() {
            // Not shortened: this is data, and its sender has limited it.
            text.push_str(&crate::base::text::sanitize(line));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(node, text)| ((*node).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn equal_outputs_are_shown_once_with_the_most_common_first() {
        let groups = gather(outputs(&[("a", "x\ny\n"), ("n1", "ok\n"), ("n2", "ok\n")]));
        let rule = RULE;
        let expected = format!("{rule}\n{} (2)\n{rule}\nok\n{rule}\na\n{rule}\nx\ny\n", "n[1-2]");
        assert_eq!(render(&groups), expected);
    }

    #[test]
    fn a_missing_last_newline_makes_no_difference_but_an_empty_line_does() {
        assert_eq!(gather(outputs(&[("n1", "ok"), ("n2", "ok\n")])).len(), 1);
        assert_eq!(gather(outputs(&[("n1", "ok\n"), ("n2", "ok\n\n")])).len(), 2);
    }

    #[test]
    fn escapes_of_nodes_do_not_reach_the_screen() {
        assert!(!render(&gather(outputs(&[("n1", "\x1b[2J")]))).contains('\x1b'));
    }
}
