//! Results of a run, for people and as JSON.

use std::collections::BTreeSet;
use std::path::Path;

use crate::base::name::NodeName;
use crate::base::shell::quote;
use crate::base::text::{plural, sanitize};
use crate::cluster::run::Performed;
use crate::cmd::Context;
use crate::extract::Trouble;
use crate::report::{self, Format, criteria};
use crate::workload::{Outcome, Results, StepReport, doing_words, output_head};

/// Why a run stays open, and what to do about it. `parent` is the directory of runs that the user chose.
pub(super) fn stays_open(nodes: &BTreeSet<NodeName>, results: &Results, parent: Option<&Path>) -> String {
    let parent = parent.map_or_else(String::new, |parent| {
        format!(" --results {}", quote(&parent.display().to_string()))
    });
    format!(
        "warning: the run in {run} stays open: a step may still run on {nodes}, which did not confirm its end\n\
         hint: once the nodes answer, `vcluster run --attach{parent}` continues the run, and \
         `vcluster run --stop{parent}` ends it; remove the directory to forget the run",
        run = results.path().display(),
        nodes = crate::nodeset::fold(nodes),
    )
}

/// What is missing of a run whose steps passed; `None` if nothing is.
pub(super) fn incomplete(reports: &[StepReport], results: &Results) -> Option<String> {
    let nodes: BTreeSet<&NodeName> = reports.iter().flat_map(StepReport::uncollected).collect();
    (!nodes.is_empty()).then(|| {
        format!(
            "incomplete: all steps passed, but files of {} could not be collected\n\
             hint: `uncollected` in {}/results.json has the reasons; the files are still on the nodes",
            crate::nodeset::fold(nodes),
            results.path().display()
        )
    })
}

pub(super) fn show(performed: &Performed, results: &Results, context: &Context) {
    let Performed {
        reports,
        unconfirmed,
        verdict,
        findings,
        troubles,
        ..
    } = performed;
    if context.format == Format::Json {
        // A run that stays open is not judged yet.
        let verdict = unconfirmed.is_empty().then_some(verdict);
        let value = serde_json::json!({
            "results": results.path(), "steps": reports, "verdict": verdict, "criteria": findings,
            "troubles": troubles,
        });
        report::json::line("run", &value);
        return;
    }
    for step in reports {
        let passed = step
            .nodes
            .iter()
            .filter(|node| node.outcome == Outcome::Passed)
            .count();
        report::data(&format!(
            "step {}: {passed} of {} passed\n",
            step.step,
            plural(step.nodes.len(), "node")
        ));
        let outputs = step.nodes.iter().map(|node| {
            let mut text = output_head(results, &step.step, node.node.as_str());
            if node.lost > 0 {
                text.push_str(&format!("[{} bytes of its output are lost]\n", node.lost));
            }
            if node.cut > 0 {
                text.push_str(&format!(
                    "[its files have the first 256 MiB of each stream, {} bytes are left out]\n",
                    node.cut
                ));
            }
            if node.outcome != Outcome::Passed {
                text.push_str(&format!("[{}]\n", sanitize(&node.outcome.describe())));
            }
            if let Outcome::TimedOut { doing } = &node.outcome {
                text.push_str(&doing_words(doing.as_deref()));
            }
            for missing in &node.uncollected {
                text.push_str(&format!("[not collected: {}]\n", sanitize(missing)));
            }
            for note in &node.notes {
                text.push_str(&format!("[note: {}]\n", sanitize(note)));
            }
            if node.unconfirmed {
                text.push_str("[it may still run: the node did not confirm its end]\n");
            }
            (node.node.to_string(), text)
        });
        report::data(&report::gather::render(&report::gather::gather(outputs)));
    }
    report::show(&criteria::table(findings));
    let troubles = troubles.iter().filter(|trouble| !is_named(trouble, reports));
    for line in criteria::troubles(troubles) {
        report::message(&line);
    }
    report::message(&format!("results: {}", results.path().display()));
}

/// Whether the results of the step name the file of a metric already, because it could not be collected.
fn is_named(trouble: &Trouble, reports: &[StepReport]) -> bool {
    let steps = reports.iter().filter(|report| report.step == trouble.step);
    let mut nodes = steps.flat_map(|report| &report.nodes);
    let of_node = nodes.find(|result| result.node == trouble.node);
    of_node.is_some_and(|result| {
        let mut lines = result.uncollected.iter();
        lines.any(|line| line.contains(&trouble.source))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::NodeResult;

    #[test]
    fn a_file_of_a_metric_that_is_not_there_is_named_once() {
        let line = r#"{"node":"n1","outcome":"passed","took":1.5,"bytes":0}"#;
        let mut node: NodeResult = serde_json::from_str(line).unwrap();
        node.uncollected = vec!["nothing matches /tmp/x".into()];
        let reports = [StepReport {
            step: "load".into(),
            nodes: vec![node],
        }];
        let trouble = |source: &str, step: &str| Trouble {
            step: step.into(),
            node: "n1".parse().unwrap(),
            metric: "app".parse().unwrap(),
            source: source.into(),
            what: "no file matches".into(),
            count: 1,
            incomplete: false,
        };
        assert!(is_named(&trouble("/tmp/x", "load"), &reports));
        assert!(!is_named(&trouble("/tmp/y", "load"), &reports));
        assert!(!is_named(&trouble("/tmp/x", "other"), &reports));
    }
}
