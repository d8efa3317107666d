//! `vcluster-mock`: serves mocks on a node. It prints what it listens on to standard error, and its report to standard
//! output or to a file.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use vcluster_mock::error::MockError;
use vcluster_mock::report::Report;
use vcluster_mock::serve::{self, Bound};
use vcluster_mock::spec;

/// Serve mocks of services with the performance of the real ones
#[derive(Debug, Parser)]
#[command(name = "vcluster-mock", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve the mocks of a file until SIGTERM or SIGINT, then report what they received and answered
    Serve {
        /// File of mocks, as YAML or JSON
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// File for the report [default: standard output]
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
    },
    /// Print the JSON Schema of a file of mocks
    Schema,
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Serve { file, report } => serve_file(&file, report.as_deref()),
        Verb::Schema => print_schema(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut stderr = io::stderr().lock();
            // There is no other place for a failure to write here.
            let _ = writeln!(stderr, "error: {error}");
            if let Some(hint) = error.downcast_ref::<MockError>().and_then(MockError::hint) {
                let _ = writeln!(stderr, "hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn print_schema() -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&spec::schema())?;
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

fn serve_file(file: &Path, report: Option<&Path>) -> Result<(), Failure> {
    let mocks = spec::read(file)?;
    if let Err(error) = serve::raise_open_files() {
        message(&format!(
            "warning: failed to raise the limit of open files: {error}"
        ));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(&stop)?;
        let bound = serve::bind(&mocks, file.parent().unwrap_or(Path::new(".")))?;
        announce(&bound);
        Ok::<Report, Failure>(bound.run(stop).await)
    })?;
    let text = serde_json::to_string_pretty(&served)?;
    match report {
        None => writeln!(io::stdout(), "{text}")?,
        Some(path) => {
            if let Err(source) = std::fs::write(path, format!("{text}\n")) {
                // What was served cannot be served again: the report goes where it can be read.
                writeln!(io::stdout(), "{text}")?;
                let path = path.to_owned();
                return Err(MockError::Write { path, source }.into());
            }
        }
    }
    Ok(())
}

/// Cancels the token at the first SIGTERM or SIGINT.
fn stop_on_signals(stop: &CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

/// A line for each mock, and `ready`, for a script that waits until it can connect.
fn announce(bound: &Bound) {
    for mock in bound.listening() {
        let more = match mock.endpoints {
            1 => String::new(),
            count => format!(" and {} more ports", count - 1),
        };
        message(&format!(
            "{}: {} on {}{more}, seed {}",
            mock.name,
            mock.protocol.as_str(),
            mock.first,
            mock.seed
        ));
    }
    message("ready");
}

fn message(text: &str) {
    // A closed standard error does not stop the mocks.
    let _ = writeln!(io::stderr(), "{text}");
}
