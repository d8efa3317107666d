//! Finds unknown variables and helpers in all of a template, also in branches that no node takes.
//! Compares the parsed template with the data of one node of each group: a name that none of them has is a mistake.

use std::collections::{BTreeSet, HashSet};

use handlebars::template::{BlockParam, HelperTemplate, Parameter, TemplateElement};
use handlebars::{Path, PathSeg, Template};
use serde_json::Value;

use super::error::{TemplateError, near_name};
use super::helpers::NAMES;
use super::tag::{At, tag_of};
use crate::base::suggest::suggest;

/// Values whose keys are suggested.
const SUGGESTED: usize = 1_000;
/// The variables that `each` sets.
const COUNTERS: [&str; 4] = ["index", "first", "last", "key"];

/// The data that a template can be rendered with.
pub(super) struct Roots<'a> {
    /// The part that all nodes share.
    pub(super) context: &'a Value,
    /// The names at its top whose values differ, with the values of one node of each group.
    pub(super) varying: [(&'static str, Vec<&'a Value>); 3],
}

impl<'a> Roots<'a> {
    fn get(&self, name: &str) -> Vec<&'a Value> {
        match self.varying.iter().find(|(varies, _)| *varies == name) {
            Some((_, values)) => values.clone(),
            None => self.context.get(name).into_iter().collect(),
        }
    }
}

/// What names refer to at a place in the template.
#[derive(Clone)]
enum Scope<'a> {
    /// The whole data.
    Root,
    /// One of these values.
    Values(Vec<&'a Value>),
    /// Known only when the template is rendered, such as the result of a helper.
    Open,
}

/// The inside of a block that changes the scope.
struct Frame<'a> {
    scope: Scope<'a>,
    /// The names after `as`.
    names: Vec<(String, Scope<'a>)>,
    /// Whether it sets [`COUNTERS`].
    counts: bool,
}

struct Lint<'a> {
    source: &'a str,
    text: &'a str,
    roots: &'a Roots<'a>,
    /// Paths that the template itself tests with `defined`, `default` or `contains`.
    optional: HashSet<String>,
    /// From the outermost to the innermost block; never empty.
    frames: Vec<Frame<'a>>,
    found: Vec<TemplateError>,
}

/// The unknown names of a template with this text.
pub(super) fn unknown_names<'a>(
    template: &Template,
    text: &'a str,
    source: &'a str,
    roots: &'a Roots<'a>,
) -> Vec<TemplateError> {
    let mut lint = Lint {
        source,
        text,
        roots,
        optional: HashSet::new(),
        frames: vec![Frame {
            scope: Scope::Root,
            names: Vec::new(),
            counts: false,
        }],
        found: Vec::new(),
    };
    optional_paths(template, &mut lint.optional);
    lint.template(template, (1, 1));
    lint.found
}

impl<'a> Lint<'a> {
    fn template(&mut self, template: &Template, outer: At) {
        for (index, element) in template.elements.iter().enumerate() {
            // The block of an `else if` has no place of its own.
            let at = template
                .mapping
                .get(index)
                .map_or(outer, |place| (place.0, place.1));
            match element {
                TemplateElement::Expression(call) | TemplateElement::HtmlExpression(call) => {
                    self.expression(call, at);
                }
                TemplateElement::HelperBlock(call) => self.block(call, at),
                _ => {}
            }
        }
    }

    fn expression(&mut self, call: &HelperTemplate, at: At) {
        if call.params.is_empty() && call.hash.is_empty() {
            // A helper has precedence over a variable of that name.
            if !call.name.as_name().is_some_and(|name| NAMES.contains(&name)) {
                self.parameter(&call.name, at);
                self.no_mapping(&call.name, at);
            }
        } else {
            self.call(call, at);
        }
    }

    /// A mapping would be written as `[object]`.
    fn no_mapping(&mut self, parameter: &Parameter, at: At) {
        let Parameter::Path(path) = parameter else { return };
        if let Ok(Scope::Values(values)) = self.resolve(path)
            && values.iter().any(|value| value.is_object())
        {
            let (Path::Relative((_, raw)) | Path::Local((_, _, raw))) = path;
            let name = raw.escape_debug();
            let hint = format!("name a key of it, or write all of it with `{{{{json {name}}}}}`");
            self.report(format!("`{name}` is a mapping, not a text"), Some(hint), raw, at);
        }
    }

    fn block(&mut self, call: &HelperTemplate, at: At) {
        self.call(call, at);
        let frame = self.frame(call);
        let entered = frame.is_some();
        self.frames.extend(frame);
        if let Some(inner) = &call.template {
            self.template(inner, at);
        }
        if entered {
            self.frames.pop();
        }
        if let Some(other) = &call.inverse {
            self.template(other, at);
        }
    }

    /// The name and the parameters of a call of a helper.
    fn call(&mut self, call: &HelperTemplate, at: At) {
        if let Some(name) = call.name.as_name()
            && !NAMES.contains(&name)
        {
            let message = format!("unknown helper `{}`", name.escape_debug());
            self.report(message, suggest(name, NAMES.iter().copied()), name, at);
        }
        for parameter in call.params.iter().chain(call.hash.values()) {
            self.parameter(parameter, at);
        }
    }

    fn parameter(&mut self, parameter: &Parameter, at: At) {
        match parameter {
            Parameter::Path(path) => {
                if let Err(hint) = self.resolve(path) {
                    let (Path::Relative((_, raw)) | Path::Local((_, _, raw))) = path;
                    let message = format!("unknown variable `{}`", raw.escape_debug());
                    self.report(message, hint, raw, at);
                }
            }
            Parameter::Subexpression(inner) => {
                if let TemplateElement::Expression(call) = inner.as_element() {
                    self.call(call, at);
                }
            }
            _ => {}
        }
    }

    fn report(&mut self, message: String, hint: Option<String>, name: &str, at: At) {
        let at = tag_of(self.text, at, name);
        let error = TemplateError::new(self.source, Some(at), message).with_hint(hint);
        if !self.found.contains(&error) {
            self.found.push(error);
        }
    }

    /// The scope inside of a block; `None` if it is the one around it.
    fn frame(&self, call: &HelperTemplate) -> Option<Frame<'a>> {
        let each = match call.name.as_name()? {
            "each" => true,
            "with" => false,
            _ => return None,
        };
        let of = match call.params.first() {
            Some(Parameter::Path(path)) => self.resolve(path).unwrap_or(Scope::Open),
            _ => Scope::Open,
        };
        let scope = match of {
            Scope::Values(values) => {
                let inside: Vec<&Value> = if each {
                    values.into_iter().flat_map(items).collect()
                } else {
                    values.into_iter().filter(|value| !value.is_null()).collect()
                };
                // Nothing is known about the items of an empty list.
                if inside.is_empty() {
                    Scope::Open
                } else {
                    Scope::Values(inside)
                }
            }
            Scope::Root if each => Scope::Open,
            other => other,
        };
        let names = match &call.block_param {
            Some(BlockParam::Single(Parameter::Name(name))) => vec![(name.clone(), scope.clone())],
            Some(BlockParam::Pair((Parameter::Name(name), Parameter::Name(key)))) => {
                vec![(name.clone(), scope.clone()), (key.clone(), Scope::Open)]
            }
            _ => Vec::new(),
        };
        Some(Frame {
            scope,
            names,
            counts: each,
        })
    }

    /// The values of a path, or a hint if there are none.
    fn resolve(&self, path: &Path) -> Result<Scope<'a>, Option<String>> {
        let raw = match path {
            Path::Relative((_, raw)) => raw,
            Path::Local((_, name, _)) => {
                if !self.frames.iter().any(|frame| frame.counts) {
                    return Err(Some(format!("`@{name}` exists inside of `each` only")));
                }
                return if COUNTERS.contains(&name.as_str()) {
                    Ok(Scope::Open)
                } else {
                    Err(suggest(name, COUNTERS))
                };
            }
        };
        let names = names_of(path);
        let whole = names.join(".");
        let tested = |optional: &String| {
            let rest = whole.strip_prefix(optional.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if self.optional.iter().any(tested) {
            return Ok(Scope::Open);
        }
        let (start, names) = self.start(raw, &names);
        self.descend(start, names)
    }

    /// Where a path begins, and its names from there on.
    fn start<'n>(&self, raw: &str, names: &'n [&'n str]) -> (Scope<'a>, &'n [&'n str]) {
        let here = ["this.", "this/", "./"];
        let mut rest = here.iter().find_map(|here| raw.strip_prefix(here)).unwrap_or(raw);
        if rest.starts_with("@root") {
            return (Scope::Root, names);
        }
        if let Some((first, others)) = names.split_first() {
            let mut known = self.frames.iter().rev().flat_map(|frame| &frame.names);
            if let Some((_, scope)) = known.find(|(name, _)| name == first) {
                return (scope.clone(), others);
            }
        }
        let innermost = self.frames.len() - 1;
        let mut up = 0;
        // Both `/` and `.` separate.
        while let Some(after) = rest.strip_prefix("../").or_else(|| rest.strip_prefix("...")) {
            up += 1;
            rest = after;
        }
        let frame = innermost.checked_sub(up).unwrap_or(innermost);
        (self.frames[frame].scope.clone(), names)
    }

    fn descend(&self, start: Scope<'a>, names: &[&str]) -> Result<Scope<'a>, Option<String>> {
        let mut scope = start;
        for (depth, name) in names.iter().enumerate() {
            let inside: Vec<&'a Value> = match &scope {
                Scope::Open => return Ok(Scope::Open),
                Scope::Root => self.roots.get(name),
                Scope::Values(values) => values
                    .iter()
                    .copied()
                    .filter_map(|value| inner(value, name))
                    .collect(),
            };
            if inside.is_empty() {
                let known = match &scope {
                    Scope::Values(values) => keys(values),
                    _ => keys(&[self.roots.context]),
                };
                return Err(near_name(name, &names[..depth].join("."), &known));
            }
            scope = Scope::Values(inside);
        }
        Ok(scope)
    }
}

/// The names in a path, without `this`, `..` and `@root`.
fn names_of(path: &Path) -> Vec<&str> {
    let Path::Relative((segments, _)) = path else {
        return Vec::new();
    };
    segments
        .iter()
        .filter_map(|segment| match segment {
            PathSeg::Named(name) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

fn inner<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(name),
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

fn items(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn keys<'a>(values: &[&'a Value]) -> Vec<&'a str> {
    let maps = values
        .iter()
        .take(SUGGESTED)
        .filter_map(|value| value.as_object());
    let keys: BTreeSet<&str> = maps.flat_map(|map| map.keys().map(String::as_str)).collect();
    keys.into_iter().collect()
}

/// Collects the paths that a template tests: without the test they may be unknown, and after it as well.
fn optional_paths(template: &Template, found: &mut HashSet<String>) {
    for element in &template.elements {
        match element {
            TemplateElement::Expression(call)
            | TemplateElement::HtmlExpression(call)
            | TemplateElement::HelperBlock(call) => tested_paths(call, found),
            _ => {}
        }
    }
}

fn tested_paths(call: &HelperTemplate, found: &mut HashSet<String>) {
    let name = call.name.as_name().unwrap_or_default();
    let tested: &[Parameter] = match (name, call.params.as_slice()) {
        ("defined", all) => all,
        ("default", [others @ .., _]) => others,
        ("contains", [Parameter::Path(of), Parameter::Literal(Value::String(key))]) => {
            found.insert(format!("{}.{key}", names_of(of).join(".")));
            &[]
        }
        _ => &[],
    };
    for parameter in tested {
        if let Parameter::Path(path) = parameter {
            found.insert(names_of(path).join("."));
        }
    }
    for parameter in call.params.iter().chain(call.hash.values()) {
        if let Parameter::Subexpression(inner) = parameter
            && let TemplateElement::Expression(call) = inner.as_element()
        {
            tested_paths(call, found);
        }
    }
    for inner in [&call.template, &call.inverse].into_iter().flatten() {
        optional_paths(inner, found);
    }
}
