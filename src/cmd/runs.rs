//! `vcluster runs`: lists, shows, exports and removes stored runs and experiments.

mod remove;

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Context;
use super::results;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::text::{plural, sanitize};
use crate::report::runs::{Details, json};
use crate::report::{self, Format};
use crate::runs::export::{ExportFormat, export};
use crate::runs::{Kind, Listing, Located, Store, StoreError, StoredRun, locate};

/// List, show, export and remove stored runs and experiments
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// Where the runs are. Unlike [`results::ResultsArgs`] this is for all verbs below, and follows VCLUSTER_NAME.
#[derive(Debug, clap::Args)]
struct Place {
    /// Cluster name or topology file [default: all clusters that have results on this machine]
    #[arg(
        short = 'c',
        long,
        global = true,
        env = "VCLUSTER_NAME",
        value_name = "NAME|FILE"
    )]
    cluster: Option<String>,
    /// Directory of results, as given to `run` [default: those of the clusters]
    #[arg(long, global = true, value_name = "DIR")]
    results: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the runs, which is the default
    List,
    /// Show a run with its criteria and metrics, or an experiment with its runs
    Show {
        /// Its name, or the beginning of it
        #[arg(value_name = "RUN|EXPERIMENT")]
        name: String,
    },
    /// Print runs for other programs
    Export {
        /// Format of the other program
        #[arg(long = "as", value_enum, default_value_t, value_name = "FORMAT")]
        form: ExportFormat,
        /// Names, or beginnings of names [default: all complete runs]
        #[arg(value_name = "RUN|EXPERIMENT")]
        names: Vec<String>,
    },
    Remove(remove::Args),
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let stores = results::stores(args.place.results.as_deref(), args.place.cluster.as_deref())?;
    for store in &stores {
        // What a removal that was killed has left. It is hidden, so it does not matter if this fails.
        let _ = store.clear_leftovers();
    }
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => Ok(list(&stores, context)),
        Verb::Show { name } => show(&stores, &name, context),
        Verb::Export { form, names } => print(&stores, &names, form),
        Verb::Remove(args) => remove::run(args, &stores, context).await,
    }
}

fn list(stores: &[Store], context: &Context) -> ExitCode {
    let listings: Vec<Listing> = stores.iter().map(Store::list).collect();
    if context.format == Format::Json {
        data(&json::list(&listings));
        return ExitCode::Ok;
    }
    let mut runs = Vec::new();
    for listing in listings {
        runs.extend(listing.runs);
        for error in listing.damaged {
            report::message(&format!("warning: {}", sanitize(&error.to_string())));
        }
    }
    if runs.is_empty() {
        report::message("no runs");
    } else {
        report::show(&report::runs::list(&runs));
    }
    ExitCode::Ok
}

fn show(stores: &[Store], name: &str, context: &Context) -> anyhow::Result<ExitCode> {
    let Located { store, entry } = locate(stores, name)?;
    let is_json = context.format == Format::Json;
    match entry.kind {
        Kind::Run => {
            let run = store.run(&entry.name)?;
            let details = Details {
                reports: run.reports()?,
                findings: run.findings()?,
                troubles: run.troubles()?,
                series: run.series(|_| true)?,
            };
            if is_json {
                data(&json::run(&run, &details));
            } else {
                report::show(&report::runs::run(&run, &details));
            }
        }
        Kind::Experiment => {
            let experiment = store.experiment(&entry.name)?;
            if is_json {
                data(&json::experiment(&experiment));
            } else {
                report::show(&report::runs::experiment(&experiment));
            }
        }
    }
    Ok(ExitCode::Ok)
}

/// Prints JSON that is safe to show on a terminal.
fn data(value: &serde_json::Value) {
    report::data(&report::json::harmless(format!("{value:#}\n")));
}

fn print(stores: &[Store], names: &[String], form: ExportFormat) -> anyhow::Result<ExitCode> {
    let chosen = chosen(stores, names)?;
    let (complete, incomplete): (Vec<_>, Vec<_>) = chosen.into_iter().partition(StoredRun::is_complete);
    if !incomplete.is_empty() {
        let count = plural(incomplete.len(), "run");
        report::message(&format!("note: {count} left out: incomplete"));
    }
    if complete.is_empty() {
        let error = UserError::new(ExitCode::Usage, "there is no complete run to export");
        return Err(error.with_hint("`vcluster runs` lists the runs").into());
    }
    export(form, &complete, &mut |text| match form {
        ExportFormat::Jsonl | ExportFormat::Extrap => {
            report::data_read(&report::json::harmless(text.to_owned()))
        }
        ExportFormat::Csv | ExportFormat::Openmetrics | ExportFormat::Otava => {
            report::data_read(&sanitize(text))
        }
    })?;
    Ok(ExitCode::Ok)
}

/// The runs with these names and those of the experiments with these names, each once; without names all.
fn chosen(stores: &[Store], names: &[String]) -> Result<Vec<StoredRun>, StoreError> {
    let mut runs = Vec::new();
    if names.is_empty() {
        for store in stores {
            runs.extend(store.runs()?);
        }
    }
    for name in names {
        let Located { store, entry } = locate(stores, name)?;
        match entry.kind {
            Kind::Run => runs.push(store.run(&entry.name)?),
            Kind::Experiment => {
                let experiment = store.experiment(&entry.name)?;
                runs.extend(store.runs_of(&experiment)?);
            }
        }
    }
    let mut seen = BTreeSet::new();
    runs.retain(|run| seen.insert(run.path.clone()));
    Ok(runs)
}
