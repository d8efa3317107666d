//! Errors of templates, with line, column and the variable that was probably meant.

use handlebars::{RenderError, RenderErrorReason};
use serde_json::Value;

use super::MAX_OUTPUT;
use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::suggest::{nearest, suggest};

/// Why a template could not be compiled or rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}", place = self.place())]
pub struct TemplateError {
    /// The file, or the purpose of the template.
    pub source_name: String,
    /// Line, from 1, if known.
    pub line: Option<usize>,
    /// Column, from 1, if known.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    hint: Option<String>,
}

impl UserFacing for TemplateError {
    /// What to write instead.
    fn hint(&self) -> Option<String> {
        let general = || "docs/topology.md describes the template language and its helpers".to_owned();
        Some(self.hint.clone().unwrap_or_else(general))
    }

    /// A template is part of the topology.
    fn exit_code(&self) -> ExitCode {
        ExitCode::InvalidTopology
    }
}

impl TemplateError {
    /// `redis.conf.hbs:3:7`
    pub fn place(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", self.source_name),
            _ => self.source_name.clone(),
        }
    }

    pub(super) fn new(source: &str, at: Option<(usize, usize)>, message: impl Into<String>) -> Self {
        Self {
            source_name: source.to_owned(),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(super) fn too_large(source: &str) -> Self {
        Self::new(
            source,
            None,
            format!("the template renders to more than {} MiB", MAX_OUTPUT >> 20),
        )
    }

    pub(super) fn from_compile(source: &str, text: &str, error: &handlebars::TemplateError) -> Self {
        use handlebars::TemplateErrorReason as Reason;
        // If a block is never closed, the parser reports the end of the text.
        let last = text.lines().count().max(1);
        let at = error
            .pos()
            .map(|(line, column)| (line.clamp(1, last), column.max(1)));
        match error.reason() {
            Reason::MismatchingClosedHelper(open, close) => Self::new(
                source,
                at,
                format!("`{{{{#{open}}}}}` is closed by `{{{{/{close}}}}}`"),
            ),
            Reason::InvalidParam(parameter) => {
                Self::new(source, at, format!("`{parameter}` is not a valid parameter"))
            }
            _ => {
                let general = "every `{{` needs a `}}`, every `{{#block}}` a `{{/block}}`; write `\\{{` for literal braces";
                Self::new(source, at, "the syntax of the template is invalid here")
                    .with_hint(section(text, at).unwrap_or_else(|| general.to_owned()))
            }
        }
    }

    pub(super) fn from_render(source: &str, error: &RenderError, data: &Value) -> Self {
        use RenderErrorReason as Reason;
        let at = error.line_no.zip(error.column_no);
        let missing = |path: Option<&str>| match path {
            Some(path) => Self::new(source, at, format!("unknown variable `{}`", path.escape_debug()))
                .with_hint(near_variable(path, data)),
            None => Self::new(source, at, "unknown variable"),
        };
        match error.reason() {
            Reason::MissingVariable(path) => missing(path.as_deref()),
            Reason::HelperNotFound(name) => {
                Self::new(source, at, format!("unknown helper `{}`", name.escape_debug()))
                    .with_hint(suggest(name, super::helpers::NAMES.iter().copied()))
            }
            Reason::ParamNotFoundForIndex(helper, index) => Self::new(
                source,
                at,
                format!("parameter {} of `{helper}` is missing or unknown", index + 1),
            ),
            Reason::Other(message) => Self::new(source, at, message.clone()),
            other => Self::new(source, at, other.to_string().to_lowercase()),
        }
    }
}

/// What to write in place of a section of Mustache, such as `{{#vars.x}}`, that begins at a place or just before it.
fn section(text: &str, at: Option<(usize, usize)>) -> Option<String> {
    let (line, column) = at?;
    let line = text.lines().nth(line.checked_sub(1)?)?;
    let end = line.char_indices().nth(column).map_or(line.len(), |(end, _)| end);
    let tag = &line[line[..end].rfind("{{")? + 2..];
    let tag = tag.split("}}").next()?.trim_matches('~').trim();
    let block = if tag.starts_with('^') { "unless" } else { "if" };
    let name = tag.strip_prefix(['#', '^'])?.trim();
    let is_path = name.contains('.') && !name.contains(|c: char| c.is_whitespace() || "(){}".contains(c));
    is_path.then(|| {
        format!(
            "write `{{{{#{block} {name}}}}}` and `{{{{/{block}}}}}`, or `{{{{#each {name}}}}}` for a list"
        )
    })
}

/// The known name that is most similar to the unknown part of a path.
fn near_variable(path: &str, data: &Value) -> Option<String> {
    let parts: Vec<&str> = path
        .split(['.', '/'])
        .map(|part| part.trim_matches(['[', ']', '"']))
        .filter(|part| !part.is_empty() && *part != "this" && *part != "@root")
        .collect();
    let mut value = data;
    for (depth, part) in parts.iter().enumerate() {
        let Value::Object(map) = value else { return None };
        if let Some(inner) = map.get(*part) {
            value = inner;
            continue;
        }
        let names: Vec<&str> = map.keys().map(String::as_str).collect();
        // Inside `{{#each nodes}}` the names are those of a node.
        if depth == 0
            && nearest(part, names.iter().copied()).is_none()
            && let Some(Value::Object(node)) = data.get("node")
            && let Some(near) = nearest(part, node.keys().map(String::as_str))
        {
            return Some(format!("did you mean `{near}`?"));
        }
        return near_name(part, &parts[..depth].join("."), &names);
    }
    None
}

/// The hint for an unknown name in `prefix`, where these names are known.
pub(super) fn near_name(name: &str, prefix: &str, known: &[&str]) -> Option<String> {
    let of = if prefix.is_empty() {
        String::new()
    } else {
        format!(" (in `{prefix}`)")
    };
    suggest(name, known.iter().copied())
        .map(|hint| hint + &of)
        .or_else(|| {
            (prefix == "vars").then(|| format!("define it under `vars:`, as in `vars: {{ {name}: ... }}`"))
        })
}
