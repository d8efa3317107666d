//! What must be equal for two sides to be compared: everything but what was varied, and the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;

use super::rule::Rules;
use super::side::{Side, SideRun};
use super::variant::covers;
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::text::shortened;
use crate::workload::Record;

/// The repository of the code under test: it may always differ, and is shown.
const CODE: [&str; 2] = ["git.commit", "git.dirty"];

/// The files of the controller that the topology brings to the nodes: `sources.old/app`.
const SOURCES: &str = "sources";

/// The images of the nodes: `image.redis`.
const IMAGES: &str = "image";

/// Characters shown of a value, and of a digest.
const SHOWN: usize = 60;
const SHOWN_OF_DIGEST: usize = 12;

/// What a side or a run holds for an assumption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The side, or the run if the runs of one side differ.
    pub of: String,
    /// The value; `None` if it is not known.
    pub value: Option<String>,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(value) = &self.value else {
            return write!(f, "none in `{}`", self.of);
        };
        let is_digest = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        let shown = if is_digest { SHOWN_OF_DIGEST } else { SHOWN };
        write!(f, "{} in `{}`", shortened(value, shown), self.of)
    }
}

/// An assumption that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The assumption: `host.bm01.kernel`.
    pub key: String,
    /// In the first side, or in the first run.
    pub a: Held,
    /// In the second side, or in another run.
    pub b: Held,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {}", self.key, self.a, self.b)
    }
}

/// The sides differ in more than what was varied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The first side.
    pub a: String,
    /// The second side.
    pub b: String,
    /// All that differs and may not.
    pub differences: Vec<Difference>,
    /// The command that was refused, for the hint; set by the caller.
    pub command: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` and `{}` differ in more than what was varied:",
            self.a, self.b
        )?;
        for difference in &self.differences {
            write!(f, "\n  {difference} (--despite {})", difference.key)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

impl UserFacing for Refusal {
    fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn hint(&self) -> Option<String> {
        let keys: BTreeSet<&str> = self
            .differences
            .iter()
            .filter_map(|difference| difference.key.split('.').next())
            .collect();
        let why = if keys.iter().all(|key| *key == SOURCES) {
            "if these files are what was changed on purpose, say so, which becomes part of the result:"
        } else {
            "compare runs that were made alike, or take it on your word, which becomes part of the result:"
        };
        let mut hint = why.to_owned();
        if let Some(command) = &self.command {
            let _ = write!(hint, " {command}");
        }
        for key in keys {
            let _ = write!(hint, " --despite {key}");
        }
        Some(hint)
    }
}

/// Assumptions that differ and may.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) varied: Vec<Difference>,
    pub(super) despite: Vec<Difference>,
}

/// Compares the assumptions of all runs: the runs of one side may only differ in the code under test, the sides also in
/// what was varied, and both in what the user accepts.
pub(super) fn check(a: &Side, b: &Side, despite: &[String]) -> Result<Allowed, Refusal> {
    let mut allowed = Allowed::default();
    let mut refused = Vec::new();
    let mut sort = |difference: Difference, is_varied: bool| {
        if is_varied {
            allowed.varied.push(difference);
        } else if despite.iter().any(|key| covers(key, &difference.key)) {
            allowed.despite.push(difference);
        } else {
            refused.push(difference);
        }
    };
    for side in [a, b] {
        for difference in within(side) {
            let is_code = is_code(&difference.key);
            sort(difference, is_code);
        }
    }
    if let (Some(first), Some(second)) = (a.runs.first(), b.runs.first()) {
        let varied = varied(first, second);
        let differences = between(first, second, (&a.name, &b.name));
        let resized = differences.iter().any(|difference| is_node_size(&difference.key));
        for difference in differences {
            let follows = |name: &&str| changes(name, &difference, resized);
            let is_varied = is_code(&difference.key) || varied.iter().any(follows);
            sort(difference, is_varied);
        }
    }
    if refused.is_empty() {
        return Ok(allowed);
    }
    Err(Refusal {
        a: a.name.clone(),
        b: b.name.clone(),
        differences: refused,
        command: None,
    })
}

/// What differs among the runs of a side: each assumption once, with the first run that differs from the first of all.
fn within(side: &Side) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    if let Some((first, others)) = side.runs.split_first() {
        for run in others {
            for difference in between(first, run, (&first.name, &run.name)) {
                if found.iter().all(|known| known.key != difference.key) {
                    found.push(difference);
                }
            }
        }
    }
    found
}

/// What differs between two runs.
fn between(a: &SideRun, b: &SideRun, (name_a, name_b): (&str, &str)) -> Vec<Difference> {
    let (facts_a, facts_b) = (facts(&a.record), facts(&b.record));
    let keys: BTreeSet<&String> = facts_a.keys().chain(facts_b.keys()).collect();
    let held = |of: &str, value: Option<&String>| Held {
        of: of.to_owned(),
        value: value.cloned(),
    };
    keys.into_iter()
        .filter_map(|key| {
            let (a, b) = (facts_a.get(key), facts_b.get(key));
            // A metric that one run does not have has no unit there.
            let is_unknown = covers("unit", key) && (a.is_none() || b.is_none());
            (a != b && !is_unknown).then(|| Difference {
                key: key.clone(),
                a: held(name_a, a),
                b: held(name_b, b),
            })
        })
        .collect()
}

/// All that a run assumes: what is recorded so, its sizes, its steps, what was varied, and how its values are taken.
fn facts(record: &Record) -> BTreeMap<String, String> {
    let mut facts = record.assumptions.clone();
    for (group, size) in &record.sizes {
        let key = format!("group.{group}");
        facts.entry(key).or_insert_with(|| size.to_string());
    }
    let steps: Vec<&str> = record.steps.iter().map(|step| step.name.as_str()).collect();
    facts
        .entry("steps".to_owned())
        .or_insert_with(|| steps.join(", "));
    for step in &record.steps {
        let key = format!("nodes.{}", step.name);
        facts.entry(key).or_insert_with(|| step.on.len().to_string());
    }
    for (name, value) in &record.variant {
        facts.insert(format!("variant.{name}"), value.clone());
    }
    facts.extend(Rules::of([record]).facts());
    facts
}

/// What was varied between two runs.
fn varied<'a>(a: &'a SideRun, b: &'a SideRun) -> Vec<&'a str> {
    let (a, b) = (&a.record.variant, &b.record.variant);
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names
        .into_iter()
        .filter(|name| a.get(*name) != b.get(*name))
        .map(String::as_str)
        .collect()
}

/// Whether an assumption changes with what was varied: `rev` sets `vars.rev`, and may choose which files are brought to
/// the nodes, their images and their size; `nodes.worker` sizes a group. Where nodes are and how much is promised to them
/// changes with both sizes. `resized`: whether nodes have other sizes.
fn changes(varied: &str, difference: &Difference, resized: bool) -> bool {
    let key = difference.key.as_str();
    if key.strip_prefix("variant.") == Some(varied) {
        return true;
    }
    match varied.strip_prefix("nodes.") {
        Some(group) => {
            let is_size = ["group", "sizes"]
                .iter()
                .any(|word| key == format!("{word}.{group}"));
            is_size || covers("nodes", key) || is_of_placement(key)
        }
        None => {
            key.strip_prefix("vars.") == Some(varied)
                || is_chosen(difference)
                || is_node_size(key)
                || (resized && is_of_placement(key))
        }
    }
}

/// Whether it is a file or an image that only one side has. The text of the topology is equal, so a variable has chosen
/// it. One of both sides with other content was changed by someone.
fn is_chosen(difference: &Difference) -> bool {
    let is_missing = difference.a.value.is_none() || difference.b.value.is_none();
    is_missing && [SOURCES, IMAGES].iter().any(|word| covers(word, &difference.key))
}

/// Whether it is the size of the nodes of a group: `group.worker.memory`. Only the topology says it, whose text is equal,
/// so a variable has chosen it.
fn is_node_size(key: &str) -> bool {
    let of_group = key.strip_prefix("group.").and_then(|rest| rest.rsplit_once('.'));
    of_group.is_some_and(|(_, what)| ["vcpus", "memory"].contains(&what))
}

/// Whether it says where nodes are, or how much of a host is promised to them.
fn is_of_placement(key: &str) -> bool {
    covers("placement", key) || key.split('.').any(|word| word.starts_with("overcommit"))
}

fn is_code(key: &str) -> bool {
    CODE.iter().any(|code| covers(code, key))
}
