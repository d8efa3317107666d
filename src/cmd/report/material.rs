//! What the names on the command line are about: a run, an experiment with its comparisons and its growth, or a
//! comparison of what is named.

use std::path::PathBuf;

use super::Args;
use crate::base::shell::quote;
use crate::cluster::experiment::growth;
use crate::cmd::compare;
use crate::cmd::results::ResultsArgs;
use crate::compare::{Comparison, read_accepted, variant_text};
use crate::page::Kind;
use crate::page::data::Material;
use crate::runs::{self, Experiment, Located, Store, StoredRun, locate};

/// The beginning of the key of a size in a variant. Sizes are not compared: their growth is judged.
const SIZE: &str = "nodes.";

/// Gathers what the arguments ask for.
pub(super) fn gather(args: &Args) -> anyhow::Result<Material> {
    let stores = args.place.stores()?;
    if let Some(path) = &args.accepted {
        // A mistake in it is an error, also where nothing is compared.
        read_accepted(path)?;
    }
    if args.other.is_some() || args.by.is_some() {
        return of_comparison(args, &stores);
    }
    let Located { store, entry } = locate(&stores, &args.name)?;
    match entry.kind {
        runs::Kind::Run => Ok(of_run(args, store, store.run(&entry.name)?)),
        runs::Kind::Experiment => of_experiment(args, store, store.experiment(&entry.name)?),
    }
}

fn of_run(args: &Args, store: &Store, run: StoredRun) -> Material {
    let experiment = run.record.experiment.as_deref();
    let experiment = experiment.and_then(|name| store.experiment(name).ok());
    let first = match (&experiment, &run.record.cluster) {
        (Some(experiment), _) => Some(line(&experiment.command)),
        (None, Some(cluster)) => Some(line(&["vcluster", "run", cluster.as_str()])),
        (None, None) => None,
    };
    Material {
        kind: Kind::Run,
        name: run.name().to_owned(),
        runs: vec![(variant_text(&run.record.variant), run)],
        experiment: None,
        comparisons: Vec::new(),
        growth: Vec::new(),
        notes: Vec::new(),
        commands: first.into_iter().chain([command(args)]).collect(),
    }
}

fn of_experiment(args: &Args, store: &Store, experiment: Experiment) -> anyhow::Result<Material> {
    let runs = experiment
        .runs
        .iter()
        .zip(store.runs_of(&experiment)?)
        .map(|(listed, run)| {
            let mut label = variant_text(&listed.variant);
            if listed.confirmation {
                label.push_str(" (confirmation)");
            }
            (label.trim_start().to_owned(), run)
        });
    let runs: Vec<(String, StoredRun)> = runs.collect();
    let growth = growth(store, &experiment, None)?;
    let (mut comparisons, mut notes) = (Vec::new(), Vec::new());
    let several = experiment.varied.iter().filter(|(_, values)| values.len() > 1);
    for (key, _) in several.filter(|(key, _)| !key.starts_with(SIZE)) {
        let mut asked = comparison_args(args, Some(key));
        asked.a.clone_from(&experiment.name);
        asked.place = ResultsArgs {
            cluster: None,
            results: Some(store.path().to_owned()),
        };
        match compare::comparisons(&asked) {
            Ok(found) => comparisons.extend(found),
            // Such as runs that failed, or that differ in more than what was varied: everything else can be reported.
            Err(error) => {
                let why = format!("{error:#}");
                let why: Vec<&str> = why.lines().map(str::trim).collect();
                notes.push(format!("not compared by {key}: {}", why.join(" ")));
            }
        }
    }
    Ok(Material {
        kind: Kind::Experiment,
        name: experiment.name.clone(),
        runs,
        commands: vec![line(&experiment.command), command(args)],
        experiment: Some(experiment),
        comparisons,
        growth,
        notes,
    })
}

fn of_comparison(args: &Args, stores: &[Store]) -> anyhow::Result<Material> {
    let comparisons = compare::comparisons(&comparison_args(args, args.by.as_ref()))?;
    let (mut runs, mut notes) = (Vec::new(), Vec::new());
    for comparison in &comparisons {
        let Comparison { a, b, run_names, .. } = comparison;
        for (label, names) in [(a, &run_names.0), (b, &run_names.1)] {
            for name in names {
                // The baseline of several comparisons.
                if runs
                    .iter()
                    .any(|(_, known): &(String, StoredRun)| known.name() == name)
                {
                    continue;
                }
                match stores
                    .iter()
                    .find(|store| store.path().join(name).join("run.json").is_file())
                {
                    Some(store) => runs.push((label.clone(), store.run(name)?)),
                    None => notes.push(format!(
                        "{name} is in another directory: its values are not drawn"
                    )),
                }
            }
        }
    }
    let mut commands = comparisons
        .first()
        .map(|first| first.reproduce.clone())
        .unwrap_or_default();
    commands.push(command(args));
    let name = match (&args.other, &args.by) {
        (Some(other), _) => format!("{} and {other}", args.name),
        (None, Some(key)) => format!("{} by {key}", args.name),
        (None, None) => args.name.clone(),
    };
    Ok(Material {
        kind: Kind::Comparison,
        name,
        runs,
        experiment: None,
        comparisons,
        growth: Vec::new(),
        notes,
        commands,
    })
}

/// The arguments with which `vcluster compare` would give the same comparisons.
fn comparison_args(args: &Args, by: Option<&String>) -> compare::Args {
    compare::Args {
        a: args.name.clone(),
        b: args.other.clone(),
        by: by.cloned(),
        place: args.place.clone(),
        despite: args.despite.clone(),
        accepted: args.accepted.clone(),
        junit: None,
        all: false,
        strict: false,
    }
}

/// This command.
fn command(args: &Args) -> String {
    let mut words = vec!["vcluster".to_owned(), "report".to_owned(), args.name.clone()];
    words.extend(args.other.clone());
    let path = |path: &PathBuf| path.display().to_string();
    let despite = args.despite.iter().map(|key| ("--despite", Some(key.clone())));
    let options = [
        ("--by", args.by.clone()),
        ("--cluster", args.place.cluster.as_ref().map(ToString::to_string)),
        ("--results", args.place.results.as_ref().map(path)),
        ("--accepted", args.accepted.as_ref().map(path)),
        ("--html", args.html.as_ref().map(path)),
    ];
    for (name, value) in options.into_iter().chain(despite) {
        if let Some(value) = value {
            words.extend([name.to_owned(), value]);
        }
    }
    line(&words)
}

/// Words as a command line.
fn line<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word.as_ref())).collect();
    words.join(" ")
}
