//! What an experiment has shown, at its end: tables, comparisons, growth, and the exit code.

use serde_json::json;

use super::args::ExperimentArgs;
use super::compared::exit_code;
use super::junit;
use crate::base::exit::ExitCode;
use crate::base::shell::quote;
use crate::cluster::experiment::{Compared, GrowthReport, Left, Options, Outcome, VariantFound, tally};
use crate::cmd::Context;
use crate::report::comparison::{self, Look};
use crate::report::{self, Format, experiment, growth};
use crate::runs::{Experiment, Store};
use crate::workload::Verdict;

/// Shows what an experiment has shown, writes its JUnit file, and returns its exit code.
pub(crate) fn close(
    mut outcome: Outcome,
    store: &Store,
    options: &Options,
    args: &ExperimentArgs,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    for compared in &mut outcome.compared {
        if let Ok(comparison) = &mut compared.result {
            comparison.reproduce = vec![line(&options.command)];
        }
    }
    // Why the experiment ended early matters more than what cannot be shown of it.
    let shown = match context.format {
        Format::Json => {
            show_json(&outcome);
            Ok(())
        }
        Format::Human => show(&outcome, store, options, args, context),
    };
    let written = args
        .junit
        .as_deref()
        .map_or(Ok(()), |file| junit::write(&outcome, store, file));
    let code = exit_code(&outcome);
    match (outcome.removal, outcome.error) {
        (Some(removal), Some(error)) => {
            let why = report::error::describe(&error).lines.join(": ");
            report::message(&format!("error: {why}"));
            return Err(removal);
        }
        (Some(error), None) | (None, Some(error)) => return Err(error),
        (None, None) => {}
    }
    shown?;
    written?;
    Ok(code)
}

/// The results that are the same for a stored experiment: how its metrics grow.
pub(crate) fn results(reports: &[GrowthReport]) -> String {
    growth::variants::text(reports, report::charset::is_utf8())
}

fn show(
    outcome: &Outcome,
    store: &Store,
    options: &Options,
    args: &ExperimentArgs,
    context: &Context,
) -> anyhow::Result<()> {
    let experiment = &outcome.experiment;
    let mut text = String::new();
    let tallied = if experiment.runs.is_empty() {
        Ok(())
    } else {
        tally(store, experiment).map(|tally| text.push_str(&experiment::table(&tally)))
    };
    let look = Look {
        is_utf8: report::charset::is_utf8(),
        all: context.verbose,
    };
    for compared in &outcome.compared {
        text.push('\n');
        text.push_str(&compared_text(compared, look));
    }
    if !outcome.growth.is_empty() {
        text.push('\n');
        text.push_str(&results(&outcome.growth));
    }
    if let (Some(find), Some(group)) = (&options.find, &options.group) {
        for VariantFound { variant, found } in &outcome.found {
            text.push('\n');
            if !variant.is_empty() {
                text.push_str(&experiment::heading(variant));
            }
            text.push_str(&growth::found(found, find, group));
            text.push('\n');
        }
    }
    report::show(&text);
    if !context.quiet {
        report::message(&next_steps(outcome, store, options, args));
    }
    tallied?;
    Ok(())
}

fn compared_text(compared: &Compared, look: Look) -> String {
    let names = format!(
        "{} against {}",
        compared.variant.words(),
        compared.baseline.words()
    );
    let mut text = experiment::heading(&names);
    if let Ok(comparison) = &compared.result {
        text.push_str(&comparison::text(comparison, look));
    }
    if let Some(remark) = experiment::remark(compared) {
        text.push_str(&remark);
        text.push('\n');
    }
    text
}

/// What is left, and what to do next.
fn next_steps(outcome: &Outcome, store: &Store, options: &Options, args: &ExperimentArgs) -> String {
    let experiment = &outcome.experiment;
    let (name, cluster) = (&experiment.name, &experiment.cluster);
    let place = args.out.as_ref().map_or_else(String::new, |out| {
        format!(" --results {}", quote(&out.display().to_string()))
    });
    let left = match outcome.left {
        Left::Nothing => format!("cluster `{cluster}` is gone; nothing is left"),
        Left::Existed => {
            format!("cluster `{cluster}` was there before, and stays: `vcluster down {cluster}` removes it")
        }
        Left::Kept => format!(
            "cluster `{cluster}` is kept: `vcluster status {cluster}` and `vcluster ssh -c {cluster} NODE` show it, \
             `vcluster down {cluster}` removes it"
        ),
        Left::Unknown => {
            format!("cluster `{cluster}` could not be removed: `vcluster down {cluster}` tries again")
        }
    };
    let failed = experiment
        .runs
        .iter()
        .find(|run| run.verdict != Some(Verdict::Passed));
    let look = failed.map_or_else(String::new, |run| {
        format!("look: vcluster runs show {}{place}\n", run.run)
    });
    format!(
        "{left}\nresults: {}\n{look}look: vcluster report {name}{place}\nagain: {}",
        store.path().join(format!("{name}.json")).display(),
        line(&options.command)
    )
}

/// A command line.
fn line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

fn show_json(outcome: &Outcome) {
    let compared = outcome.compared.iter().map(|compared| {
        let document = compared.result.as_ref().ok().map(|comparison| {
            let mut document = comparison::json(std::slice::from_ref(comparison));
            document["comparisons"][0].take()
        });
        json!({
            "baseline": compared.baseline.labels(),
            "variant": compared.variant.labels(),
            "comparison": document,
            "refused": compared.refusal().map(ToString::to_string),
            "unconfirmed": compared.is_unconfirmed,
            "fails": compared.fails(),
        })
    });
    let found = outcome.found.iter().map(|VariantFound { variant, found }| {
        let tried = found
            .tried
            .iter()
            .map(|(size, tried)| json!({ "size": size, "runs": tried.runs, "failed": tried.failed }));
        let (holds, fails) = found.bounds();
        json!({ "variant": variant, "holds": holds, "fails": fails, "tried": tried.collect::<Vec<_>>() })
    });
    let left = match outcome.left {
        Left::Nothing => "nothing",
        Left::Existed => "existed",
        Left::Kept => "kept",
        Left::Unknown => "unknown",
    };
    let value = json!({
        "experiment": outcome.experiment,
        "compared": compared.collect::<Vec<_>>(),
        "growth": outcome.growth.iter().map(growth::json).collect::<Vec<_>>(),
        "variants": growth::variants::json(&outcome.growth),
        "found": found.collect::<Vec<_>>(),
        "left": left,
        "fails": outcome.fails(),
    });
    report::json::line("experiment", &value);
}

/// A stored experiment whose growth was judged again, for programs.
pub(crate) fn stored_json(experiment: &Experiment, reports: &[GrowthReport]) -> serde_json::Value {
    let growth: Vec<_> = reports.iter().map(growth::json).collect();
    let variants = growth::variants::json(reports);
    let (name, found) = (&experiment.name, &experiment.found);
    json!({ "version": 1, "experiment": name, "growth": growth, "variants": variants, "found": found })
}
