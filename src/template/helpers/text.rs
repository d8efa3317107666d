//! Texts and lists.

use base64::Engine as _;
use handlebars::JsonRender;
use serde_json::Value;

use super::number::{equal, integer};
use super::{Outcome, list, short, spend};
use crate::base::suggest::nearest;

pub(super) fn lookup(values: &[&Value]) -> Outcome {
    let found = match values[0] {
        Value::Array(list) => usize::try_from(integer(values[1])?)
            .ok()
            .and_then(|i| list.get(i)),
        Value::Object(map) => map.get(&values[1].render()),
        other => return Err(format!("`{}` is neither a list nor a mapping", short(other))),
    };
    found.cloned().ok_or_else(|| {
        let key = values[1].render();
        let keys = values[0].as_object().into_iter().flat_map(|map| map.keys());
        let near = (key.len() <= 64)
            .then(|| nearest(&key, keys.map(String::as_str)))
            .flatten();
        let meant = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        format!("there is no `{}`{meant}", short(values[1]))
    })
}

pub(super) fn length(values: &[&Value]) -> Outcome {
    match values[0] {
        Value::Array(list) => Ok(list.len().into()),
        Value::Object(map) => Ok(map.len().into()),
        Value::String(text) => Ok(text.chars().count().into()),
        other => Err(format!("`{}` has no length", short(other))),
    }
}

/// `join LIST [SEPARATOR [KEY]]`: with a key, that value of every item.
pub(super) fn join(values: &[&Value]) -> Outcome {
    let separator = values
        .get(1)
        .map_or_else(|| ",".to_owned(), |value| value.render());
    let items = list(values[0])?;
    spend(items.len())?;
    let mut text = String::new();
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            text.push_str(&separator);
        }
        match values.get(2) {
            None => text.push_str(&item.render()),
            Some(key) => {
                let key = key.render();
                let value = item.get(&key).ok_or_else(|| format!("an item has no `{key}`"))?;
                text.push_str(&value.render());
            }
        }
    }
    Ok(text.into())
}

pub(super) fn end(values: &[&Value], last: bool) -> Outcome {
    let items = list(values[0])?;
    let item = if last { items.last() } else { items.first() };
    item.cloned().ok_or_else(|| "the list is empty".to_owned())
}

/// `slice LIST START [END]`; END excluded, both limited to the list.
pub(super) fn slice(values: &[&Value]) -> Outcome {
    let items = list(values[0])?;
    let bound =
        |value: &Value| Ok::<_, String>(usize::try_from(integer(value)?).unwrap_or(0).min(items.len()));
    let start = bound(values[1])?;
    let end = values.get(2).map_or(Ok(items.len()), |value| bound(value))?;
    spend(end.saturating_sub(start))?;
    Ok(items.get(start..end).unwrap_or_default().to_vec().into())
}

pub(super) fn contains(values: &[&Value]) -> Outcome {
    match values[0] {
        Value::Array(list) => Ok(list.iter().any(|item| equal(item, values[1])).into()),
        Value::Object(map) => Ok(map.contains_key(&values[1].render()).into()),
        Value::String(text) => Ok(text.contains(&values[1].render()).into()),
        other => Err(format!("`{}` is not a list, a mapping or a text", short(other))),
    }
}

pub(super) fn split(values: &[&Value]) -> Outcome {
    let (text, separator) = (values[0].render(), values[1].render());
    if separator.is_empty() {
        return Err("the separator is empty".to_owned());
    }
    spend(text.len())?;
    Ok(text.split(&separator).map(Value::from).collect())
}

/// `pad VALUE WIDTH [FILL]`: from the left, with zeros by default.
pub(super) fn pad(values: &[&Value]) -> Outcome {
    const MAX_WIDTH: i64 = 1_000;
    let text = values[0].render();
    let width = integer(values[1])?;
    if !(0..=MAX_WIDTH).contains(&width) {
        return Err(format!("the width must be 0 to {MAX_WIDTH}"));
    }
    let fill = values
        .get(2)
        .map_or_else(|| "0".to_owned(), |value| value.render());
    let missing = (width as usize).saturating_sub(text.chars().count());
    let filling: String = fill
        .chars()
        .cycle()
        .take(if fill.is_empty() { 0 } else { missing })
        .collect();
    Ok(format!("{filling}{text}").into())
}

/// The value as one word for a POSIX shell.
pub(super) fn quote(value: &Value) -> Value {
    crate::base::shell::quote(&value.render()).into()
}

pub(super) fn base64(value: &Value) -> Value {
    base64::engine::general_purpose::STANDARD
        .encode(value.render())
        .into()
}

pub(super) fn sha256(value: &Value) -> Value {
    crate::base::digest::sha256(value.render()).into()
}
