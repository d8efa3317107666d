//! From events to the screen: reads, counts, hands over to a renderer, closes with the summary.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use super::summary::Summary;
use super::tally::Tally;
use super::terminal::Terminal;
use super::{bars::Bars, json::Json, lines::Lines};
use crate::cmd::Format;
use crate::engine::Event;

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
    /// Whether to close with the summary; `exec` does not. Failures are told anyway.
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

/// Shows what happens. A renderer only reads the account; it never waits for anything but its output.
pub(super) trait Render: Send {
    /// One event, after it was counted.
    fn event(&mut self, event: &Event, tally: &Tally, now: Duration);
    /// Called several times a second, and after every batch of events.
    fn tick(&mut self, tally: &Tally, now: Duration);
    /// All is over.
    fn finish(&mut self, summary: &Summary, now: Duration);
}

/// How often times on the screen advance.
const TICK: Duration = Duration::from_millis(250);

/// The most events handled before the screen is brought up to date.
const BATCH: usize = 256;

/// Shows the events until their last sender is gone; the task then gives the summary.
/// The results file cannot make a command fail: trouble with it is a warning.
pub fn spawn(mut receiver: UnboundedReceiver<Event>, options: ReportOptions) -> JoinHandle<Summary> {
    tokio::spawn(async move {
        let began = Instant::now();
        let mut renderer = renderer(&options);
        let mut tally = Tally::default();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                count = receiver.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    for event in batch.drain(..) {
                        let now = began.elapsed();
                        tally.record(&event, now);
                        renderer.event(&event, &tally, now);
                    }
                }
                _ = ticks.tick() => {}
            }
            renderer.tick(&tally, began.elapsed());
        }
        if let Some(path) = &options.results {
            let written = Summary::of(&tally, began.elapsed()).write(path);
            if let Err(error) = written {
                let text = format!("failed to write the results to {}: {error}", path.display());
                let event = Event::Warning { text };
                tally.record(&event, began.elapsed());
                renderer.event(&event, &tally, began.elapsed());
            }
        }
        let summary = Summary::of(&tally, began.elapsed());
        renderer.finish(&summary, began.elapsed());
        summary
    })
}

fn renderer(options: &ReportOptions) -> Box<dyn Render> {
    match options.format {
        Format::Json => Box::new(Json::default()),
        // Bars would fight with every node's own lines.
        Format::Human if options.terminal.bars && !options.quiet && !options.verbose => {
            Box::new(Bars::new(options))
        }
        Format::Human => Box::new(Lines::new(options)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Events;

    #[tokio::test]
    async fn the_task_ends_with_its_last_sender_and_writes_the_results() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("up.json");
        let (events, receiver) = Events::channel();
        let options = ReportOptions {
            quiet: true,
            summary: false,
            terminal: Terminal::default(),
            results: Some(path.clone()),
            ..ReportOptions::new(Format::Human, true, false)
        };
        let task = spawn(receiver, options);
        events.emit(super::super::tally::tests::started("up"));
        drop(events);
        let summary = tokio::time::timeout(Duration::from_secs(10), task)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((summary.verb.as_str(), summary.nodes), ("up", 3));
        assert!(path.exists());
    }
}
