//! What is said while a command works: its events, and the reporter that renders them.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use super::{Context, Format};
use crate::engine::Events;
use crate::exit::ExitCode;
use crate::report::{self, ReportOptions, Summary};

/// What is said while a command works: events and the reporter that renders them.
pub struct Talk {
    /// Where events go.
    pub events: Events,
    reporter: JoinHandle<Summary>,
    format: Format,
}

impl Talk {
    /// Begins to render events.
    pub fn begin(context: &Context, results: Option<PathBuf>) -> Self {
        Self::with(context, |options| options.results = results)
    }

    /// Begins to render events with other options.
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

    /// Waits until all is rendered, then says the closing line or passes the error on.
    pub async fn finish(self, result: anyhow::Result<Option<String>>) -> anyhow::Result<ExitCode> {
        let Self {
            events,
            reporter,
            format,
        } = self;
        drop(events);
        reporter.await.context("the reporter ended early")?;
        if let (Some(line), Format::Human) = (result?, format) {
            report::talk(&line);
        }
        Ok(ExitCode::Ok)
    }
}
