//! An experiment for people and for programs: a line per run while it is carried out, and a table at its end. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::statistics::human;
use super::style::{ERROR, HEADING, WARNING};
use super::table;
use crate::base::text::{plural, sanitize, sanitize_painted};
use crate::base::units::Moment;
use crate::cluster::experiment::{Compared, Progress, Tally};
use crate::measure::figure::value;
use crate::measure::{Finding, Judgement};
use crate::verdict::{explained, titled};
use crate::workload::Verdict;

/// Criteria that have a column. Those that fail are shown with their run anyway.
const COLUMNS: usize = 6;

/// A run that has ended: its verdict, what failed, and when the experiment will end.
pub fn run_line(progress: &Progress<'_>, now: Moment) -> String {
    let planned = progress.planned;
    let mut about = planned.variant.words();
    if !about.is_empty() {
        about.push_str(", ");
    }
    let _ = write!(about, "repetition {}", planned.repetition);
    if planned.confirmation {
        about.push_str(" to confirm");
    }
    let rest = match (progress.left(), progress.remaining) {
        (0, _) => String::new(),
        (left, None) => format!("; {left} left"),
        (left, Some(remaining)) => format!(
            "; {left} left, about {} until {}",
            human(Duration::from_secs(remaining.as_secs())),
            now.after(remaining)
        ),
    };
    let mut text = format!(
        "run {} of {} ({}): {} in {}{rest}",
        progress.number,
        progress.total,
        sanitize(&about),
        word(progress.verdict),
        human(progress.took)
    );
    for finding in progress.findings {
        if let Some(line) = failed(finding) {
            let _ = write!(text, "\n  {line}");
        }
    }
    text
}

/// A criterion that does not hold, on a line.
fn failed(finding: &Finding) -> Option<String> {
    if !matches!(finding.judgement, Judgement::Failed | Judgement::NoSamples) {
        return None;
    }
    let what = format!("{}: {}", titled(&finding.criterion), explained(finding));
    let what = sanitize(&what);
    Some(if finding.fails() {
        format!("{ERROR}failed{ERROR:#}: {what}")
    } else {
        format!("{WARNING}warning{WARNING:#}: {what}")
    })
}

fn word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Passed => "passed".to_owned(),
        Verdict::CriteriaFailed => format!("{ERROR}a criterion failed{ERROR:#}"),
        Verdict::WorkloadFailed => format!("{ERROR}the workload failed{ERROR:#}"),
        Verdict::Interrupted => format!("{WARNING}interrupted{WARNING:#}"),
        Verdict::Aborted => format!("{ERROR}aborted by a criterion{ERROR:#}"),
    }
}

/// A run that has ended, for programs: an object of type `experiment_run`.
pub fn run_json(progress: &Progress<'_>) -> Value {
    json!({
        "number": progress.number,
        "total": progress.total,
        "run": progress.run,
        "variant": progress.planned.variant.labels(),
        "repetition": progress.planned.repetition,
        "confirmation": progress.planned.confirmation,
        "verdict": progress.verdict,
        "took": progress.took.as_secs_f64(),
        "remaining": progress.remaining.map(|remaining| remaining.as_secs_f64()),
        "findings": progress.findings,
    })
}

/// The runs by variant, with the median of each criterion's value.
pub fn table(tally: &Tally) -> String {
    let criteria = &tally.criteria[..tally.criteria.len().min(COLUMNS)];
    let titles: Vec<String> = criteria.iter().map(|(criterion, _)| titled(criterion)).collect();
    let has_variants = tally.variants.iter().any(|row| !row.variant.is_empty());
    let mut headings = Vec::new();
    if has_variants {
        headings.push("variant");
    }
    headings.extend(["runs", "passed"]);
    headings.extend(titles.iter().map(String::as_str));
    let mut table = table::new(&headings);
    for row in &tally.variants {
        let mut cells = Vec::new();
        if has_variants {
            let again = if row.confirmation { " (to confirm)" } else { "" };
            cells.push(format!("{}{again}", row.variant));
        }
        cells.extend([row.runs.to_string(), row.passed.to_string()]);
        cells.extend(criteria.iter().zip(&row.medians).map(|((_, unit), median)| {
            median.map_or_else(|| "-".to_owned(), |median| value(median, unit.as_ref()))
        }));
        table.add_row(cells);
    }
    let mut text = table::render(&table);
    let more = tally.criteria.len() - criteria.len();
    if more > 0 {
        let _ = writeln!(text, "further criteria: {more}, in `criteria.json` of each run");
    }
    text
}

/// What stands beside a comparison: that there is none and why, or whether it was confirmed.
pub fn remark(compared: &Compared) -> Option<String> {
    let mut lines = Vec::new();
    if let Err(refusal) = &compared.result {
        lines.push(format!("{WARNING}not compared{WARNING:#}: {refusal}"));
    } else if compared.is_unconfirmed {
        let text = match &compared.not_confirmed {
            Some(refusal) => format!("the runs that were made to confirm it cannot be compared: {refusal}"),
            None => "no further runs have confirmed what is worse: it fails nothing".to_owned(),
        };
        lines.push(format!("{WARNING}not confirmed{WARNING:#}: {text}"));
    } else if compared.fails() {
        lines.push(format!(
            "{ERROR}confirmed{ERROR:#}: it is worse in further runs as well"
        ));
    }
    let warnings = compared.result.iter().flat_map(|comparison| &comparison.warnings);
    lines.extend(warnings.map(|warning| format!("{WARNING}warning{WARNING:#}: {warning}")));
    if compared.left_out > 0 {
        let runs = plural(compared.left_out, "run");
        lines.push(format!("{runs} left out: interrupted, or the workload failed"));
    }
    (!lines.is_empty()).then(|| sanitize_painted(&lines.join("\n")).into_owned())
}

/// A heading.
pub fn heading(text: &str) -> String {
    format!("{HEADING}{}{HEADING:#}\n", sanitize(text))
}

#[cfg(test)]
mod tests {
    use super::super::style::plain;
    use super::*;
    use crate::cluster::experiment::{Find, Planned, Variant, VariantTally};
    use crate::measure::Unit;

    fn planned(confirmation: bool) -> Planned {
        let mut variant = Variant::default();
        variant.vars.insert("rev".into(), "new".into());
        Planned {
            variant,
            repetition: 2,
            confirmation,
        }
    }

    fn progress<'a>(planned: &'a Planned, findings: &'a [Finding]) -> Progress<'a> {
        Progress {
            number: 3,
            total: 8,
            planned,
            run: "20260131T120000Z",
            verdict: Verdict::Passed,
            took: Duration::from_millis(12_340),
            remaining: Some(Duration::from_secs(272)),
            findings,
        }
    }

    fn noon() -> Moment {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_run_that_has_ended_is_a_line_with_what_is_left() {
        let planned = planned(false);
        assert_eq!(
            plain(&run_line(&progress(&planned, &[]), noon())),
            "run 3 of 8 (rev=new, repetition 2): passed in 12.3 s; 5 left, about 4m 32s until 2026-01-31T12:04:32Z"
        );
        let last = Progress {
            number: 8,
            remaining: None,
            ..progress(&planned, &[])
        };
        assert_eq!(
            plain(&run_line(&last, noon())),
            "run 8 of 8 (rev=new, repetition 2): passed in 12.3 s"
        );
    }

    #[test]
    fn a_criterion_that_failed_is_a_line_below_its_run() {
        let planned = planned(true);
        let finding = Finding {
            criterion: Find::parse("join: p99 < 2s").unwrap().criterion,
            judgement: Judgement::NoSamples,
            value: None,
            bound: Some(2.0),
            unit: Some(Unit::seconds()),
            samples: 0,
            nodes: Vec::new(),
            note: None,
        };
        let findings = [finding];
        let failed = Progress {
            verdict: Verdict::CriteriaFailed,
            ..progress(&planned, &findings)
        };
        let text = plain(&run_line(&failed, noon()));
        let (first, second) = text.split_once('\n').unwrap();
        assert!(
            first.starts_with("run 3 of 8 (rev=new, repetition 2 to confirm): a criterion failed in 12.3 s"),
            "{first}"
        );
        assert!(second.starts_with("  failed: join p99 < 2s: "), "{second}");
        let json = run_json(&failed);
        assert_eq!(json["verdict"], "criteria_failed");
        assert_eq!(json["variant"]["rev"], "new");
        assert_eq!(json["findings"][0]["judgement"], "no_samples");
    }

    #[test]
    fn the_table_has_a_row_per_variant_and_a_column_per_criterion() {
        let criterion = Find::parse("join: p99 < 2s").unwrap().criterion;
        let row = |variant: &str, confirmation, median| VariantTally {
            variant: variant.into(),
            confirmation,
            runs: 5,
            passed: 4,
            medians: vec![median],
        };
        let tally = Tally {
            criteria: vec![(criterion, Some(Unit::seconds()))],
            variants: vec![row("rev=old", false, Some(1.5)), row("rev=new", true, None)],
        };
        assert_eq!(
            plain(&table(&tally)),
            "VARIANT               RUNS  PASSED  JOIN P99 < 2S\n\
             rev=old               5     4       1.5 s\n\
             rev=new (to confirm)  5     4       -\n"
        );
    }
}
