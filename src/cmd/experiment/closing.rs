//! What an experiment has shown, at its end: tables, comparisons, growth, and the exit code.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::args::ExperimentArgs;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::shell::quote;
use crate::cluster::experiment::{Compared, GrowthReport, Left, Options, Outcome, VariantFound, tally};
use crate::cmd::Context;
use crate::compare::variant_text;
use crate::measure::Finding;
use crate::report::comparison::{self, Look};
use crate::report::{self, Format, experiment, growth, junit};
use crate::runs::{Experiment, Store};
use crate::verdict::{explained, titled};
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
        .map_or(Ok(()), |file| write_junit(&outcome, store, file));
    let fails = outcome.fails();
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
    Ok(if fails {
        ExitCode::WorkloadFailed
    } else {
        ExitCode::Ok
    })
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
            "refused": compared.result.as_ref().err().map(ToString::to_string),
            "unconfirmed": compared.is_unconfirmed,
            "fails": compared.fails(),
        })
    });
    let found = outcome.found.iter().map(|VariantFound { variant, found }| {
        let tried = found
            .tried
            .iter()
            .map(|(size, tried)| json!({ "size": size, "runs": tried.runs, "failed": tried.failed }));
        let (holds, fails) = growth::bounds(found);
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

/// Writes the runs as test cases, a suite per variant, then the comparisons and the criteria of growth.
fn write_junit(outcome: &Outcome, store: &Store, file: &Path) -> anyhow::Result<()> {
    let experiment = &outcome.experiment;
    let mut cases: Vec<junit::Case> = experiment
        .runs
        .iter()
        .map(|run| junit::Case {
            step: suite(&run.variant),
            node: run.run.clone(),
            took: took(store, &run.run),
            outcome: run_outcome(run.verdict, store, &run.run),
            uncollected: Vec::new(),
        })
        .collect();
    cases.extend(outcome.compared.iter().map(comparison_case));
    let findings: Vec<_> = outcome.growth.iter().flat_map(findings).collect();
    let text = junit::document(experiment.cluster.as_str(), &cases, &findings)?;
    std::fs::write(file, text).with_context(|| {
        let text = format!("failed to write {}", file.display());
        let hint = "give `--junit` a file in a directory that exists and can be written";
        UserError::new(ExitCode::Unexpected, text).with_hint(hint)
    })
}

/// The criteria of growth of a variant, whose name is part of their notes.
fn findings(report: &GrowthReport) -> Vec<Finding> {
    let mut findings = report.findings.clone();
    for note in findings.iter_mut().filter_map(|finding| finding.note.as_mut()) {
        if !report.variant.is_empty() {
            note.insert_str(0, &format!("{}: ", report.variant));
        }
    }
    findings
}

fn suite(variant: &BTreeMap<String, String>) -> String {
    match variant_text(variant) {
        text if text.is_empty() => "runs".to_owned(),
        text => text,
    }
}

fn took(store: &Store, run: &str) -> Duration {
    let record = store.run(run).map(|run| run.record).ok();
    let times = record.and_then(|record| Some((record.began?, record.ended?)));
    times.map_or(Duration::ZERO, |(began, ended)| ended.since(began))
}

fn run_outcome(verdict: Option<Verdict>, store: &Store, run: &str) -> junit::Outcome {
    match verdict {
        Some(Verdict::Passed) => junit::Outcome::Passed,
        None | Some(Verdict::Interrupted) => junit::Outcome::Skipped {
            reason: "interrupted".to_owned(),
        },
        Some(verdict) => {
            let findings = store.run(run).and_then(|run| run.findings()).unwrap_or_default();
            let failed = findings.iter().filter(|finding| finding.fails());
            let lines = failed.map(|finding| {
                let title = titled(&finding.criterion);
                format!("{title}: {}", explained(finding))
            });
            junit::Outcome::Failed {
                message: verdict.as_str().replace('_', " "),
                output: lines.collect::<Vec<_>>().join("\n"),
            }
        }
    }
}

fn comparison_case(compared: &Compared) -> junit::Case {
    let outcome = match &compared.result {
        Err(refusal) => junit::Outcome::Skipped {
            reason: refusal.to_string(),
        },
        Ok(comparison) if compared.fails() => junit::Outcome::Failed {
            message: comparison::headline(comparison),
            output: String::new(),
        },
        Ok(_) => junit::Outcome::Passed,
    };
    junit::Case {
        step: "compare".to_owned(),
        node: format!(
            "{} against {}",
            compared.variant.words(),
            compared.baseline.words()
        ),
        took: Duration::ZERO,
        outcome,
        uncollected: Vec::new(),
    }
}

/// A stored experiment whose growth was judged again, for programs.
pub(crate) fn stored_json(experiment: &Experiment, reports: &[GrowthReport]) -> serde_json::Value {
    let growth: Vec<_> = reports.iter().map(growth::json).collect();
    let variants = growth::variants::json(reports);
    json!({ "version": 1, "experiment": experiment.name, "growth": growth, "variants": variants })
}
