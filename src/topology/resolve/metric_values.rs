//! What the values of a metric mean: its unit, its direction, and which changes of it count.

use super::Scope;
use crate::measure::{self, Builtin, MetricName, MetricSpec, Unit, UnitError};
use crate::topology::raw_metrics::RawProperties;
use crate::topology::raw_values::Amount;
use crate::topology::reader::At;
use crate::topology::tree::shorten;

/// A metric with these properties, without a source. `measured`: it is one that vcluster measures itself.
pub(super) fn spec(
    scope: &Scope<'_>,
    name: MetricName,
    raw: &RawProperties,
    measured: Option<&Builtin<'_>>,
) -> Option<MetricSpec> {
    let unit = match (&raw.unit, measured) {
        (None, None) => Some(None),
        (None, Some(builtin)) => Some(builtin.unit.clone()),
        (Some(at), None) => unit(scope, at).map(Some),
        (Some(at), Some(builtin)) => measured_unit(scope, at, builtin).map(Some),
    };
    let better = raw
        .better
        .as_ref()
        .map_or(Some(None), |at| at.get().copied().map(Some));
    let min_change = raw
        .min_change
        .as_ref()
        .map_or(Some(None), |at| min_change(scope, at).map(Some));
    let floor = match (&raw.floor, &unit) {
        (Some(at), Some(unit)) => floor(scope, at, unit.as_ref()).map(Some),
        // It cannot be checked without the unit.
        (Some(_), None) | (None, _) => Some(None),
    };
    Some(MetricSpec {
        name,
        source: None,
        reading: None,
        scale: 1.0,
        unit: unit?,
        better: better?,
        min_change: min_change?,
        floor: floor?,
    })
}

fn unit(scope: &Scope<'_>, at: &At<String>) -> Option<Unit> {
    let text = at.get()?;
    let unit = Unit::new(text);
    if unit.is_none() {
        scope.sink.error_hint(
            &at.span,
            format!("`{}` is not a unit", shorten(text)),
            "write 1 to 20 characters without white space, such as s, ms, MiB, % or requests".to_owned(),
        );
    }
    unit
}

/// The unit of what vcluster measures cannot be chosen.
fn measured_unit(scope: &Scope<'_>, at: &At<String>, builtin: &Builtin<'_>) -> Option<Unit> {
    let text = at.get()?;
    let given = builtin.unit.as_ref().filter(|unit| unit.as_str() == text);
    if given.is_none() {
        let measured = builtin
            .unit
            .as_ref()
            .map_or("without a unit".to_owned(), |unit| format!("in {unit}"));
        scope.sink.error_hint(
            &at.span,
            format!(
                "vcluster measures this metric {measured}, not in {}",
                shorten(text)
            ),
            "leave out `unit`; bounds of criteria may have another unit of the same kind".to_owned(),
        );
    }
    given.cloned()
}

/// `5%`, or a share such as 0.05.
fn min_change(scope: &Scope<'_>, at: &At<Amount>) -> Option<f64> {
    let text = &at.get()?.0;
    let (message, hint) = match measure::split(text) {
        Ok((share, None)) if (0.0..=1.0).contains(&share) => return Some(share),
        Ok((percent, Some(unit))) if unit.as_str() == "%" && (0.0..=1000.0).contains(&percent) => {
            return Some(percent / 100.0);
        }
        Ok((share, None)) if (1.0..=1000.0).contains(&share) => (
            format!("min_change: {} is more than the whole value", shorten(text)),
            format!("write {text}% for a percentage, or a share up to 1, such as 0.05"),
        ),
        _ => (
            format!("min_change: `{}` is not a share from 0% to 1000%", shorten(text)),
            "write a percentage such as 5%, or a share up to 1, such as 0.05".to_owned(),
        ),
    };
    scope.sink.error_hint(&at.span, message, hint);
    None
}

/// In the unit of the metric.
fn floor(scope: &Scope<'_>, at: &At<Amount>, unit: Option<&Unit>) -> Option<f64> {
    let text = &at.get()?.0;
    let value = measure::split(text).and_then(|(value, own)| measure::convert(value, own.as_ref(), unit));
    let (message, hint) = match value {
        Ok(value) if value.is_finite() && value >= 0.0 => return Some(value),
        Ok(_) => (
            format!("floor: {} is out of bounds", shorten(text)),
            "write the smallest difference that counts, 0 or more".to_owned(),
        ),
        Err(error) => (format!("floor: {error}"), unit_hint(&error)),
    };
    scope.sink.error_hint(&at.span, message, hint);
    None
}

/// What to write in place of a value that cannot be compared with a metric.
pub(super) fn unit_hint(error: &UnitError) -> String {
    match error {
        UnitError::Malformed(_) => {
            "write a number with an optional unit, such as 20, 2ms or 64MiB".to_owned()
        }
        UnitError::Mismatch { wanted, .. } if wanted == "no unit" => {
            "write it without a unit; the key `unit` of a metric gives it one".to_owned()
        }
        UnitError::Mismatch { wanted, .. } => {
            format!("write it in {wanted} or a unit of the same kind, or without a unit")
        }
    }
}
