//! Criteria and findings in words.

use crate::base::text::plural;
use crate::measure::figure::with_bound;
use crate::measure::{Criterion, Finding, Judgement};
use crate::nodeset;

/// A criterion as people call it: `join_seconds p99 < 2s`, with its step if it is for one.
pub fn titled(criterion: &Criterion) -> String {
    let step = criterion.step.as_ref();
    let step = step.map_or_else(String::new, |step| format!(" (step {step})"));
    format!("{} {}{step}", criterion.metric, criterion.text)
}

/// Why a criterion does not hold, or is not judged, in one line.
pub fn explained(finding: &Finding) -> String {
    let mut parts = Vec::new();
    if finding.value.is_some() {
        let (value, bound) = with_bound(finding.value, finding.bound, finding.unit.as_ref());
        let bound = finding.bound.map(|_| format!(", the bound is {bound}"));
        parts.push(format!("the value is {value}{}", bound.unwrap_or_default()));
    }
    if finding.judgement == Judgement::NoSamples {
        parts.push("there are no samples".to_owned());
    }
    if !finding.nodes.is_empty() {
        let nodes = nodeset::fold(&finding.nodes);
        parts.push(format!("{}: {nodes}", plural(finding.nodes.len(), "node")));
    }
    parts.extend(finding.note.clone());
    parts.join("; ")
}
