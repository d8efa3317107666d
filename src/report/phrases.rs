//! The phrases that bars and lines share.

use std::time::Duration;

use bytesize::ByteSize;

use super::statistics::human;
use super::style::{ERROR, HINT, WARNING};
use super::tally::{Bytes, StageTally};
use crate::base::event::{ActionKind, Event, Progress, Stream};
use crate::base::text::{self, plural};

/// What a stage is doing now: `2 failed, slowest redis017 12.3 s`.
pub(super) fn stage_note(tally: &StageTally, now: Duration) -> String {
    let mut parts = Vec::new();
    if tally.failed > 0 {
        parts.push(format!("{} failed", tally.failed));
    }
    if let Some((name, age)) = tally.slowest(now) {
        // Tenths change at every redraw, which only distracts.
        let age = match age.as_secs() {
            seconds if seconds < 60 => format!("{seconds} s"),
            seconds => human(Duration::from_secs(seconds)),
        };
        parts.push(format!("slowest {name} {age}"));
    }
    parts.join(", ")
}

/// `12.0 MiB of 48.0 MiB`, or only what is done if the total is unknown.
pub(super) fn bytes(bytes: Bytes) -> String {
    let shown = |count: u64| ByteSize(count).display().iec().to_string();
    match bytes {
        Bytes { done: 0, total: 0 } => String::new(),
        Bytes { done, total: 0 } => shown(done),
        Bytes { done, total } => format!("{} of {}", shown(done), shown(total)),
    }
}

/// `up demo: 150 nodes on 15 hosts`.
pub(super) fn started(verb: &str, cluster: &str, hosts: usize, nodes: Option<usize>) -> String {
    match nodes {
        Some(nodes) => format!(
            "{verb} {cluster}: {} on {}",
            plural(nodes, "node"),
            plural(hosts, "host")
        ),
        None => format!("{verb} {cluster}: {}", plural(hosts, "host")),
    }
}

/// `plan: 140 to create, 10 to keep`.
pub(super) fn planned(actions: &[(ActionKind, usize)]) -> String {
    let parts: Vec<String> = actions
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} to {}", kind.as_str()))
        .collect();
    if parts.is_empty() {
        "plan: nothing to do".into()
    } else {
        format!("plan: {}", parts.join(", "))
    }
}

/// What is always shown, and at once: failures, warnings.
pub(super) fn failure_line(event: &Event) -> Option<String> {
    let (word, style, text) = match event {
        Event::Warning { text } => ("warning", WARNING, text.clone()),
        Event::Missing { nodes, reason } => (
            "warning",
            WARNING,
            format!("missing {}: {reason}", crate::nodeset::fold(nodes)),
        ),
        Event::Host {
            host,
            stage,
            progress: Progress::Failed { error, .. },
        } => ("failed", ERROR, format!("{host}: {}: {error}", stage.as_str())),
        Event::Node {
            node,
            host,
            stage,
            progress: Progress::Failed { error, .. },
        } => (
            "failed",
            ERROR,
            format!("{node} on {host}: {}: {error}", stage.as_str()),
        ),
        Event::StepNode {
            name,
            node,
            progress: Progress::Failed { error, .. },
        } => ("failed", ERROR, format!("{node}: {name}: {error}")),
        _ => return None,
    };
    Some(format!("{style}{word}{style:#}: {}", block(&text)))
}

/// What gets its own line in any progress display.
pub(super) fn progress_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Started {
            verb,
            cluster,
            hosts,
            nodes,
        } => started(verb, cluster.as_str(), *hosts, *nodes),
        Event::Planned { actions, .. } => planned(actions),
        Event::Note { text } => format!("note: {}", block(text)),
        Event::Slow { text } => format!("waiting: {}", block(text)),
        Event::Step {
            name,
            ok,
            changed,
            failed,
            took,
        } => {
            let failed = if *failed > 0 {
                format!(", {failed} failed")
            } else {
                String::new()
            };
            format!(
                "step {}: {ok} ok ({changed} changed){failed} in {}",
                text::sanitize(name),
                human(*took)
            )
        }
        _ => return None,
    })
}

/// A line that a node wrote, prefixed with its name as in clush.
pub(super) fn output_line(node: &str, stream: Stream, line: &str) -> String {
    let style = match stream {
        Stream::Stdout => HINT,
        Stream::Stderr => ERROR,
    };
    format!("{style}{node}{style:#}: {}\n", text::line(line.as_bytes()))
}

/// Text of several lines, escaped for a terminal, the later lines indented.
fn block(text: &str) -> String {
    text.lines()
        .map(|line| text::line(line.as_bytes()))
        .collect::<Vec<_>>()
        .join("\n    ")
}

#[cfg(test)]
mod tests {
    use super::super::style::plain;
    use super::super::tally::tests::{failed, node};
    use super::*;
    use crate::base::event::NodeStage;

    #[test]
    fn a_failure_names_node_host_and_stage_and_cannot_move_the_cursor() {
        let event = node("n1", NodeStage::Boot, failed("died\n\x1b[2Jpanic"));
        assert_eq!(
            plain(&failure_line(&event).unwrap()),
            "failed: n1 on bm01: boot: died\n    ^[[2Jpanic"
        );
    }

    #[test]
    fn an_empty_plan_is_reported_as_nothing_to_do() {
        assert_eq!(planned(&[(ActionKind::Create, 0)]), "plan: nothing to do");
        assert_eq!(
            planned(&[(ActionKind::Create, 2), (ActionKind::Keep, 1)]),
            "plan: 2 to create, 1 to keep"
        );
    }

    #[test]
    fn the_note_names_the_slowest_with_whole_seconds() {
        let mut tally = StageTally {
            failed: 1,
            ..StageTally::default()
        };
        tally.at_work.insert("n2".into(), Duration::from_millis(1500));
        assert_eq!(
            stage_note(&tally, Duration::from_secs(6)),
            "1 failed, slowest n2 4 s"
        );
        assert_eq!(
            stage_note(&tally, Duration::from_secs(200)),
            "1 failed, slowest n2 3m 18s"
        );
    }

    #[test]
    fn bytes_are_shown_with_their_total_if_it_is_known() {
        assert_eq!(
            bytes(Bytes {
                done: 1 << 20,
                total: 0
            }),
            "1.0 MiB"
        );
        assert_eq!(
            bytes(Bytes {
                done: 1 << 20,
                total: 3 << 20
            }),
            "1.0 MiB of 3.0 MiB"
        );
        assert_eq!(bytes(Bytes::default()), "");
    }
}
