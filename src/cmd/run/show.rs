//! Results of a run, for people, as JSON and as JUnit.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::base::name::NodeName;
use crate::base::shell::quote;
use crate::base::text::{plural, sanitize, shortened};
use crate::cmd::Context;
use crate::report::{self, Format, junit};
use crate::workload::{Outcome, Record, Results, StepReport};

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

/// The state of a step's processes at its timeout. Without their PIDs, so that nodes with the same state are
/// grouped.
fn doing_words(doing: Option<&str>) -> String {
    let Some(doing) = doing else {
        return "[the node did not respond in time]\n".into();
    };
    let mut text = String::from("[its processes at the timeout:\n");
    for line in doing.lines().take(DOING) {
        let what = line.splitn(3, ", ").nth(2).unwrap_or(line);
        text.push_str(&format!("  {}\n", sanitize(&shortened(what, WIDTH))));
    }
    let more = doing.lines().count().saturating_sub(DOING);
    if more > 0 {
        text.push_str(&format!("  ... and {more} more\n"));
    }
    text.push_str("]\n");
    text
}

/// Lines about the processes of a step that are shown, and how many characters of each.
const DOING: usize = 30;
const WIDTH: usize = 400;

/// Bytes of each stream of a node that are shown.
const HEAD: u64 = 16 << 10;

/// The head of a node's output, for a report. Says how much more there is in the file.
fn output_head(results: &Results, step: &str, node: &str) -> String {
    let read = |ending: &str| {
        use std::io::Read;
        let mut bytes = Vec::new();
        let path = results.path().join(step).join(format!("{node}.{ending}"));
        let mut length = 0;
        if let Ok(file) = std::fs::File::open(path) {
            length = file.metadata().map_or(0, |data| data.len());
            let _ = file.take(HEAD).read_to_end(&mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut head: String = text.lines().map(|line| format!("{}\n", sanitize(line))).collect();
        let more = length.saturating_sub(bytes.len() as u64);
        if more > 0 {
            let stream = if ending == "out" { "output" } else { "error" };
            // Without the name of the file, so that equal outputs are gathered.
            head.push_str(&format!(
                "[{more} more bytes in the file of its standard {stream}]\n"
            ));
        }
        head
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
    report::message(&format!("results: {}", results.path().display()));
}

/// The results for JUnit. Steps that were not run because an earlier one failed are skipped.
pub(super) fn cases(reports: &[StepReport], record: &Record, results: &Results) -> Vec<junit::Case> {
    let mut cases = Vec::new();
    for step in reports {
        cases.extend(step.nodes.iter().map(|node| junit::Case {
            step: step.step.clone(),
            node: node.node.to_string(),
            took: node.took,
            outcome: outcome(&node.outcome, results, &step.step, node.node.as_str()),
            uncollected: node.uncollected.clone(),
        }));
    }
    let failed = reports.last().map_or("", |step| step.step.as_str());
    for step in record.steps.iter().skip(reports.len()) {
        cases.extend(step.on.iter().map(|node| junit::Case {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_is_shown_with_how_much_more_there_is() {
        let temp = tempfile::tempdir().unwrap();
        let results = Results::create(temp.path(), std::time::SystemTime::UNIX_EPOCH).unwrap();
        let dir = results.step("load").unwrap();
        std::fs::write(dir.join("n1.out"), "x".repeat(20_000)).unwrap();
        std::fs::write(dir.join("n1.err"), "short").unwrap();
        let head = output_head(&results, "load", "n1");
        let expected = "\n[3616 more bytes in the file of its standard output]\nshort\n";
        assert!(head.ends_with(expected), "{}", &head[head.len() - 100..]);
    }

    #[test]
    fn processes_that_are_not_shown_are_counted() {
        let doing: String = (0..33).map(|pid| format!("{pid}, 1, sleeps\n")).collect();
        let words = doing_words(Some(&doing));
        assert!(words.ends_with("  sleeps\n  ... and 3 more\n]\n"), "{words}");
    }
}
