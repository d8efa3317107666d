//! `runs remove`: removes runs and experiments by name, or all but the newest.

use clap::ArgAction;

use crate::base::exit::ExitCode;
use crate::base::text::{plural, sanitize};
use crate::cmd::Context;
use crate::cmd::common::{FlagVariable, at_least_one};
use crate::cmd::confirm::confirm;
use crate::report::{self, Format};
use crate::runs::{Kind, Located, Store, StoreError, locate};

/// Remove runs, and experiments with their runs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names of runs and experiments, or beginnings of names
    #[arg(
        value_name = "RUN|EXPERIMENT",
        required_unless_present = "keep_last",
        conflicts_with = "keep_last"
    )]
    names: Vec<String>,
    /// Remove all but the newest N complete runs of each cluster; an experiment is kept or removed as a whole
    #[arg(long, value_name = "N", value_parser = at_least_one())]
    keep_last: Option<usize>,
    /// Do not ask for confirmation
    #[arg(short = 'y', long, env = "VCLUSTER_YES", action = ArgAction::SetTrue, value_parser = FlagVariable)]
    yes: bool,
}

pub(super) async fn run(args: Args, stores: &[Store], context: &Context) -> anyhow::Result<ExitCode> {
    let chosen = match args.keep_last {
        Some(kept) => surplus(stores, kept)?,
        None => named(stores, &args.names)?,
    };
    let is_human = context.format == Format::Human;
    if chosen.is_empty() && is_human {
        report::message("nothing to remove");
    }
    if !chosen.is_empty() && !args.yes {
        for item in &chosen {
            report::message(&describe(item)?);
        }
        if !confirm(&question(&chosen), &context.cancel).await? {
            report::message("nothing was changed");
            return Ok(ExitCode::Declined);
        }
    }
    for Located { store, entry } in &chosen {
        store.remove(entry)?;
        if is_human && !context.quiet {
            let kind = entry.kind.as_str();
            report::message(&format!("removed {kind} {}", sanitize(&entry.name)));
        }
    }
    if !is_human {
        let names: Vec<&str> = chosen.iter().map(|item| item.entry.name.as_str()).collect();
        let value = serde_json::json!({ "version": 1, "removed": names });
        report::data(&report::json::harmless(format!("{value:#}\n")));
    }
    Ok(ExitCode::Ok)
}

/// What these names mean, each once. Nothing is removed if one of them means nothing.
fn named<'a>(stores: &'a [Store], names: &[String]) -> Result<Vec<Located<'a>>, StoreError> {
    let mut chosen: Vec<Located<'a>> = Vec::new();
    for name in names {
        let found = locate(stores, name)?;
        let is_same =
            |other: &Located<'_>| other.entry == found.entry && other.store.path() == found.store.path();
        if !chosen.iter().any(is_same) {
            chosen.push(found);
        }
    }
    Ok(chosen)
}

/// What is left of each store but its newest runs.
fn surplus(stores: &[Store], kept: usize) -> Result<Vec<Located<'_>>, StoreError> {
    let mut chosen = Vec::new();
    for store in stores {
        let surplus = store.surplus(kept)?.into_iter();
        chosen.extend(surplus.map(|entry| Located { store, entry }));
    }
    Ok(chosen)
}

fn describe(item: &Located<'_>) -> Result<String, StoreError> {
    let Located { store, entry } = item;
    let mut text = format!("{} {}", entry.kind.as_str(), sanitize(&entry.name));
    if entry.kind == Kind::Experiment {
        let members = store.members(&entry.name)?.len();
        text.push_str(&format!(" with {}", plural(members, "run")));
    }
    text.push_str(&format!(" in {}", store.path().display()));
    Ok(text)
}

fn question(chosen: &[Located<'_>]) -> String {
    let count = |kind: Kind| chosen.iter().filter(|item| item.entry.kind == kind).count();
    let parts: Vec<String> = [Kind::Run, Kind::Experiment]
        .into_iter()
        .map(|kind| (count(kind), kind.as_str()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| plural(count, word))
        .collect();
    format!("Remove {}?", parts.join(" and "))
}
