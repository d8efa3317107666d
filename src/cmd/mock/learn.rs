//! `mock learn`: a mock from recordings of the real service.

use std::path::PathBuf;

use anyhow::Context as _;
use vcluster_mock::learn::{self, LearnError, Learnt, Load, Options};
use vcluster_mock::spec::Listen;

use super::{Protocol, ReadArgs, aside};
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::text::sanitize;
use crate::cmd::Context;
use crate::report::{self, Format};

/// Learn a mock from recordings of the real service, and print it as YAML
///
/// A recording is a HAR file, an access log with times, or JSON lines as `mock record` writes them. Several
/// are put together. The comments of the mock say what each value rests on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recordings; `-` is standard input
    #[arg(value_name = "RECORDING", required = true)]
    recordings: Vec<PathBuf>,
    /// Name of the mock
    #[arg(long, value_name = "NAME", default_value = "learnt")]
    name: String,
    /// Protocol of the mock [default: as the recording shows]
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    protocol: Option<Protocol>,
    /// Where the mock is to listen: an address, a port or a range of ports
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: Listen,
    /// Write the mock to this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the verb.
pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let recording = args.read.read(&args.recordings, context).await?;
    let options = Options {
        name: args.name,
        protocol: args.protocol.map(Into::into),
        listen: args.listen,
    };
    let learnt = aside(context, move || learn::learn(&recording, &options)).await?;
    let learnt = learnt.map_err(failed)?;
    let yaml = learnt.yaml();
    if let Some(path) = &args.out {
        std::fs::write(path, &yaml).with_context(|| format!("failed to write {}", path.display()))?;
    }
    if context.format == Format::Json {
        let value = serde_json::json!({ "version": 1, "yaml": yaml, "learnt": learnt });
        report::data(&report::json::harmless(format!("{value:#}\n")));
        return Ok(ExitCode::Ok);
    }
    if !context.quiet {
        for note in &learnt.notes {
            report::message(&format!("note: {}", sanitize(note)));
        }
        if let Load::NotDetermined { reason } = &learnt.capacity {
            report::message(&format!("note: capacity not determined: {}", sanitize(reason)));
        }
    }
    match &args.out {
        None => report::data(&sanitize(&yaml)),
        Some(_) if context.quiet => {}
        Some(path) => report::message(&summary(&learnt, path)),
    }
    Ok(ExitCode::Ok)
}

fn summary(learnt: &Learnt, path: &std::path::Path) -> String {
    let latency = learnt.all.distribution;
    format!(
        "learnt {latency} from {} requests, {} routes: {}",
        learnt.requests,
        learnt.routes.len().max(1),
        path.display()
    )
}

fn failed(error: LearnError) -> UserError {
    let hint = error.hint();
    match error {
        LearnError::Mock(error) => UserError::new(ExitCode::Usage, error.to_string())
            .with_hint("choose another name with --name, or another address with --listen"),
        other => {
            let mut failure = UserError::new(ExitCode::Usage, other.to_string());
            failure.hint = hint;
            failure
        }
    }
}
