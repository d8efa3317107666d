//! Node sets in a topology: of names only, of known hosts, of known nodes and groups.

use std::collections::HashMap;
use std::hash::Hash;

use super::Scope;
use super::values::Span;
use crate::base::failure::UserFacing;
use crate::base::suggest::suggest;
use crate::nodeset::{NodeSet, NodeSetError, NodeSetErrorKind};
use crate::topology::tree::shorten;

/// The names of a set without groups; at most `limit`.
pub(super) fn plain(
    scope: &Scope<'_>,
    span: &Span,
    text: &str,
    limit: usize,
    what: &str,
) -> Option<Vec<String>> {
    let set = parse(scope, span, text, |_| None, &[])?;
    if set.is_empty() {
        scope.sink.error_hint(
            span,
            format!("`{}` is an empty set", shorten(text)),
            format!("write the names of {what}, such as `name[1-3]`"),
        );
        return None;
    }
    if set.len() > limit {
        scope.sink.error_hint(
            span,
            format!(
                "`{}` contains {} {what}; at most {limit} are allowed",
                shorten(text),
                set.len()
            ),
            "shorten the range".to_owned(),
        );
        return None;
    }
    Some(set.iter().collect())
}

/// The names of a set, which must be among `names`, in the order of `names`.
pub(super) fn known<T>(
    scope: &Scope<'_>,
    span: &Span,
    text: &str,
    what: &str,
    names: &[T],
    groups: &[(String, Vec<String>)],
) -> Option<Vec<T>>
where
    T: AsRef<str> + Clone + Eq + Hash,
{
    let all = || names.iter().map(|name| name.as_ref().to_owned()).collect();
    let group = |wanted: &str| {
        if matches!(wanted, "*" | "all") {
            return Some(all());
        }
        groups
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, members)| members.clone())
    };
    let group_names: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
    let set = parse(scope, span, text, group, &group_names)?;
    let position: HashMap<&str, usize> = names
        .iter()
        .enumerate()
        .map(|(i, name)| (name.as_ref(), i))
        .collect();
    let mut found = Vec::with_capacity(set.len());
    for name in set.iter() {
        let Some(&i) = position.get(name.as_str()) else {
            scope.sink.error_hint(
                span,
                format!("there is no {what} `{}`", shorten(&name)),
                suggest_name(&name, names, &group_names, what),
            );
            return None;
        };
        found.push(i);
    }
    if found.is_empty() {
        scope.sink.error_hint(
            span,
            format!("`{}` contains no {what}", shorten(text)),
            "widen it: `!` and `&` leave nothing of it".to_owned(),
        );
        return None;
    }
    found.sort_unstable();
    Some(found.into_iter().map(|i| names[i].clone()).collect())
}

fn suggest_name<T: AsRef<str>>(name: &str, names: &[T], groups: &[&str], what: &str) -> Option<String> {
    if groups.contains(&name) {
        return Some(format!("write `@{name}` for all nodes of the group"));
    }
    match (names.first(), names.last()) {
        (Some(_), Some(_)) if names.len() <= 1_000 => suggest(name, names.iter().map(AsRef::as_ref)),
        (Some(first), Some(last)) => Some(format!(
            "the {what}s are `{}` to `{}`",
            first.as_ref(),
            last.as_ref()
        )),
        _ => Some(format!("the topology has no {what}")),
    }
}

fn parse(
    scope: &Scope<'_>,
    span: &Span,
    text: &str,
    groups: impl Fn(&str) -> Option<Vec<String>>,
    known: &[&str],
) -> Option<NodeSet> {
    NodeSet::parse(text, groups)
        .inspect_err(|error: &NodeSetError| {
            let hint = match &error.kind {
                NodeSetErrorKind::UnknownGroup(name) => {
                    suggest(name, known.iter().copied()).or_else(|| error.hint())
                }
                _ => error.hint(),
            };
            scope
                .sink
                .error_hint(span, format!("`{}`: {error}", shorten(text)), hint);
        })
        .ok()
}
