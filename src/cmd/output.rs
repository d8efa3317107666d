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
    format: Format,
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
            format: context.format,
        }
    }

    /// Waits until all events are rendered, then prints the closing line or returns the error.
    pub async fn finish(self, result: anyhow::Result<Option<String>>) -> anyhow::Result<ExitCode> {
        let Self {
            events,
            reporter,
            format,
        } = self;
        drop(events);
        reporter.await.context("the reporter ended early")?;
        if let (Some(line), Format::Human) = (result?, format) {
            report::message(&line);
        }
        Ok(ExitCode::Ok)
    }
}
