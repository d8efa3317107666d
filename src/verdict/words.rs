//! Values and findings in words.

use crate::base::text::plural;
use crate::measure::{Criterion, Finding, Judgement, Unit};
use crate::nodeset;

/// A number for people: six digits that count, without zeros at the end.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = (5 - size.log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A value with its unit: `3.2 s`.
pub fn with_unit(value: f64, unit: Option<&Unit>) -> String {
    match unit {
        Some(unit) => format!("{} {unit}", number(value)),
        None => number(value),
    }
}

/// A criterion as people call it: `join_seconds p99 < 2s`, with its step if it is for one.
pub fn titled(criterion: &Criterion) -> String {
    let step = criterion.step.as_ref();
    let step = step.map_or_else(String::new, |step| format!(" (step {step})"));
    format!("{} {}{step}", criterion.metric, criterion.text)
}

/// Why a criterion does not hold, or is not judged, in one line.
pub fn explained(finding: &Finding) -> String {
    let unit = finding.unit.as_ref();
    let mut parts = Vec::new();
    if let Some(value) = finding.value {
        let bound = finding
            .bound
            .map(|bound| format!(", the bound is {}", with_unit(bound, unit)));
        parts.push(format!(
            "the value is {}{}",
            with_unit(value, unit),
            bound.unwrap_or_default()
        ));
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
