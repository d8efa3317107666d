//! The interface of a renderer, and the options for showing events.

use std::path::PathBuf;
use std::time::Duration;

use super::Format;
use super::summary::Summary;
use super::tally::Tally;
use super::terminal::Terminal;
use crate::base::event::Event;

/// How events are shown.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// For people or for programs.
    pub format: Format,
    /// Failures and warnings only.
    pub quiet: bool,
    /// Every step of every node (lines, not bars).
    pub verbose: bool,
    /// What the terminal can do.
    pub terminal: Terminal,
    /// Whether to end with the summary; `exec` does not. Failures are shown anyway.
    pub summary: bool,
    /// File that the summary is written to as JSON.
    pub results: Option<PathBuf>,
}

impl ReportOptions {
    /// The options for this process's terminal, with the closing summary and without a results file.
    pub fn new(format: Format, quiet: bool, verbose: bool) -> Self {
        Self {
            format,
            quiet,
            verbose,
            terminal: Terminal::detect(),
            summary: true,
            results: None,
        }
    }
}

/// Shows events. A renderer only reads the tally; it never waits for anything but its output.
pub(super) trait Render: Send {
    /// One event, after it was counted.
    fn event(&mut self, event: &Event, tally: &Tally, now: Duration);
    /// Called several times a second, and after every batch of events.
    fn tick(&mut self, tally: &Tally, now: Duration);
    /// Called once, after the last event.
    fn finish(&mut self, summary: &Summary, now: Duration);
}
