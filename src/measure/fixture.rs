//! Criteria and findings for tests.

use super::{Criterion, Expression, Finding, Judgement, Unit};

/// A criterion that fails the run, also without samples.
pub(crate) fn criterion(metric: &str, text: &str) -> Criterion {
    let is = Expression::parse(text).unwrap();
    Criterion::new(metric.parse().unwrap(), is, text.into())
}

/// A criterion on `join_seconds` that was judged: 3.25 s, where 2 s are allowed.
pub(crate) fn finding(text: &str, judgement: Judgement) -> Finding {
    Finding {
        criterion: criterion("join_seconds", text),
        judgement,
        value: Some(3.25),
        bound: Some(2.0),
        unit: Some(Unit::seconds()),
        samples: 3,
        nodes: Vec::new(),
        note: None,
    }
}
