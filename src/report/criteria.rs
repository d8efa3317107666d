//! The criteria of a run, and what was wrong with its metrics, for people.

use anstyle::Style;

use super::style::{ERROR, WARNING};
use super::table;
use crate::base::group::grouped;
use crate::base::text::{sanitize, shortened};
use crate::extract::Trouble;
use crate::measure::figure::with_bound;
use crate::measure::{Finding, Judgement, Severity};
use crate::nodeset;
use crate::verdict::titled;

/// Characters of a node set in the table.
const WIDTH: usize = 60;

/// Kinds of trouble that are shown.
const SHOWN: usize = 20;

/// A table with a line for each criterion, then notes. Empty without criteria.
pub fn table(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut table = table::new(&["criterion", "value", "bound", "judgement", "nodes"]);
    for finding in findings {
        let (value, bound) = with_bound(finding.value, finding.bound, finding.unit.as_ref());
        let nodes = nodeset::fold(&finding.nodes);
        table.add_row([
            titled(&finding.criterion),
            value,
            bound,
            judgement(finding).to_owned(),
            shortened(&nodes, WIDTH).into_owned(),
        ]);
    }
    let text = table::render(&table);
    let mut lines = text.lines();
    // The first line is the heading.
    let mut shown: String = lines.next().map(|line| format!("{line}\n")).unwrap_or_default();
    for (line, finding) in lines.zip(findings) {
        let style = style(finding);
        shown.push_str(&format!("{style}{line}{style:#}\n"));
    }
    for finding in findings {
        if let Some(note) = &finding.note {
            let line = format!("{}: {note}", titled(&finding.criterion));
            shown.push_str(&format!("note: {}\n", sanitize(&line)));
        }
    }
    shown
}

fn judgement(finding: &Finding) -> &'static str {
    let warns = finding.criterion.severity == Severity::Warn;
    match finding.judgement {
        Judgement::Passed => "passed",
        Judgement::Failed if warns => "failed (warning)",
        Judgement::Failed => "FAILED",
        Judgement::NoSamples if warns => "no samples (warning)",
        Judgement::NoSamples => "NO SAMPLES",
        Judgement::NotApplicable => "not applicable",
    }
}

fn style(finding: &Finding) -> Style {
    match finding.judgement {
        Judgement::Passed | Judgement::NotApplicable => Style::new(),
        Judgement::Failed | Judgement::NoSamples if finding.fails() => ERROR,
        Judgement::Failed | Judgement::NoSamples => WARNING,
    }
}

/// A line for each kind of trouble with metrics: equal ones are gathered.
pub fn troubles<'a>(troubles: impl IntoIterator<Item = &'a Trouble>) -> Vec<String> {
    let kinds = grouped(troubles.into_iter().map(|trouble| {
        let place = (
            trouble.step.as_str(),
            trouble.metric.as_str(),
            trouble.source.as_str(),
        );
        ((place, trouble.what.as_str(), trouble.incomplete), &trouble.node)
    }));
    let mut lines: Vec<String> = kinds
        .iter()
        .take(SHOWN)
        .map(|(((step, metric, source), what, is_incomplete), nodes)| {
            let nodes = nodeset::fold(nodes.iter().copied());
            let missing = if *is_incomplete {
                "; samples are missing"
            } else {
                ""
            };
            let line = format!("metric `{metric}` in {source} of step `{step}` on {nodes}: {what}{missing}");
            format!("{WARNING}warning{WARNING:#}: {}", sanitize(&line))
        })
        .collect();
    let more = kinds.len().saturating_sub(SHOWN);
    if more > 0 {
        lines.push(format!(
            "{WARNING}warning{WARNING:#}: {more} further kinds of trouble with metrics are in criteria.json"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::style::plain;
    use super::*;
    use crate::measure::fixture::finding;

    #[test]
    fn each_criterion_has_a_line_and_failures_are_coloured_only() {
        let mut failed = finding("p99 < 2s", Judgement::Failed);
        failed.nodes = ["n2", "n1"].map(|node| node.parse().unwrap()).into();
        failed.note = Some("no samples from n3\u{1b}[2J".into());
        let mut warned = finding("max < 2s", Judgement::Failed);
        warned.criterion.severity = Severity::Warn;
        let mut growth = finding("growth <= n", Judgement::NotApplicable);
        (growth.value, growth.bound) = (None, None);
        let text = table(&[failed, warned, growth]);
        insta::assert_snapshot!(plain(&text), @"
        CRITERION                 VALUE   BOUND  JUDGEMENT         NODES
        join_seconds p99 < 2s     3.25 s  2 s    FAILED            n[1-2]
        join_seconds max < 2s     3.25 s  2 s    failed (warning)
        join_seconds growth <= n  -       -      not applicable
        note: join_seconds p99 < 2s: no samples from n3^[[2J
        ");
        assert!(text.contains(&format!("{ERROR}join_seconds p99")), "{text:?}");
        assert!(text.contains(&format!("{WARNING}join_seconds max")), "{text:?}");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn equal_troubles_are_gathered_and_many_are_counted() {
        let trouble = |node: &str, what: &str| Trouble {
            step: "join".into(),
            node: node.parse().unwrap(),
            metric: "app".parse().unwrap(),
            source: "/tmp/app.prom".into(),
            what: what.into(),
            count: 1,
            incomplete: true,
        };
        let all = [trouble("n1", "cut"), trouble("n2", "cut")];
        let lines: Vec<String> = troubles(&all).iter().map(|line| plain(line)).collect();
        let wanted =
            "warning: metric `app` in /tmp/app.prom of step `join` on n[1-2]: cut; samples are missing";
        assert_eq!(lines, [wanted]);
        let many: Vec<Trouble> = (0..25).map(|number| trouble("n1", &number.to_string())).collect();
        let lines = troubles(&many);
        assert_eq!(lines.len(), 21);
        assert!(lines[20].contains("5 further kinds"), "{}", lines[20]);
    }
}
