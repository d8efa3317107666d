//! What a run gave, for people, as JSON and as JUnit.

use crate::cmd::{Context, Format};
use crate::report::{self, junit};
use crate::workload::{Outcome, Results, StepReport};

/// Whether nothing of a step runs any more.
pub(super) fn is_stopped(step: &StepReport) -> bool {
    let stopped = |error: &str| matches!(error, "stopped" | "not running");
    step.nodes.iter().all(|node| match &node.outcome {
        Outcome::Error { error } => stopped(error),
        _ => true,
    })
}

/// What the processes of a step did when its time was over. Without their numbers, so that nodes where it was the
/// same are gathered.
fn doing_words(doing: Option<&str>) -> String {
    let Some(doing) = doing else {
        return "[the node gave no answer within the time that it has to end a step]\n".into();
    };
    let mut text = String::from("[its processes when the time was over:\n");
    for line in doing.lines().take(30) {
        let what = line.splitn(3, ", ").nth(2).unwrap_or(line);
        let head: String = what.chars().take(400).collect();
        text.push_str(&format!("  {}\n", report::sanitize(&head)));
    }
    text.push_str("]\n");
    text
}

/// What a node said, for a report: the head of its output.
fn said(results: &Results, step: &str, node: &str) -> String {
    const HEAD: u64 = 16 << 10;
    let read = |ending: &str| {
        use std::io::Read;
        let mut bytes = Vec::new();
        let path = results.path().join(step).join(format!("{node}.{ending}"));
        if let Ok(file) = std::fs::File::open(path) {
            let _ = file.take(HEAD).read_to_end(&mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.lines()
            .map(|line| format!("{}\n", report::sanitize(line)))
            .collect::<String>()
    };
    format!("{}{}", read("out"), read("err"))
}

pub(super) fn show(reports: &[StepReport], results: &Results, context: &Context) {
    if context.format == Format::Json {
        let value = serde_json::json!({ "results": results.path(), "steps": reports });
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
            "step {}: {passed} of {} nodes passed\n",
            step.step,
            step.nodes.len()
        ));
        let outputs = step.nodes.iter().map(|node| {
            let mut text = said(results, &step.step, node.node.as_str());
            if node.lost > 0 {
                text.push_str(&format!("[{} bytes of its output are lost]\n", node.lost));
            }
            if node.outcome != Outcome::Passed {
                text.push_str(&format!("[{}]\n", report::sanitize(&node.outcome.describe())));
            }
            if let Outcome::TimedOut { doing } = &node.outcome {
                text.push_str(&doing_words(doing.as_deref()));
            }
            (node.node.to_string(), text)
        });
        report::data(&report::gather::render(&report::gather::gather(outputs)));
    }
    report::talk(&format!("results: {}", results.path().display()));
}

pub(super) fn cases(reports: &[StepReport], results: &Results) -> Vec<junit::Case> {
    reports
        .iter()
        .flat_map(|step| {
            step.nodes.iter().map(move |node| junit::Case {
                step: step.step.clone(),
                node: node.node.to_string(),
                took: node.took,
                outcome: match &node.outcome {
                    Outcome::Passed => junit::Outcome::Passed,
                    other => junit::Outcome::Failed {
                        message: other.describe(),
                        output: match other {
                            Outcome::TimedOut { doing } => {
                                said(results, &step.step, node.node.as_str()) + &doing_words(doing.as_deref())
                            }
                            _ => said(results, &step.step, node.node.as_str()),
                        },
                    },
                },
            })
        })
        .collect()
}
