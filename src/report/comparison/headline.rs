//! The verdict on a comparison in one sentence.

use crate::base::text::plural;
use crate::compare::{ChangeVerdict, Comparison, MetricComparison};
use crate::measure::figure::percent;

/// Metrics named in the sentence.
const NAMED: usize = 5;

/// The verdict in words. It begins with the verdict and a colon.
pub fn headline(comparison: &Comparison) -> String {
    let Comparison { a, b, judged, .. } = comparison;
    let of_all = |count: usize| format!("{count} of {}", plural(judged.len(), "judged metric"));
    let (runs_a, runs_b) = comparison.runs;
    let accepted = judged.iter().filter(|metric| metric.accepted.is_some()).count();
    let mut text = match comparison.verdict {
        _ if judged.is_empty() => {
            "inconclusive: nothing is judged, because no metric has a criterion or a `min_change`".to_owned()
        }
        _ if comparison.missing_runs.is_some() => format!(
            "inconclusive: nothing is judged: {} of {a} and {} of {b} are too few for {}; {} a side missing",
            plural(runs_a, "run"),
            plural(runs_b, "run"),
            plural(judged.len(), "metric"),
            plural(comparison.missing_runs.unwrap_or_default(), "run"),
        ),
        ChangeVerdict::Worse => {
            let failed: Vec<_> = judged.iter().filter(|metric| metric.fails()).collect();
            let (count, names) = (of_all(failed.len()), changes(&failed));
            format!("worse: {b} is worse than {a} in {count}: {names}")
        }
        ChangeVerdict::Better => {
            let better = with(judged, ChangeVerdict::Better);
            let (count, names) = (of_all(better.len()), changes(&better));
            format!("better: {b} is better than {a} in {count}: {names}")
        }
        ChangeVerdict::Equal if accepted == judged.len() => {
            format!("equal: all that is worse in {b} than in {a} is accepted")
        }
        ChangeVerdict::Equal => {
            let count = plural(judged.len() - accepted, "judged metric");
            format!("equal: {b} does not differ from {a} by as much as counts in {count}")
        }
        ChangeVerdict::Inconclusive => {
            let open = with(judged, ChangeVerdict::Inconclusive);
            let names: Vec<String> = open
                .iter()
                .take(NAMED)
                .map(|metric| metric.metric.to_string())
                .collect();
            let more = more(open.len());
            let count = of_all(open.len());
            format!(
                "inconclusive: the runs of {a} and {b} do not decide {count}: {}{more}",
                names.join(", ")
            )
        }
    };
    if accepted > 0 {
        text.push_str(&format!("; {} accepted", plural(accepted, "regression")));
    }
    text
}

fn with(judged: &[MetricComparison], verdict: ChangeVerdict) -> Vec<&MetricComparison> {
    judged.iter().filter(|metric| metric.verdict == verdict).collect()
}

/// `join_seconds +12.3 %, redis_memory +8 %`
fn changes(metrics: &[&MetricComparison]) -> String {
    let shown = metrics.iter().take(NAMED);
    let shown: Vec<String> = shown
        .map(|metric| format!("{} {}", metric.metric, percent(metric.change)))
        .collect();
    shown.join(", ") + &more(metrics.len())
}

fn more(count: usize) -> String {
    match count.saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    }
}
