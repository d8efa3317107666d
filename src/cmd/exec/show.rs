//! What `exec` prints: lines as they arrive, gathered output, JSON, and what went wrong.

use super::kept::{Kept, NodeOutput};
use crate::base::event::Stream;
use crate::base::group::grouped;
use crate::base::text::sanitize;
use crate::nodeset::fold;
use crate::report;
use crate::report::gather::{gather, render};
use crate::ssh::Ended;
use crate::ssh::fanout::FanEnd;

/// Prints lines as they arrive, each with its node before it.
#[derive(Debug, Default)]
pub(super) struct Printer {
    /// The node whose line on standard output is not finished.
    unfinished: Option<String>,
}

impl Printer {
    /// Prints a line or a piece of one. A piece follows the piece before it on the same line, unless a line of another
    /// node came between. Returns whether standard output still has a reader.
    pub(super) async fn print(&mut self, node: &str, stream: Stream, line: &str, ended: bool) -> bool {
        match stream {
            Stream::Stdout => report::paced(self.shown(node, line, ended).as_bytes()).await,
            Stream::Stderr => {
                report::paced_message(&format!("{node}: {}", sanitize(line))).await;
                true
            }
        }
    }

    fn shown(&mut self, node: &str, line: &str, ended: bool) -> String {
        let line = sanitize(line);
        let mut text = match self.unfinished.take() {
            Some(before) if before == node => String::new(),
            Some(_) => format!("\n{node}: "),
            None => format!("{node}: "),
        };
        text.push_str(&line);
        if ended {
            text.push('\n');
        } else {
            self.unfinished = Some(node.to_owned());
        }
        text
    }

    /// Ends the line of a node whose output ended without a line end.
    pub(super) fn end(&mut self, node: &str) {
        if self.unfinished.as_deref() == Some(node) {
            self.finish();
        }
    }

    /// Ends a line whose rest did not arrive.
    pub(super) fn finish(&mut self) {
        if self.unfinished.take().is_some() {
            report::data("\n");
        }
    }
}

/// Prints the line of a node whose command has ended. It may be long, and is one piece, so it is written on another thread.
pub(super) async fn json(given: NodeOutput) {
    // It cannot be cancelled, and does not panic.
    let _ = tokio::task::spawn_blocking(move || write_json(&given)).await;
}

fn write_json(given: &NodeOutput) {
    let (code, signal, error) = match &given.ended {
        FanEnd::Ended(Ended::Exit(code)) => (Some(*code), None, None),
        FanEnd::Ended(Ended::Signal(signal)) => (None, Some(signal.clone()), None),
        other => (None, None, Some(other.to_string())),
    };
    report::json::line(
        "exec",
        &serde_json::json!({
            "node": given.node, "exit_code": code, "signal": signal, "error": error,
            "timed_out": matches!(given.ended, FanEnd::TimedOut(_)),
            "stdout": given.stdout.text(), "stderr": given.stderr.text(),
            "cut": { "stdout": given.stdout.cut(), "stderr": given.stderr.cut() },
        }),
    );
}

/// Prints equal outputs once. They are gone afterwards: there may be many, and long ones.
pub(super) fn gathered(given: &mut [NodeOutput]) {
    report::data(&render(&gather(texts(given, |given| &mut given.stdout))));
    let errors = render(&gather(texts(given, |given| &mut given.stderr)));
    if !errors.is_empty() {
        report::message(errors.trim_end());
    }
}

fn texts(
    given: &mut [NodeOutput],
    stream: fn(&mut NodeOutput) -> &mut Kept,
) -> impl Iterator<Item = (String, String)> {
    given.iter_mut().filter_map(move |given| {
        let text = stream(given).take_text();
        // Before it is compared: outputs that differ only in their colours look the same.
        (!text.is_empty()).then(|| (given.node.clone(), sanitize(&text).into_owned()))
    })
}

/// Which outputs are not shown as a whole: a line for all nodes of which the same is left out.
pub(super) fn cuts(given: &[NodeOutput]) -> Vec<String> {
    let cuts = given.iter().flat_map(|given| {
        let streams = [
            ("standard output", &given.stdout),
            ("standard error", &given.stderr),
        ];
        let cut = streams.into_iter().filter(|(_, kept)| kept.cut() > 0);
        cut.map(move |(stream, kept)| {
            let (shown, cut) = (kept.text().len(), kept.cut());
            let what = format!("{stream} is cut after {shown} bytes: {cut} bytes are left out");
            (what, &given.node)
        })
    });
    let mut folded = grouped(cuts);
    folded.sort_keys();
    let mut lines: Vec<String> = folded
        .into_iter()
        .map(|(what, nodes)| format!("vcluster: {}: {what}", fold(nodes)))
        .collect();
    if !lines.is_empty() {
        lines.push("hint: without `-b`, all output is printed as it arrives".to_owned());
    }
    lines
}

/// Prints which nodes failed, and how.
pub(super) fn failures(given: &[NodeOutput]) {
    let failed = given.iter().filter(|given| !given.ended.is_success());
    let mut folded = grouped(failed.map(|given| {
        let ended = given.ended.to_string();
        (sanitize(&ended).into_owned(), &given.node)
    }));
    folded.sort_keys();
    for (what, nodes) in folded {
        report::message(&format!("vcluster: {}: {what}", fold(nodes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_line_stay_together_unless_another_node_writes_between() {
        let mut printer = Printer::default();
        let mut all = String::new();
        for (node, line, ended) in [
            ("n1", "a", false),
            ("n1", "b", true),
            ("n1", "c", false),
            ("n2", "d", true),
            ("n1", "e", true),
        ] {
            all.push_str(&printer.shown(node, line, ended));
        }
        assert_eq!(all, "n1: ab\nn1: c\nn2: d\nn1: e\n");
    }

    #[test]
    fn output_without_a_line_end_is_ended_with_its_node() {
        let mut printer = Printer::default();
        assert_eq!(printer.shown("n1", "a", false), "n1: a");
        printer.end("n2");
        assert_eq!(printer.unfinished.as_deref(), Some("n1"));
        printer.end("n1");
        assert_eq!(printer.shown("n2", "b", true), "n2: b\n");
    }

    #[test]
    fn nodes_of_which_the_same_is_left_out_share_a_line() {
        let node = |name: &str, length: usize| {
            let mut node = NodeOutput::new(name.into());
            node.keep(Stream::Stdout, &"x".repeat((16 << 20) + length), true);
            node.keep(Stream::Stdout, "END", true);
            node
        };
        let given = [
            node("n1", 0),
            node("n2", 0),
            node("n3", 1),
            NodeOutput::new("n4".into()),
        ];
        assert_eq!(
            cuts(&given),
            [
                "vcluster: n[1-2]: standard output is cut after 16777216 bytes: 5 bytes are left out",
                "vcluster: n3: standard output is cut after 16777216 bytes: 6 bytes are left out",
                "hint: without `-b`, all output is printed as it arrives",
            ]
        );
        assert!(cuts(&given[3..]).is_empty());
    }
}
