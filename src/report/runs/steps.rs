//! The steps of a run that failed, with their nodes and reasons.

use super::cell;
use crate::base::group::grouped;
use crate::nodeset::fold;
use crate::workload::StepReport;

/// A line for each step that failed and each reason: `join: n[001-002]: exit code 3`.
pub fn failed_steps(reports: &[StepReport]) -> Vec<String> {
    let failures = reports.iter().flat_map(|report| {
        let of_step = report.failures().into_iter();
        of_step.map(move |(why, nodes)| (report.step.as_str(), why, nodes))
    });
    failures
        .map(|(step, why, nodes)| format!("{}: {}: {}", cell(step), fold(nodes), cell(&why)))
        .collect()
}

/// A line for each file that could not be collected: `logs: n[001-002]: nothing matches /var/log/app.log`.
pub fn uncollected(reports: &[StepReport]) -> Vec<String> {
    let missing = reports.iter().flat_map(|report| {
        let nodes = report.nodes.iter();
        nodes.flat_map(move |result| {
            let files = result.uncollected.iter();
            files.map(move |file| ((report.step.as_str(), file.as_str()), &result.node))
        })
    });
    let files = grouped(missing).into_iter();
    files
        .map(|((step, file), nodes)| format!("{}: {}: {}", cell(step), fold(nodes), cell(file)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step that failed on three of four nodes.
    fn failed() -> Vec<StepReport> {
        let node = |node: &str, outcome: &str| {
            let line = format!(
                r#"{{"node":"{node}",{outcome},"took":1.5,"bytes":0,"uncollected":["nothing matches /x"]}}"#
            );
            serde_json::from_str(&line).unwrap()
        };
        let code = r#""outcome":"failed","code":3"#;
        let nodes = vec![
            node("n1", code),
            node("n2", r#""outcome":"passed""#),
            node("n3", code),
            node("n4", r#""outcome":"error","error":"no login\u001b[2J""#),
        ];
        vec![StepReport {
            step: "join".into(),
            nodes,
        }]
    }

    #[test]
    fn equal_reasons_are_one_line_with_their_nodes() {
        assert_eq!(
            failed_steps(&failed()),
            ["join: n[1,3]: exit code 3", "join: n4: no login^[[2J"]
        );
        assert_eq!(uncollected(&failed()), ["join: n[1-4]: nothing matches /x"]);
        assert_eq!(failed_steps(&[]), Vec::<String>::new());
    }
}
