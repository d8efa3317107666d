//! From events to the screen: reads and counts events, passes them to a renderer, ends with the summary.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use super::Format;
use super::bars::Bars;
use super::json::Json;
use super::lines::Lines;
use super::phrases;
use super::render::{Render, ReportOptions};
use super::summary::Summary;
use super::tally::Tally;
use crate::base::event::Event;

/// How often times on the screen advance.
const TICK: Duration = Duration::from_millis(250);

/// The most events handled before the screen is updated.
const BATCH: usize = 256;

/// Shows the events until their last sender is gone; the task then returns the summary.
/// The results file cannot make a command fail: an error in writing it is a warning.
pub fn spawn(receiver: UnboundedReceiver<Event>, options: ReportOptions) -> JoinHandle<Summary> {
    // A terminal that takes no output holds up this thread, and none of the connections.
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(shown(receiver, options)))
}

async fn shown(mut receiver: UnboundedReceiver<Event>, options: ReportOptions) -> Summary {
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
}

/// Shows only what is waited for, on standard error: for commands that print their results themselves.
pub fn spawn_waits(mut receiver: UnboundedReceiver<Event>, quiet: bool) {
    tokio::spawn(async move {
        while let Some(event) = receiver.recv().await {
            if let Event::Slow { .. } = event
                && !quiet
                && let Some(line) = phrases::progress_line(&event)
            {
                super::out::paced_message(&line).await;
            }
        }
    });
}

fn renderer(options: &ReportOptions) -> Box<dyn Render> {
    match options.format {
        Format::Json => Box::new(Json::default()),
        // Bars would interfere with the lines of every node.
        Format::Human if options.terminal.bars && !options.quiet && !options.verbose => {
            Box::new(Bars::new(options))
        }
        Format::Human => Box::new(Lines::new(options)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::event::Events;
    use crate::report::Terminal;

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
