//! Shows an experiment while it is carried out.

use crate::base::event::{Event, Events};
use crate::base::text::sanitize;
use crate::base::units::Moment;
use crate::cluster::experiment::{Progress, Show};
use crate::cmd::Context;
use crate::cmd::output::{Output, waits};
use crate::report::{self, Format, experiment};
use crate::workload::Verdict;

/// The screen of a command: the parts of an experiment one after the other, and a line per run.
pub(crate) struct Screen<'a> {
    context: &'a Context,
    /// Of the part that is in progress.
    output: Option<Output>,
}

impl<'a> Screen<'a> {
    /// An empty one.
    pub(crate) fn new(context: &'a Context) -> Self {
        Self {
            context,
            output: None,
        }
    }

    /// A warning before the experiment begins.
    pub(crate) fn warn(&self, text: &str) {
        match self.context.format {
            Format::Json => report::json::line(
                "event",
                &Event::Warning {
                    text: text.to_owned(),
                },
            ),
            Format::Human => report::message(&format!("warning: {}", sanitize(text))),
        }
    }
}

impl Show for Screen<'_> {
    fn begin(&mut self, started: Event) -> Events {
        let verbose = self.context.verbose;
        // The tables of every `up` and every run would push what they show off the screen.
        let output = Output::with(self.context, |options| options.summary = verbose);
        output.events.emit(started);
        let events = output.events.clone();
        self.output = Some(output);
        events
    }

    async fn end(&mut self) {
        if let Some(output) = self.output.take() {
            // Without a result there is nothing that could fail but the reporter itself.
            let _ = output.finish(Ok(None)).await;
        }
    }

    fn waits(&mut self) -> Events {
        waits(self.context)
    }

    fn run_ended(&mut self, progress: &Progress<'_>) {
        match self.context.format {
            Format::Json => report::json::line("experiment_run", &experiment::run_json(progress)),
            Format::Human if self.context.quiet && progress.verdict == Verdict::Passed => {}
            Format::Human => report::message(&experiment::run_line(progress, Moment::now())),
        }
    }

    fn note(&mut self, text: &str) {
        match self.context.format {
            Format::Json => report::json::line(
                "event",
                &Event::Note {
                    text: text.to_owned(),
                },
            ),
            Format::Human if self.context.quiet => {}
            Format::Human => report::message(&format!("note: {}", sanitize(text))),
        }
    }
}
