//! `vcluster mock`: serves mocks, learns them from recordings, checks them, and records services. The work is in the
//! crate `vcluster-mock`. Contacts no host.

mod check;
mod learn;
mod record;
mod serve;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use vcluster_mock::error::MockError;
use vcluster_mock::record::{Options, Recording, RecordingError};
use vcluster_mock::spec;

use super::Context;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::engine::EngineError;

/// Serve mocks of services with the performance of the real ones, and learn them from recordings
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Serve(serve::Args),
    Learn(learn::Args),
    Check(check::Args),
    Record(record::Args),
}

/// The protocol of a mock.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Protocol {
    /// HTTP/1.1 and HTTP/2 without TLS
    Http,
    /// Bytes
    Tcp,
    /// RESP of Redis
    Redis,
    /// PostgreSQL
    Postgres,
    /// Unary calls of gRPC
    Grpc,
}

impl From<Protocol> for spec::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http => Self::Http,
            Protocol::Tcp => Self::Tcp,
            Protocol::Redis => Self::Redis,
            Protocol::Postgres => Self::Postgres,
            Protocol::Grpc => Self::Grpc,
        }
    }
}

/// How recordings are read.
#[derive(Clone, Debug, clap::Args)]
struct ReadArgs {
    /// Format of access logs, as `log_format` of nginx or `LogFormat` of Apache has it [default: Common or Combined with
    /// the time in seconds as the last field]
    #[arg(long, value_name = "FORMAT")]
    access_format: Option<String>,
}

impl ReadArgs {
    /// Reads recordings on a thread of its own, so that an interrupt ends the command at once.
    async fn read(&self, paths: &[PathBuf], context: &Context) -> anyhow::Result<Recording> {
        let options = Options {
            access_format: self.access_format.clone(),
        };
        let paths = paths.to_vec();
        let read = move || {
            let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
            vcluster_mock::record::read(&paths, &options)
        };
        Ok(aside(context, read).await?.map_err(unreadable)?)
    }
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Serve(args) => serve::run(args, context).await,
        Verb::Learn(args) => learn::run(args, context).await,
        Verb::Check(args) => check::run(args, context).await,
        Verb::Record(args) => record::run(args, context).await,
    }
}

/// Does work that blocks on another thread. An interrupt does not wait for it.
async fn aside<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        done = tokio::task::spawn_blocking(work) => done.context("the work ended early"),
        () = context.cancel.cancelled() => Err(EngineError::Interrupted.into()),
    }
}

/// Does work on a runtime of its own with all CPUs: that of vcluster has one thread, for connections to nodes.
async fn on_all_cpus<T: Send + 'static>(
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    let work = move || {
        let runtime = Builder::new_multi_thread().enable_all().build();
        runtime.context("failed to start")?.block_on(work)
    };
    tokio::task::spawn_blocking(work)
        .await
        .context("the work ended early")?
}

/// A token that is cancelled by an interrupt, or after this time.
fn stop_after(time: Option<Duration>, context: &Context) -> CancellationToken {
    let stop = context.cancel.child_token();
    if let Some(time) = time {
        let timer = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(time) => timer.cancel(),
                () = timer.cancelled() => {}
            }
        });
    }
    stop
}

/// An error of a mock. A file that is wrong has the code of a topology that is wrong.
fn failed(error: MockError) -> UserError {
    let code = match error {
        MockError::Listen { .. } | MockError::Write { .. } => ExitCode::Unexpected,
        _ => ExitCode::InvalidTopology,
    };
    let hint = error.hint();
    let hint = hint.unwrap_or_else(|| "docs/mocks.md describes files of mocks".to_owned());
    UserError::new(code, error.to_string()).with_hint(hint)
}

fn unreadable(error: RecordingError) -> UserError {
    UserError::new(ExitCode::Usage, error.to_string()).with_hint(error.hint())
}

/// The directory in which the files of a mock are looked up.
fn directory(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}
