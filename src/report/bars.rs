//! Progress bars on a terminal: one per stage, images with their bytes. Notable lines are printed
//! above the bars; at the end the summary replaces the bars.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::phrases;
use super::render::{Render, ReportOptions};
use super::summary::Summary;
use super::tally::{Stage, Tally};
use crate::base::event::{Event, Stream};

/// Redraws per second: drawing costs CPU that the guests could use.
const REDRAWS: u8 = 5;

/// The renderer.
pub(super) struct Bars {
    screen: MultiProgress,
    stages: BTreeMap<Stage, ProgressBar>,
    images: HashMap<(String, String), ProgressBar>,
    /// The template of a stage's bar.
    template: &'static str,
    /// stdout is on the same screen, so bars are suspended while it is written.
    stdout_terminal: bool,
    summary: bool,
}

impl Bars {
    pub(super) fn new(options: &ReportOptions) -> Self {
        Self {
            screen: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS)),
            stages: BTreeMap::new(),
            images: HashMap::new(),
            template: if options.terminal.colour { COLOURED } else { PLAIN },
            stdout_terminal: options.terminal.stdout,
            summary: options.summary,
        }
    }

    fn fitting(template: &str) -> ProgressStyle {
        let size = rustix::termios::tcgetwinsize(std::io::stderr());
        let columns = size.map_or(NARROW, |size| size.ws_col);
        style(&fitted(template, columns))
    }

    /// Prints above the bars.
    fn message(&self, line: &str) {
        self.screen.suspend(|| super::out::message(line));
    }

    fn stage_bar(&mut self, stage: &Stage) -> ProgressBar {
        if let Some(bar) = self.stages.get(stage) {
            return bar.clone();
        }
        let bar = ProgressBar::hidden().with_style(Self::fitting(self.template));
        // In the order of work, not of appearance. Bars of images are below all stages.
        let above = self.stages.range(..stage).count();
        let bar = self.screen.insert(above, bar);
        bar.set_prefix(short(stage.name()));
        self.stages.insert(stage.clone(), bar.clone());
        bar
    }

    fn image_bar(&mut self, key: &(String, String)) -> ProgressBar {
        if let Some(bar) = self.images.get(key) {
            return bar.clone();
        }
        let bar = self
            .screen
            .add(ProgressBar::hidden().with_style(Self::fitting(IMAGE)));
        bar.set_prefix(short(&key.0));
        self.images.insert(key.clone(), bar.clone());
        bar
    }
}

/// A name that keeps the columns of the bars in line.
fn short(name: &str) -> String {
    let name = crate::base::text::sanitize(name);
    let mut short: String = name.chars().take(14).collect();
    if short.len() < name.len() {
        short.push('~');
    }
    short
}

const COLOURED: &str = "{prefix:<15} {bar:24.green} {pos:>5}/{len:<5} {wide_msg}";
const PLAIN: &str = "{prefix:<15} {bar:24} {pos:>5}/{len:<5} {wide_msg}";
const IMAGE: &str = "{prefix:<15} {bar:24} {wide_msg}";

/// On a narrower terminal the bar shrinks in favour of the text.
const NARROW: u16 = 80;

fn fitted(template: &str, columns: u16) -> String {
    if columns < NARROW {
        template.replace("{bar:24", "{bar:8")
    } else {
        template.to_owned()
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are tested constants; even so, a bar is no reason to panic.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Render for Bars {
    fn event(&mut self, event: &Event, _tally: &Tally, _now: Duration) {
        if let Event::Output { node, stream, line } = event {
            let text = phrases::output_line(node.as_str(), *stream, line);
            match stream {
                Stream::Stdout if self.stdout_terminal => self.screen.suspend(|| super::out::show(&text)),
                Stream::Stdout => super::out::show(&text),
                Stream::Stderr => self.message(text.trim_end_matches('\n')),
            }
        } else if let Some(line) = phrases::failure_line(event).or_else(|| phrases::progress_line(event)) {
            self.message(&line);
        }
    }

    fn tick(&mut self, tally: &Tally, now: Duration) {
        for (stage, account) in &tally.stages {
            let bar = self.stage_bar(stage);
            bar.set_length(account.total() as u64);
            bar.set_position(account.ended() as u64);
            bar.set_message(phrases::stage_note(account, now));
        }
        for (key, bar) in &self.images {
            if !tally.images.contains_key(key) {
                bar.finish_and_clear();
            }
        }
        for (key, bytes) in &tally.images {
            let bar = self.image_bar(key);
            if bar.is_finished() {
                continue;
            }
            bar.set_length(bytes.total.max(1));
            bar.set_position(bytes.done);
            bar.set_message(format!(
                "{} {}",
                crate::base::text::sanitize(&key.1),
                phrases::bytes(*bytes)
            ));
            // Fifteen finished uploads would push the stages off the screen.
            if bytes.total > 0 && bytes.done >= bytes.total {
                bar.finish_and_clear();
            }
        }
    }

    fn finish(&mut self, summary: &Summary, _now: Duration) {
        for bar in self.stages.values().chain(self.images.values()) {
            bar.finish_and_clear();
        }
        let _ = self.screen.clear();
        if self.summary {
            super::out::message(summary.human().trim_end_matches('\n'));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::tests::{done, node, started, tally_of};
    use super::super::terminal::Terminal;
    use super::*;
    use crate::base::event::{NodeStage, Progress};
    use crate::report::Format;

    #[test]
    fn every_stage_has_a_bar_with_counts_and_the_slowest_node() {
        let options = ReportOptions {
            terminal: Terminal::default(),
            ..ReportOptions::new(Format::Human, false, false)
        };
        let mut bars = Bars::new(&options);
        bars.screen = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut tally = tally_of(&[
            started("up"),
            node("n1", NodeStage::Boot, Progress::Begun),
            node("n2", NodeStage::Boot, Progress::Begun),
            node("n1", NodeStage::Boot, done(1)),
        ]);
        bars.tick(&tally, Duration::from_secs(9));
        tally.record(&node("n3", NodeStage::Disk, done(1)), Duration::from_secs(9));
        bars.tick(&tally, Duration::from_secs(9));
        let shown: Vec<_> = bars
            .stages
            .values()
            .map(|bar| (bar.prefix(), bar.position(), bar.length(), bar.message()))
            .collect();
        let expected = [
            ("disk".to_owned(), 1, Some(1), String::new()),
            ("boot".to_owned(), 1, Some(2), "slowest n2 7 s".to_owned()),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_templates_of_the_bars_are_valid() {
        for template in [COLOURED, PLAIN, IMAGE] {
            for columns in [40, 200] {
                let template = fitted(template, columns);
                assert!(ProgressStyle::with_template(&template).is_ok(), "{template}");
            }
        }
    }

    #[test]
    fn long_names_do_not_shift_the_columns() {
        assert_eq!(short("configure"), "configure");
        assert_eq!(short("a very long step name"), "a very long st~");
    }
}
