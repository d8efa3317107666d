//! Plain lines, for logs and terminals that cannot redraw: one per notable event, not one per node and stage.

use std::collections::HashMap;
use std::time::Duration;

use super::phrases;
use super::render::{Render, ReportOptions};
use super::summary::Summary;
use super::tally::{Stage, Tally};
use crate::base::event::{Event, HostStage, Progress, Stream};

/// A stage gets another line at every tenth of its total, but not more often than this,
const AT_LEAST: Duration = Duration::from_millis(500);
/// after this time if anything has changed,
const AT_MOST: Duration = Duration::from_secs(5);
/// and after this time if nothing has: a log must show that the program is alive.
const STANDSTILL: Duration = Duration::from_secs(30);
/// The first line comes after this time even if nothing has changed: a log must show what the program does.
const FIRST: Duration = Duration::from_secs(2);

/// The last line about a stage or an image.
#[derive(Clone, Copy, Debug)]
struct LastLine {
    at: Duration,
    count: u64,
    complete: bool,
    /// Whether there was a line at all.
    shown: bool,
}

/// Decides when progress is worth a line. Pure.
#[derive(Debug, Default)]
struct Pace(HashMap<String, LastLine>);

impl Pace {
    /// Whether a line is due for this key; if so, it counts as printed.
    fn due(&mut self, key: &str, count: u64, total: u64, complete: bool, now: Duration) -> bool {
        let last = self.0.entry(key.to_owned()).or_insert(LastLine {
            at: now,
            count: 0,
            complete: false,
            shown: false,
        });
        let since = now.saturating_sub(last.at);
        let standstill = if last.shown { STANDSTILL } else { FIRST };
        let step = (total / 10).max(1);
        // A complete stage may continue: more nodes have reached it.
        let due = (complete && !(last.complete && last.count == count))
            || (count >= last.count.saturating_add(step) && since >= AT_LEAST)
            || (count != last.count && since >= AT_MOST)
            || (!complete && since >= standstill);
        if due {
            *last = LastLine {
                at: now,
                count,
                complete,
                shown: true,
            };
        }
        due
    }

    /// Records that something else shows the beginning of this key.
    fn begin_shown(&mut self, key: &str, now: Duration) {
        self.0.entry(key.to_owned()).or_insert(LastLine {
            at: now,
            count: 0,
            complete: false,
            shown: true,
        });
    }
}

/// The renderer. Its lines are collected and written once per batch.
pub(super) struct Lines {
    quiet: bool,
    verbose: bool,
    summary: bool,
    pace: Pace,
    messages: String,
    data: String,
}

impl Lines {
    pub(super) fn new(options: &ReportOptions) -> Self {
        Self {
            quiet: options.quiet,
            verbose: options.verbose,
            summary: options.summary,
            pace: Pace::default(),
            messages: String::new(),
            data: String::new(),
        }
    }

    fn message(&mut self, line: &str) {
        self.messages.push_str(line);
        self.messages.push('\n');
    }

    /// Lines about the stages and images where one is due.
    fn progress(&mut self, tally: &Tally, now: Duration) {
        for (stage, account) in &tally.stages {
            // The end of a step has its own line.
            if matches!(stage, Stage::Step(..)) && account.complete() {
                continue;
            }
            // An event names the hosts that do not answer.
            if matches!(stage, Stage::HostBefore(HostStage::Connect | HostStage::Probe)) {
                self.pace.begin_shown(stage.name(), now);
            }
            let (ended, total) = (account.ended() as u64, account.total() as u64);
            if self.pace.due(stage.name(), ended, total, account.complete(), now) {
                let note = phrases::stage_note(account, now);
                let note = if note.is_empty() {
                    note
                } else {
                    format!(" ({note})")
                };
                let prefix = if matches!(stage, Stage::Step(..)) {
                    "step "
                } else {
                    ""
                };
                let name = crate::base::text::sanitize(stage.name());
                self.message(&format!("{prefix}{name}: {ended}/{total} {}{note}", stage.unit()));
            }
        }
        for ((image, doing), bytes) in &tally.images {
            let complete = bytes.total > 0 && bytes.done >= bytes.total;
            let key = format!("{image}\n{doing}");
            // A step of a build has its line already, and the stage has one for all uploads.
            self.pace.begin_shown(&key, now);
            let total = bytes.total.max(640 << 20);
            if self.pace.due(&key, bytes.done, total, complete, now) {
                let text = format!("image {image}: {doing} {}", phrases::bytes(*bytes));
                self.message(crate::base::text::sanitize(text.trim_end()).as_ref());
            }
        }
    }

    /// With `--verbose`: every step of every node and host.
    fn detail(event: &Event) -> Option<String> {
        let (subject, stage, progress) = match event {
            Event::Host {
                host,
                stage,
                progress,
            } => (host.as_str(), stage.as_str(), progress),
            Event::Node {
                node,
                stage,
                progress,
                ..
            } => (node.as_str(), stage.as_str(), progress),
            Event::StepNode { name, node, progress } => (node.as_str(), name.as_str(), progress),
            _ => return None,
        };
        match progress {
            Progress::Begun => Some(format!("{subject}: {stage} ...")),
            Progress::Done { changed, took } => {
                let changed = if *changed { "" } else { ", nothing to do" };
                Some(format!(
                    "{subject}: {stage} done in {}{changed}",
                    super::statistics::human(*took)
                ))
            }
            Progress::Failed { .. } => None,
        }
    }

    fn flush(&mut self) {
        if !self.data.is_empty() {
            super::out::show(&self.data);
            self.data.clear();
        }
        if !self.messages.is_empty() {
            super::out::message(self.messages.trim_end_matches('\n'));
            self.messages.clear();
        }
    }
}

impl Render for Lines {
    fn event(&mut self, event: &Event, _tally: &Tally, _now: Duration) {
        if let Event::Output { node, stream, line } = event {
            let text = match stream {
                Stream::Stdout => &mut self.data,
                Stream::Stderr => &mut self.messages,
            };
            text.push_str(&phrases::output_line(node.as_str(), *stream, line));
        } else if let Some(line) = phrases::failure_line(event) {
            self.message(&line);
        } else if let Event::Image {
            image,
            doing,
            total: 0,
            ..
        } = event
        {
            if !self.quiet {
                self.message(crate::base::text::sanitize(&format!("image {image}: {doing}")).as_ref());
            }
        } else if !self.quiet
            && let Some(line) = phrases::progress_line(event)
        {
            self.message(&line);
        } else if self.verbose
            && let Some(line) = Self::detail(event)
        {
            self.message(&line);
        }
    }

    fn tick(&mut self, tally: &Tally, now: Duration) {
        if !self.quiet {
            self.progress(tally, now);
        }
        self.flush();
    }

    fn finish(&mut self, summary: &Summary, _now: Duration) {
        if self.summary && !self.quiet {
            self.messages.push_str(&summary.human());
        }
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::plain;
    use super::super::tally::tests::{done, node};
    use super::super::terminal::Terminal;
    use super::*;
    use crate::base::event::NodeStage;
    use crate::report::Format;

    fn options() -> ReportOptions {
        ReportOptions {
            terminal: Terminal::default(),
            ..ReportOptions::new(Format::Human, false, false)
        }
    }

    #[test]
    fn a_hundred_and_fifty_nodes_make_about_ten_lines_of_a_stage() {
        let mut lines = Lines::new(&options());
        let mut tally = Tally::default();
        let started = Event::Started {
            verb: "up",
            cluster: "demo".parse().unwrap(),
            hosts: 15,
            nodes: Some(150),
        };
        let planned = Event::Planned {
            actions: vec![(crate::base::event::ActionKind::Create, 150)],
            hosts: 15,
        };
        tally.record(&started, Duration::ZERO);
        tally.record(&planned, Duration::ZERO);
        for index in 0..150_u64 {
            let now = Duration::from_millis(index * 100);
            tally.record(&node(&format!("n{index}"), NodeStage::Boot, done(1)), now);
            lines.progress(&tally, now);
        }
        let count = lines.messages.lines().count();
        assert!((8..=12).contains(&count), "{}", lines.messages);
        assert!(
            lines.messages.ends_with("boot: 150/150 nodes\n"),
            "{}",
            lines.messages
        );
    }

    #[test]
    fn a_completed_stage_is_printed_once() {
        let mut pace = Pace::default();
        let s = Duration::from_secs;
        assert!(pace.due("boot", 3, 3, true, s(0)));
        assert!(!pace.due("boot", 3, 3, true, s(100)));
        assert!(pace.due("boot", 4, 4, true, s(101)));
    }

    #[test]
    fn a_standstill_is_printed_soon_at_first_and_then_from_time_to_time() {
        let mut pace = Pace::default();
        let s = Duration::from_secs;
        assert!(!pace.due("boot", 0, 100, false, s(0)));
        assert!(!pace.due("boot", 0, 100, false, s(1)));
        assert!(pace.due("boot", 0, 100, false, s(2)));
        assert!(!pace.due("boot", 0, 100, false, s(31)));
        assert!(pace.due("boot", 0, 100, false, s(32)));
        assert!(!pace.due("boot", 1, 100, false, s(36)));
        assert!(pace.due("boot", 1, 100, false, s(37)));
    }

    #[test]
    fn what_is_shown_in_another_way_has_no_line_of_its_own_at_first() {
        let mut pace = Pace::default();
        let s = Duration::from_secs;
        pace.begin_shown("connect", s(0));
        assert!(!pace.due("connect", 0, 3, false, s(29)));
        assert!(pace.due("connect", 0, 3, false, s(30)));
    }

    #[test]
    fn output_goes_to_data_or_messages_with_the_node_before_it() {
        let mut lines = Lines::new(&options());
        for stream in [Stream::Stdout, Stream::Stderr] {
            let event = Event::Output {
                node: "n1".parse().unwrap(),
                stream,
                line: "a\x1b[2Jb".into(),
            };
            lines.event(&event, &Tally::default(), Duration::ZERO);
        }
        assert_eq!([plain(&lines.data), plain(&lines.messages)], ["n1: a^[[2Jb\n"; 2]);
    }

    #[test]
    fn quiet_keeps_failures_and_warnings() {
        let mut lines = Lines::new(&ReportOptions {
            quiet: true,
            ..options()
        });
        let note = Event::Note { text: "x".into() };
        let warning = Event::Warning { text: "y".into() };
        lines.event(&note, &Tally::default(), Duration::ZERO);
        lines.event(&warning, &Tally::default(), Duration::ZERO);
        assert_eq!(plain(&lines.messages), "warning: y\n");
    }
}
