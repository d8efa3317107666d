//! Progress output of a command: its events, and the reporter that renders them.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use super::Context;
use crate::base::event::Events;
use crate::base::exit::ExitCode;
use crate::report::{self, Format, ReportOptions, Summary};

/// Events of a command that prints its results itself: only what it waits for is shown.
pub fn waits(context: &Context) -> Events {
    let (events, receiver) = Events::channel();
    report::spawn_waits(receiver, context.quiet);
    events
}

/// Progress output of a command: its events, and the reporter that renders them.
pub struct Output {
    /// Where events go.
    pub events: Events,
    reporter: JoinHandle<Summary>,
    /// Whether the closing line is printed.
    has_closing_line: bool,
}

impl Output {
    /// Starts to render events.
    pub fn begin(context: &Context, results: Option<PathBuf>) -> Self {
        Self::with(context, |options| options.results = results)
    }

    /// Starts to render events with other options.
    pub fn with(context: &Context, change: impl FnOnce(&mut ReportOptions)) -> Self {
        let (events, receiver) = Events::channel();
        let mut options = ReportOptions::new(context.format, context.quiet, context.verbose);
        change(&mut options);
        Self {
            events,
            reporter: report::spawn(receiver, options),
            has_closing_line: context.format == Format::Human && !context.quiet,
        }
    }

    /// Waits until all events are rendered, then prints the closing line, unless only failures are wanted, or returns
    /// the error.
    pub async fn finish(self, result: anyhow::Result<Option<String>>) -> anyhow::Result<ExitCode> {
        let Self {
            events,
            reporter,
            has_closing_line,
        } = self;
        drop(events);
        reporter.await.context("the reporter ended early")?;
        if let Some(line) = result?.filter(|_| has_closing_line) {
            report::message(&line);
        }
        Ok(ExitCode::Ok)
    }
}
