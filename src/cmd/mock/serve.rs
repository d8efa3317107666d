//! `mock serve`: serves the mocks of a file until it is stopped, then reports.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use vcluster_mock::report::Report;
use vcluster_mock::serve::{self, Bound};
use vcluster_mock::spec;

use super::{directory, failed, on_all_cpus, stop_after};
use crate::base::exit::ExitCode;
use crate::base::text::plural;
use crate::cmd::Context;
use crate::report::{self, Format};

/// Serve the mocks of a file until an interrupt, then report what they received and answered
///
/// The exit code is 0 after an interrupt too.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File of mocks, as YAML or JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Stop after this time [default: no limit]
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
}

/// Runs the verb.
pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mocks = spec::read(&args.file).map_err(failed)?;
    let (stop, quiet, file) = (stop_after(args.time, context), context.quiet, args.file);
    let served = on_all_cpus(async move {
        let bound = serve::bind(&mocks, directory(&file)).map_err(failed)?;
        if !quiet {
            announce(&bound);
        }
        Ok(bound.run(stop).await)
    });
    let served = served.await?;
    // Before the file, which may not be writable: what was served cannot be served again.
    match context.format {
        Format::Json => report::data(&report::json::harmless(json(&served)?)),
        Format::Human => report::show(&table(&served)),
    }
    for (name, mock) in &served.mocks {
        let failures = mock.observed.accept_failures;
        if failures > 0 {
            report::message(&format!(
                "warning: {name}: connections could not be accepted {} (limit of open files?)",
                plural(usize::try_from(failures).unwrap_or(usize::MAX), "time")
            ));
        }
    }
    if let Some(path) = &args.report {
        write(path, &served)?;
    }
    Ok(ExitCode::Ok)
}

fn announce(bound: &Bound) {
    for mock in bound.listening() {
        let more = match mock.endpoints {
            1 => String::new(),
            count => format!(" and {}", plural(count - 1, "more port")),
        };
        let protocol = mock.protocol.as_str();
        report::message(&format!(
            "{}: {protocol} on {}{more} (seed {})",
            mock.name, mock.first, mock.seed
        ));
    }
}

fn json(served: &Report) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(served)? + "\n")
}

fn write(path: &Path, served: &Report) -> anyhow::Result<()> {
    std::fs::write(path, json(served)?).with_context(|| format!("failed to write {}", path.display()))
}

/// One line for each route, with the service time that was declared and that was served.
fn table(served: &Report) -> String {
    let mut table = report::table::new(&[
        "mock",
        "route",
        "requests",
        "declared p50",
        "p50",
        "declared p99",
        "p99",
        "distance",
    ]);
    for (name, mock) in &served.mocks {
        for route in &mock.observed.routes {
            let service = |value: fn(&vcluster_mock::observed::Quantiles) -> f64| {
                let served = route.service.as_ref().map(value);
                [
                    time(value(&route.declared)),
                    served.map_or_else(|| "-".to_owned(), time),
                ]
            };
            let [declared_median, median] = service(|times| times.p50);
            let [declared_tail, tail] = service(|times| times.p99);
            table.add_row(vec![
                name.clone(),
                route.route.clone(),
                route.requests.to_string(),
                declared_median,
                median,
                declared_tail,
                tail,
                route
                    .distance
                    .map_or_else(|| "-".to_owned(), |distance| format!("{distance:.3}")),
            ]);
        }
    }
    let mut text = report::table::render(&table);
    for (name, mock) in &served.mocks {
        let observed = &mock.observed;
        let errors: u64 = observed.errors.values().sum();
        text.push_str(&format!(
            "{name}: {} requests in {:.1} s, {errors} errors, {} refused, {} abandoned, at most {} at a time on {} \
             connections\n",
            observed.requests,
            served.seconds,
            observed.refused,
            observed.abandoned,
            observed.most_concurrent,
            observed.most_connections
        ));
    }
    text
}

/// A time for people: three digits.
pub(super) fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        value if value >= 1.0 => (value, "s"),
        value if value >= 1e-3 => (value * 1e3, "ms"),
        value => (value * 1e6, "us"),
    };
    let decimals = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_with_three_digits() {
        for (seconds, wanted) in [
            (0.0, "0.00 us"),
            (0.000_25, "250 us"),
            (0.003_217, "3.22 ms"),
            (0.04, "40.0 ms"),
            (12.345, "12.3 s"),
        ] {
            assert_eq!(time(seconds), wanted);
        }
    }
}
