//! Steps of the configuration and of the workload.

use std::collections::HashMap;
use std::time::Duration;

use super::groups::Groups;
use super::metrics::Made;
use super::values::{self, Span};
use super::{Scope, files, nodes};
use crate::base::name::NodeName;
use crate::template::is_template;
use crate::topology::model::{ConfigureAction, ConfigureStep, WorkloadStep};
use crate::topology::raw::{Mode, Nodes, Owner, RawConfigure, RawWorkload, RemotePath, Time};
use crate::topology::reader::At;
use crate::topology::tree::shorten;

/// Default timeout of a configuration step.
const CONFIGURE_TIMEOUT: Duration = Duration::from_mins(1);
/// Default timeout of a workload step.
const WORKLOAD_TIMEOUT: Duration = Duration::from_hours(1);
/// Default mode of a file.
const MODE: u32 = 0o644;

/// A step with the places of its templates.
pub(super) struct Placed<T> {
    pub(super) step: T,
    /// Place of the action.
    pub(super) action: Span,
    /// Place of `to`.
    pub(super) to: Span,
}

pub(super) fn configure(
    scope: &Scope<'_>,
    raw: Option<&At<Vec<At<RawConfigure>>>>,
    groups: &Groups,
) -> Vec<Placed<ConfigureStep>> {
    let mut names = HashMap::new();
    let list = raw.and_then(At::get);
    list.into_iter()
        .flatten()
        .filter_map(|at| {
            let raw = at.get()?;
            let on = on(scope, raw.on.as_ref(), groups);
            let timeout = timeout(scope, raw.timeout.as_ref(), CONFIGURE_TIMEOUT);
            let name = raw.name.as_ref().map(|name| {
                let text = name.get()?;
                let good = (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
                if !good {
                    scope.sink.error_hint(
                        &name.span,
                        format!("`{}` is not a valid step name", shorten(text)),
                        "write 1 to 100 characters on one line".to_owned(),
                    );
                    return None;
                }
                once(scope, &name.span, text, &mut names).then(|| text.clone())
            });
            let fanout = fanout(scope, raw.fanout.as_ref());
            let (action, span) = action(scope, raw, &at.span)?;
            let to = raw.to.as_ref().map_or(span.clone(), |to| to.span.clone());
            let name = match name {
                Some(name) => name?,
                None => describe(&action),
            };
            Some(Placed {
                step: ConfigureStep {
                    name,
                    on: on?,
                    action,
                    timeout: timeout?,
                    fanout: Some(fanout?).filter(|fanout| *fanout > 0),
                    at: Some(scope.sink.locate(at.span.start)),
                },
                action: span,
                to,
            })
        })
        .collect()
}

/// Exactly one action, with its options.
fn action(scope: &Scope<'_>, raw: &RawConfigure, span: &Span) -> Option<(ConfigureAction, Span)> {
    let given: Vec<(&str, &Span)> = [
        ("template", raw.template.as_ref().map(|at| &at.span)),
        ("content", raw.content.as_ref().map(|at| &at.span)),
        ("file", raw.file.as_ref().map(|at| &at.span)),
        ("run", raw.run.as_ref().map(|at| &at.span)),
    ]
    .into_iter()
    .filter_map(|(key, span)| Some((key, span?)))
    .collect();
    match given.as_slice() {
        [(_, action_span)] => {
            let action = match &raw.run {
                Some(run) => run_action(scope, raw, run.get().map(|text| text.0.as_str()), action_span),
                None => file_action(scope, raw, span),
            };
            Some((action?, (*action_span).clone()))
        }
        [] => {
            scope.sink.error_hint(
                span,
                "the step does nothing",
                "give it one of `template`, `content`, `file` and `run`".to_owned(),
            );
            None
        }
        [(first, _), (second, place), ..] => {
            scope.sink.error_hint(
                place,
                format!("the step has both `{first}` and `{second}`"),
                "split it into two steps".to_owned(),
            );
            None
        }
    }
}

fn run_action(
    scope: &Scope<'_>,
    raw: &RawConfigure,
    command: Option<&str>,
    span: &Span,
) -> Option<ConfigureAction> {
    let extra = [
        ("to", raw.to.as_ref().map(|at| &at.span)),
        ("mode", raw.mode.as_ref().map(|at| &at.span)),
        ("owner", raw.owner.as_ref().map(|at| &at.span)),
    ];
    for (key, place) in extra {
        if let Some(place) = place {
            scope.sink.error_hint(
                place,
                format!("`{key}` is for files, but the step has `run`"),
                format!("leave out `{key}`, or write the file in a step of its own"),
            );
        }
    }
    Some(ConfigureAction::Run {
        command: command_text(scope, span, command?)?,
    })
}

fn file_action(scope: &Scope<'_>, raw: &RawConfigure, span: &Span) -> Option<ConfigureAction> {
    if raw.to.is_none() {
        scope.sink.error_hint(
            span,
            "the step has no `to`",
            "add the path of the file on the node, `to: /etc/...`".to_owned(),
        );
    }
    let to = raw.to.as_ref().and_then(|to| remote(scope, &to.span, to.get()?));
    let mode = raw
        .mode
        .as_ref()
        .map_or(Some(MODE), |at| mode(scope, &at.span, at.get()?));
    let owner = match &raw.owner {
        Some(at) => at.get().and_then(|text| owner(scope, &at.span, text)).map(Some),
        None => Some(None),
    };
    if let Some(file) = &raw.file {
        let name = file.get()?;
        let source = files::inside(scope, &file.span, name, "file");
        return Some(ConfigureAction::File {
            name: name.clone(),
            source: source?,
            to: to?,
            mode: mode?,
            owner: owner?,
        });
    }
    let (text, source) = match (&raw.template, &raw.content) {
        (Some(at), _) => {
            let path = at.get()?;
            (files::template(scope, &at.span, path), Some(path.clone()))
        }
        (None, Some(at)) => (Some(at.get()?.0.clone()), None),
        (None, None) => return None,
    };
    Some(ConfigureAction::Template {
        text: text?,
        source,
        to: to?,
        mode: mode?,
        owner: owner?,
    })
}

/// A path that is not a template is checked here, a template when it is rendered.
fn remote(scope: &Scope<'_>, span: &Span, path: &RemotePath) -> Option<String> {
    if !is_template(&path.0)
        && let Err(message) = files::check_remote_path(&path.0)
    {
        scope
            .sink
            .error_hint(span, format!("to: {message}"), files::REMOTE.to_owned());
        return None;
    }
    Some(path.0.clone())
}

fn mode(scope: &Scope<'_>, span: &Span, mode: &Mode) -> Option<u32> {
    let text = &mode.0;
    let good = (3..=5).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let bits = good
        .then(|| u32::from_str_radix(text, 8).ok())
        .flatten()
        .filter(|bits| *bits <= 0o7777);
    if bits.is_none() {
        scope.sink.error_hint(
            span,
            format!("`{}` is not a file mode", shorten(text)),
            "write the permission bits in octal, mode: \"0644\"".to_owned(),
        );
    }
    bits
}

fn owner(scope: &Scope<'_>, span: &Span, owner: &Owner) -> Option<String> {
    let good = owner.0.split(':').count() <= 2 && owner.0.split(':').all(files::is_login);
    if !good {
        scope.sink.error_hint(
            span,
            format!("`{}` is not an owner", shorten(&owner.0)),
            "write `user` or `user:group`".to_owned(),
        );
    }
    good.then(|| owner.0.clone())
}

fn command_text(scope: &Scope<'_>, span: &Span, text: &str) -> Option<String> {
    if text.trim().is_empty() {
        let hint = "write a command for `sh`, or remove the step".to_owned();
        scope.sink.error_hint(span, "the command is empty", hint);
        return None;
    }
    if text.contains('\0') {
        let hint = "remove the character: no command can contain it".to_owned();
        scope
            .sink
            .error_hint(span, "the command contains a NUL character", hint);
        return None;
    }
    Some(text.to_owned())
}

fn describe(action: &ConfigureAction) -> String {
    match action {
        ConfigureAction::Template {
            source: Some(source),
            to,
            ..
        } => format!("{source} -> {to}"),
        ConfigureAction::Template { to, .. } => to.clone(),
        ConfigureAction::File { source, to, .. } => {
            let name = source.file_name().unwrap_or_default().to_string_lossy();
            format!("{name} -> {to}")
        }
        ConfigureAction::Run { command } => {
            let first = command.trim().lines().next().unwrap_or_default();
            let mut short: String = first.chars().filter(|c| !c.is_control()).take(60).collect();
            if short.len() < command.trim().len() {
                short.push_str("...");
            }
            short
        }
    }
}

pub(super) fn workload(
    scope: &Scope<'_>,
    raw: Option<&At<Vec<At<RawWorkload>>>>,
    groups: &Groups,
    made: &Made,
) -> Vec<Placed<WorkloadStep>> {
    let mut names = HashMap::new();
    let list = raw.and_then(At::get);
    list.into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(i, at)| {
            let raw = at.get()?;
            let on = on(scope, raw.on.as_ref(), groups);
            let timeout = timeout(scope, raw.timeout.as_ref(), WORKLOAD_TIMEOUT);
            let collect = collect(scope, raw);
            let barrier = raw
                .barrier
                .as_ref()
                .and_then(|at| at.get().copied())
                .unwrap_or(false);
            let fanout = fanout(scope, raw.fanout.as_ref());
            if let (true, Some(at)) = (barrier, &raw.fanout) {
                scope.sink.error_hint(
                    &at.span,
                    "a step with a barrier starts on all its nodes at once",
                    "leave out `fanout` or `barrier`".to_owned(),
                );
            }
            let (name, span) = match &raw.name {
                Some(name) => (name.get()?.0.clone(), &name.span),
                None => (format!("step{}", i + 1), &at.span),
            };
            let good_name = file_name(scope, span, &name) && once(scope, span, &name, &mut names);
            let Some(run) = &raw.run else {
                scope.sink.error_hint(
                    &at.span,
                    "the step has no `run`",
                    "add the command that it runs".to_owned(),
                );
                return None;
            };
            let command = command_text(scope, &run.span, &run.get()?.0);
            let measured = made.steps.get(i)?;
            good_name.then_some(Placed {
                step: WorkloadStep {
                    name,
                    on: on?,
                    run: command?,
                    timeout: timeout?,
                    barrier,
                    fanout: Some(fanout?).filter(|fanout| *fanout > 0),
                    collect: collect?,
                    metrics: measured.metrics.clone(),
                    watch: measured.watch.clone(),
                    at: Some(scope.sink.locate(at.span.start)),
                },
                action: run.span.clone(),
                to: run.span.clone(),
            })
        })
        .collect()
}

fn collect(scope: &Scope<'_>, raw: &RawWorkload) -> Option<Vec<String>> {
    let Some(list) = &raw.collect else {
        return Some(Vec::new());
    };
    list.get()?
        .iter()
        .map(|at| {
            let path = at.get()?;
            if let Err(message) = files::check_glob(path) {
                scope.sink.error_hint(
                    &at.span,
                    format!("collect: {message}"),
                    "write an absolute path; `*`, `?` and `[...]` are allowed".to_owned(),
                );
                return None;
            }
            Some(path.clone())
        })
        .collect()
}

/// The name of a workload step is also the name of a directory.
fn file_name(scope: &Scope<'_>, span: &Span, name: &str) -> bool {
    let good = (1..=50).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
    if !good {
        scope.sink.error_hint(
            span,
            format!("`{}` is not a valid name of a workload step", shorten(name)),
            "use 1 to 50 lower-case letters, digits, `-` and `_`".to_owned(),
        );
    }
    good
}

/// Whether no earlier step uses a name.
fn once(scope: &Scope<'_>, span: &Span, name: &str, names: &mut HashMap<String, usize>) -> bool {
    if let Some(first) = names.get(name) {
        let line = scope.sink.locate(*first).line;
        scope.sink.error_hint(
            span,
            format!("the step name `{}` is given twice", shorten(name)),
            format!("it is first given in line {line}"),
        );
        return false;
    }
    names.insert(name.to_owned(), span.start);
    true
}

fn on(scope: &Scope<'_>, raw: Option<&At<Nodes>>, groups: &Groups) -> Option<Vec<NodeName>> {
    match raw {
        None => Some(groups.names.clone()),
        Some(at) => nodes::known(scope, &at.span, &at.get()?.0, "node", &groups.names, &groups.sets),
    }
}

fn timeout(scope: &Scope<'_>, raw: Option<&At<Time>>, default: Duration) -> Option<Duration> {
    match raw {
        None => Some(default),
        Some(at) => values::time(scope, &at.span, &at.get()?.0),
    }
}

/// `Some(0)` if it is left out: as many as the hosts can handle.
fn fanout(scope: &Scope<'_>, raw: Option<&At<u32>>) -> Option<usize> {
    let Some(at) = raw else { return Some(0) };
    let number = values::number(scope, &at.span, &at.get()?.to_string(), "fanout", 100_000)?;
    usize::try_from(number).ok()
}
