//! Variants: what was varied in a run, as text, and a choice of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A choice of variants: `rev=new`, `rev=new,nodes.worker=10`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Selector(BTreeMap<String, String>);

/// A text that chooses no variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a variant such as `rev=new` or `rev=new,nodes.worker=10`")]
pub struct SelectorError(String);

impl Selector {
    /// Whether a variant has all its values. `nodes` stands for the size of any group.
    pub fn matches(&self, variant: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, wanted)| {
            let mut held = variant.iter();
            held.any(|(name, value)| value == wanted && covers(key, name))
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            SelectorError(
                text.chars()
                    .take(60)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            )
        };
        let mut chosen = BTreeMap::new();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            let (key, value) = (key.trim(), value.trim());
            if key.is_empty() || chosen.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(wrong());
            }
        }
        Ok(Self(chosen))
    }
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&variant_text(&self.0))
    }
}

/// A variant as text, `rev=new,nodes.worker=10`; empty if nothing was varied.
pub fn variant_text(variant: &BTreeMap<String, String>) -> String {
    let parts: Vec<String> = variant
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    parts.join(",")
}

/// Whether a key is another one, or its beginning up to a dot: `host` covers `host.bm01.kernel`.
pub fn covers(key: &str, full: &str) -> bool {
    full.strip_prefix(key)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
