//! Whole numbers: arithmetic that reports overflow, comparison, ranges.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Outcome, short, spend};
use crate::base::number::{read, unusual};

/// A number: of JSON, or one that the topology writes in another form (`1.10`, `0x10`) and whose text is kept.
pub(super) fn value(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => unusual(text),
        _ => None,
    }
}

/// A whole number, given as a number or as its text.
pub(super) fn integer(value: &Value) -> Result<i64, String> {
    match value {
        Value::Number(number) => whole(number),
        Value::String(text) => read(text.trim()).as_ref().and_then(whole),
        _ => None,
    }
    .ok_or_else(|| format!("`{}` is not a whole number", short(value)))
}

/// `1e3` is the whole number 1000. A larger number than 2^53 may have lost digits as a fraction.
fn whole(number: &Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|_| number.is_f64())?;
        (float.abs() < EXACT && float.fract().abs() < f64::EPSILON).then_some(float as i64)
    })
}

/// Two texts are equal if they are the same; a number equals another in whatever form it is written.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    if a.is_string() && b.is_string() {
        return false;
    }
    value(a)
        .zip(value(b))
        .is_some_and(|(a, b)| order(&a, &b) == Some(Ordering::Equal))
}

fn order(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
    }
}

fn fold(values: &[&Value], step: fn(i64, i64) -> Option<i64>) -> Outcome {
    let mut result = integer(values[0])?;
    for value in &values[1..] {
        result = step(result, integer(value)?).ok_or("the result is too large")?;
    }
    Ok(result.into())
}

pub(super) fn add(values: &[&Value]) -> Outcome {
    fold(values, i64::checked_add)
}

pub(super) fn sub(values: &[&Value]) -> Outcome {
    fold(values, i64::checked_sub)
}

pub(super) fn mul(values: &[&Value]) -> Outcome {
    fold(values, i64::checked_mul)
}

pub(super) fn min(values: &[&Value]) -> Outcome {
    fold(values, |a, b| Some(a.min(b)))
}

pub(super) fn max(values: &[&Value]) -> Outcome {
    fold(values, |a, b| Some(a.max(b)))
}

/// Rounds down, as `mod` is never negative for a positive divisor.
pub(super) fn div(values: &[&Value]) -> Outcome {
    if integer(values[1])? == 0 {
        return Err("division by 0".to_owned());
    }
    fold(values, i64::checked_div_euclid)
}

pub(super) fn modulo(values: &[&Value]) -> Outcome {
    if integer(values[1])? == 0 {
        return Err("division by 0".to_owned());
    }
    fold(values, i64::checked_rem_euclid)
}

/// Numbers by value, text by its bytes.
pub(super) fn compare(values: &[&Value], holds: fn(Ordering) -> bool) -> Outcome {
    let order = match (value(values[0]), value(values[1])) {
        (Some(a), Some(b)) => order(&a, &b),
        _ => values[0].as_str().zip(values[1].as_str()).map(|(a, b)| a.cmp(b)),
    };
    order.map(|order| holds(order).into()).ok_or_else(|| {
        format!(
            "`{}` and `{}` cannot be compared",
            short(values[0]),
            short(values[1])
        )
    })
}

/// `range END`, `range START END`, `range START END STEP`; END excluded.
pub(super) fn range(values: &[&Value]) -> Outcome {
    let numbers = values
        .iter()
        .map(|value| integer(value))
        .collect::<Result<Vec<_>, _>>()?;
    let (start, end, step) = match *numbers.as_slice() {
        [end] => (0, end, 1),
        [start, end] => (start, end, 1),
        [start, end, step] => (start, end, step),
        _ => return Err("takes 1 to 3 numbers".to_owned()),
    };
    let step = usize::try_from(step)
        .ok()
        .filter(|step| *step > 0)
        .ok_or("the step must be 1 or more")?;
    let count = usize::try_from(end.saturating_sub(start))
        .unwrap_or(0)
        .div_ceil(step);
    spend(count)?;
    Ok((start..end).step_by(step).map(Value::from).collect())
}
