//! What an experiment has shown, as JUnit XML for CI systems.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::compared::comparison_case;
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::cluster::experiment::{GrowthReport, Outcome};
use crate::compare::variant_text;
use crate::measure::Finding;
use crate::report::error;
use crate::report::error::describe;
use crate::report::junit::{self, Case};
use crate::report::runs::{failed_steps, uncollected};
use crate::runs::{ExperimentRun, Store, StoredRun};
use crate::verdict::{explained, titled};
use crate::workload::{StepReport, Verdict};

/// The suite and the case of an experiment that ended early.
const EARLY: &str = "experiment";

/// Writes the runs as test cases, a suite per variant, then why the experiment ended early, the comparisons and the
/// criteria of growth.
pub(super) fn write(outcome: &Outcome, store: &Store, file: &Path) -> anyhow::Result<()> {
    let experiment = &outcome.experiment;
    let mut cases: Vec<Case> = experiment.runs.iter().map(|run| run_case(run, store)).collect();
    let errors = [&outcome.error, &outcome.removal];
    cases.extend(early_end(errors.into_iter().flatten()));
    cases.extend(outcome.compared.iter().map(comparison_case));
    let findings: Vec<_> = outcome.growth.iter().flat_map(findings).collect();
    let text = junit::document(experiment.cluster.as_str(), &cases, &findings)?;
    std::fs::write(file, text).with_context(|| {
        let text = format!("failed to write {}", file.display());
        let hint = "give `--junit` a file in a directory that exists and can be written";
        UserError::new(ExitCode::Unexpected, text).with_hint(hint)
    })
}

/// A run. What cannot be read of it is left out.
fn run_case(run: &ExperimentRun, store: &Store) -> Case {
    let stored = store.run(&run.run).ok();
    let reports = stored.as_ref().and_then(|stored| stored.reports().ok());
    let findings = stored.as_ref().and_then(|stored| stored.findings().ok());
    let reports = reports.unwrap_or_default();
    Case {
        step: suite(&run.variant),
        node: run.run.clone(),
        took: stored.as_ref().and_then(took).unwrap_or_default(),
        outcome: run_outcome(run.verdict, &reports, &findings.unwrap_or_default()),
        uncollected: uncollected(&reports),
    }
}

fn suite(variant: &BTreeMap<String, String>) -> String {
    match variant_text(variant) {
        text if text.is_empty() => "runs".to_owned(),
        text => text,
    }
}

fn took(run: &StoredRun) -> Option<Duration> {
    let (began, ended) = (run.record.began?, run.record.ended?);
    Some(ended.since(began))
}

fn run_outcome(verdict: Option<Verdict>, reports: &[StepReport], findings: &[Finding]) -> junit::Outcome {
    let skipped = |reason: &str| junit::Outcome::Skipped {
        reason: reason.to_owned(),
    };
    match verdict {
        Some(Verdict::Passed) => junit::Outcome::Passed,
        Some(Verdict::Interrupted) => skipped("interrupted"),
        None => skipped("it was cut off"),
        Some(verdict) => {
            let failed = findings.iter().filter(|finding| finding.fails());
            let criteria = failed.map(|finding| {
                let title = titled(&finding.criterion);
                format!("{title}: {}", explained(finding))
            });
            let steps = failed_steps(reports).into_iter();
            let steps = steps.map(|line| format!("step {line}"));
            junit::Outcome::Failed {
                message: verdict.as_str().replace('_', " "),
                output: steps.chain(criteria).collect::<Vec<_>>().join("\n"),
            }
        }
    }
}

/// Why the experiment ended early: the hosts or the nodes failed, or something is left on them. `None` for an interrupt.
fn early_end<'a>(errors: impl Iterator<Item = &'a anyhow::Error>) -> Option<Case> {
    let described = errors.map(describe);
    let failed: Vec<_> = described
        .filter(|error| error.code != ExitCode::Interrupted)
        .collect();
    let message = failed.first()?.lines.join(": ");
    Some(Case {
        step: EARLY.to_owned(),
        node: EARLY.to_owned(),
        took: Duration::ZERO,
        outcome: junit::Outcome::Failed {
            message,
            output: failed.iter().map(text).collect::<Vec<_>>().join("\n"),
        },
        uncollected: Vec::new(),
    })
}

fn text(error: &error::Described) -> String {
    let mut lines = error.lines.clone();
    lines.extend(error.hint.as_ref().map(|hint| format!("hint: {hint}")));
    lines.push(format!("exit code {}", error.code.code()));
    lines.join("\n")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Judgement;
    use crate::measure::fixture::finding;

    #[test]
    fn a_run_that_failed_names_its_steps_with_their_nodes_and_its_criteria() {
        let nodes = ["n1", "n2"].map(|node| {
            let line = format!(r#"{{"node":"{node}","outcome":"failed","code":3,"took":1.5,"bytes":0}}"#);
            serde_json::from_str(&line).unwrap()
        });
        let report = StepReport {
            step: "join".into(),
            nodes: nodes.into(),
        };
        let findings = [
            finding("max < 2s", Judgement::Failed),
            finding("count > 2", Judgement::Passed),
        ];
        let outcome = run_outcome(Some(Verdict::WorkloadFailed), &[report], &findings);
        let wanted = junit::Outcome::Failed {
            message: "workload failed".into(),
            output: "step join: n[1-2]: exit code 3\n\
                join_seconds max < 2s: the value is 3.25 s, the bound is 2 s"
                .into(),
        };
        assert_eq!(outcome, wanted);
    }

    #[test]
    fn failed_infrastructure_is_a_case_and_an_interrupt_is_none() {
        let down = UserError::new(ExitCode::LeftBehind, "n1 is left").with_hint("try again");
        let up = UserError::new(ExitCode::ApplyFailed, "bm01 does not answer");
        let (up, down) = (anyhow::Error::new(up), anyhow::Error::new(down));
        let case = early_end([&up, &down].into_iter()).unwrap();
        assert_eq!(
            (case.step.as_str(), case.node.as_str()),
            ("experiment", "experiment")
        );
        let wanted = junit::Outcome::Failed {
            message: "bm01 does not answer".into(),
            output: "bm01 does not answer\nexit code 5\nn1 is left\nhint: try again\nexit code 7".into(),
        };
        assert_eq!(case.outcome, wanted);
        let interrupt = anyhow::Error::new(crate::engine::EngineError::Interrupted);
        assert_eq!(early_end([&interrupt].into_iter()), None);
        assert!(early_end([&interrupt, &down].into_iter()).is_some());
    }
}
