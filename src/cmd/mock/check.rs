//! `mock check`: whether a mock still behaves as the real service.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use vcluster_mock::check::{Check, Options, Side, Verdict, against_mock, against_recording};
use vcluster_mock::spec;

use super::serve::time;
use super::{ReadArgs, aside, directory, failed};
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::text::{sanitize, shortened};
use crate::cmd::Context;
use crate::report::{self, Format};

/// Check whether a mock still behaves as a new recording of the real service shows
///
/// Compares service times (test of Kolmogorov and Smirnov) and errors, route by route. The exit code is 6 if a route has
/// drifted, or if no route has enough requests to decide.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File of mocks (.yaml, .yml or .json), or a recording of the mock
    #[arg(value_name = "MOCK")]
    mock: PathBuf,
    /// New recording of the real service; `-` is standard input
    #[arg(value_name = "RECORDING")]
    recording: PathBuf,
    /// Name of the mock, if the file has several
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Probability of a false alarm, of all routes together
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = share)]
    alpha: f64,
    /// Distance up to which a difference does not matter, 0 to 1
    #[arg(long, value_name = "D", default_value_t = 0.05, value_parser = share)]
    tolerance: f64,
    /// Also fail if a route has too few requests to decide
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    read: ReadArgs,
}

fn share(text: &str) -> Result<f64, String> {
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| *number > 0.0 && *number < 1.0);
    number.ok_or_else(|| "write a number between 0 and 1".to_owned())
}

/// Runs the verb.
pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let options = Options {
        alpha: args.alpha,
        tolerance: args.tolerance,
    };
    // The mock first: it is small, and may be wrong.
    let mock = if is_mock(&args.mock) {
        Some(one_mock(&args)?)
    } else {
        None
    };
    let recording = args
        .read
        .read(std::slice::from_ref(&args.recording), context)
        .await?;
    let check = if let Some((name, mock)) = mock {
        let directory = directory(&args.mock).to_owned();
        let compare = move || against_mock(&name, &mock, &directory, &recording, options);
        aside(context, compare).await?.map_err(failed)?
    } else {
        let before = args.read.read(std::slice::from_ref(&args.mock), context).await?;
        aside(context, move || against_recording(&before, &recording, options)).await?
    };
    show(&check, context)?;
    let is_undecided = |verdict| verdict == Verdict::TooFew;
    let lacks = args.strict && check.routes.iter().any(|route| is_undecided(route.verdict));
    let fails = check.verdict == Verdict::Drifted || is_undecided(check.verdict) || lacks;
    Ok(if fails {
        ExitCode::WorkloadFailed
    } else {
        ExitCode::Ok
    })
}

/// Whether a file is one of mocks, by its name: JSON lines of a recording look like JSON too.
fn is_mock(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["yaml", "yml", "json"].iter().any(|known| extension == *known)
}

/// The mock that is meant, with its name.
fn one_mock(args: &Args) -> Result<(String, spec::Mock), UserError> {
    let mut mocks = spec::read(&args.mock).map_err(failed)?.mocks;
    let file = args.mock.display();
    let names: Vec<&str> = mocks.keys().map(String::as_str).collect();
    let names = names.join(", ");
    let wrong = |text: String| UserError::new(ExitCode::Usage, text).with_hint(format!("its mocks: {names}"));
    match &args.name {
        Some(name) => {
            let mock = mocks.shift_remove(name);
            let mock = mock.ok_or_else(|| wrong(format!("{file} has no mock `{name}`")))?;
            Ok((name.clone(), mock))
        }
        None if mocks.len() == 1 => mocks.pop().ok_or_else(|| wrong(format!("{file} has no mock"))),
        None => Err(wrong(format!("{file} has {} mocks: pass --name", mocks.len()))),
    }
}

fn show(check: &Check, context: &Context) -> anyhow::Result<()> {
    if context.format == Format::Json {
        let mut value = serde_json::to_value(check).context("failed to write the check")?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("version".to_owned(), 1.into());
        }
        report::data(&report::json::harmless(format!("{value:#}\n")));
        return Ok(());
    }
    let mut table = report::table::new(&[
        "route", "verdict", "distance", "critical", "p", "mock p50", "new p50", "mock p99", "new p99",
        "errors", "requests",
    ]);
    for route in &check.routes {
        let name = if route.route.is_empty() {
            "(all)"
        } else {
            &route.route
        };
        let count = |side: &Side| {
            side.requests
                .map_or_else(|| "exact".to_owned(), |count| count.to_string())
        };
        table.add_row(vec![
            shortened(&sanitize(name), 60).into_owned(),
            word(route.verdict).to_owned(),
            format!("{:.3}", route.distance),
            format!("{:.3}", route.critical),
            format!("{:.4}", route.p_value),
            time(route.reference.p50),
            time(route.recorded.p50),
            time(route.reference.p99),
            time(route.recorded.p99),
            format!(
                "{:.2} -> {:.2} %",
                route.reference.errors * 100.0,
                route.recorded.errors * 100.0
            ),
            format!("{} / {}", count(&route.reference), count(&route.recorded)),
        ]);
    }
    report::show(&report::table::render(&table));
    Ok(())
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "same",
        Verdict::Drifted => "drifted",
        Verdict::TooFew => "too few",
    }
}
