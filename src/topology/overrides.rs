//! Values that the command line sets in place of those of a topology file.

use indexmap::IndexMap;
use serde_json::Value;

use super::limits::MAX_NODES;
use super::raw::{RawGroup, RawTopology, Vars};
use super::reader::{At, Entries};
use super::tree::shorten;
use crate::base::name::GroupName;
use crate::base::number;
use crate::base::suggest::suggest;

/// Variables and sizes of groups in place of those in the file. All of the topology is checked as if they were written
/// there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Values of `vars`, as text. As in the file, `10` is a number and `true` a truth value.
    pub vars: IndexMap<String, String>,
    /// The `count` of groups.
    pub counts: IndexMap<GroupName, u32>,
}

/// What is wrong with an override, and what to do about it.
pub(super) type Mistake = (String, String);

impl Overrides {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.vars.is_empty() && self.counts.is_empty()
    }

    /// Puts them into a topology as it is written; the mistakes, if there are any. What is wrong in the file itself is
    /// reported elsewhere.
    pub(super) fn apply(&self, raw: &mut RawTopology) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        match &mut raw.vars {
            Some(At {
                value: Some(vars), ..
            }) => self.set_vars(vars, &mut mistakes),
            Some(_) => {}
            None => self.set_vars(&mut Vars::default(), &mut mistakes),
        }
        if let Some(groups) = raw.groups.as_mut().and_then(|at| at.value.as_mut()) {
            self.set_counts(groups, &mut mistakes);
        }
        mistakes
    }

    fn set_vars(&self, vars: &mut Vars, mistakes: &mut Vec<Mistake>) {
        for (name, text) in &self.vars {
            if let Some(value) = vars.0.get_mut(name) {
                *value = as_in_yaml(text);
                continue;
            }
            let known = suggest(name, vars.0.keys().map(String::as_str));
            mistakes.push((
                format!("the topology has no variable `{}`", shorten(name)),
                known.unwrap_or_else(|| "add it to `vars` of the topology: nothing uses it there".to_owned()),
            ));
        }
    }

    fn set_counts(&self, groups: &mut Entries<RawGroup>, mistakes: &mut Vec<Mistake>) {
        for (name, count) in &self.counts {
            let found = groups
                .0
                .iter()
                .position(|(key, _)| key.get().is_some_and(|key| key == name.as_str()));
            let Some(found) = found else {
                let names = groups
                    .0
                    .iter()
                    .filter_map(|(key, _)| key.get().map(String::as_str));
                let hint = suggest(name.as_str(), names);
                mistakes.push((
                    format!("the topology has no group `{name}`"),
                    hint.unwrap_or_else(|| "add groups to the topology".to_owned()),
                ));
                continue;
            };
            let Some(group) = groups.0[found].1.value.as_mut() else {
                continue;
            };
            if group.nodes.is_some() {
                mistakes.push((
                    format!("the group `{name}` has no `count`: its nodes are given by `nodes`"),
                    format!("give the group a `count` in the topology in place of `nodes`, such as `count: {count}`"),
                ));
            } else if (1..=MAX_NODES).contains(&(*count as usize)) {
                let span = group.count.as_ref().map_or(0..0, |at| at.span.clone());
                let value = Some(*count);
                group.count = Some(At { value, span });
            } else {
                mistakes.push((
                    format!("the group `{name}` cannot have {count} nodes"),
                    format!("give it 1 to {MAX_NODES} nodes"),
                ));
            }
        }
    }
}

/// The value that a text has in a topology: a number that is written in an unusual form keeps its text, as there.
fn as_in_yaml(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        "null" | "Null" | "NULL" | "~" => Value::Null,
        _ => match number::read(text) {
            Some(number) if number.to_string() == text => Value::Number(number),
            _ => Value::String(text.to_owned()),
        },
    }
}
