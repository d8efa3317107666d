//! The results of a run as a JUnit document, with the heads of what failed steps wrote.

use std::time::Duration;

use quick_junit::SerializeError;

use crate::base::name::ClusterName;
use crate::measure::Finding;
use crate::verdict::junit::{self, Case};
use crate::workload::{Outcome, Record, Results, StepReport, doing_words, output_head};

/// The document of a run.
pub fn document(
    cluster: &ClusterName,
    record: &Record,
    results: &Results,
    reports: &[StepReport],
    findings: &[Finding],
) -> Result<String, SerializeError> {
    junit::document(cluster.as_str(), &cases(reports, record, results), findings)
}

/// The steps on their nodes. Steps that were not run because an earlier one failed are skipped.
fn cases(reports: &[StepReport], record: &Record, results: &Results) -> Vec<Case> {
    let mut cases = Vec::new();
    for step in reports {
        cases.extend(step.nodes.iter().map(|node| Case {
            step: step.step.clone(),
            node: node.node.to_string(),
            took: node.took,
            outcome: outcome(&node.outcome, results, &step.step, node.node.as_str()),
            uncollected: node.uncollected.clone(),
        }));
    }
    let failed = reports.last().map_or("", |step| step.step.as_str());
    for step in record.steps.iter().skip(reports.len()) {
        cases.extend(step.on.iter().map(|node| Case {
            step: step.name.clone(),
            node: node.to_string(),
            took: Duration::ZERO,
            outcome: junit::Outcome::Skipped {
                reason: format!("step {failed} failed"),
            },
            uncollected: Vec::new(),
        }));
    }
    cases
}

fn outcome(outcome: &Outcome, results: &Results, step: &str, node: &str) -> junit::Outcome {
    let mut output = match outcome {
        Outcome::Passed => return junit::Outcome::Passed,
        _ => output_head(results, step, node),
    };
    if let Outcome::TimedOut { doing } = outcome {
        output.push_str(&doing_words(doing.as_deref()));
    }
    junit::Outcome::Failed {
        message: outcome.describe(),
        output,
    }
}
