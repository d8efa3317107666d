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

/// The steps on their nodes. Steps that were not run are skipped.
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
    let reason = match reports.last() {
        Some(last) if !last.passed() => format!("step {} failed", last.step),
        // A criterion or an interrupt ended it.
        _ => "the run ended before it".to_owned(),
    };
    for step in record.steps.iter().skip(reports.len()) {
        cases.extend(step.on.iter().map(|node| Case {
            step: step.name.clone(),
            node: node.to_string(),
            took: Duration::ZERO,
            outcome: junit::Outcome::Skipped {
                reason: reason.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::WorkloadStep;

    fn step(name: &str) -> WorkloadStep {
        WorkloadStep {
            name: name.into(),
            on: vec!["n1".parse().unwrap()],
            run: "true".into(),
            timeout: Duration::from_secs(1),
            barrier: false,
            fanout: None,
            collect: Vec::new(),
            metrics: Vec::new(),
            watch: Vec::new(),
            at: None,
        }
    }

    #[test]
    fn a_step_that_was_not_run_says_whether_an_earlier_one_failed() {
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
        let record = Record::new(uuid::Uuid::nil(), vec![step("join"), step("load")]);
        let skipped = |outcome: &str| {
            let line = format!(r#"{{"node":"n1",{outcome},"took":1.5,"bytes":0}}"#);
            let report = StepReport {
                step: "join".into(),
                nodes: vec![serde_json::from_str(&line).unwrap()],
            };
            cases(&[report], &record, &results).pop().unwrap().outcome
        };
        let because = |reason: &str| junit::Outcome::Skipped {
            reason: reason.into(),
        };
        assert_eq!(
            skipped(r#""outcome":"passed""#),
            because("the run ended before it")
        );
        let failed = skipped(r#""outcome":"failed","code":3"#);
        assert_eq!(failed, because("step join failed"));
        let first = cases(&[], &record, &results).remove(0).outcome;
        assert_eq!(first, because("the run ended before it"));
    }
}
