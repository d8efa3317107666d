//! Checks the names in every template of the steps, and renders it once per group, with made-up addresses, so that an
//! unknown variable is found before any machine is started.

use std::collections::HashSet;

use super::Scope;
use super::files::{REMOTE, check_remote_path};
use super::steps::Placed;
use super::values::Span;
use crate::base::failure::UserFacing;
use crate::base::name::NodeName;
use crate::template::{Shared, TemplateError};
use crate::topology::model::{ConfigureAction, ConfigureStep, Topology, WorkloadStep};

pub(super) fn check(
    scope: &Scope<'_>,
    topology: &Topology,
    configure: &[Placed<ConfigureStep>],
    workload: &[Placed<WorkloadStep>],
) {
    let checker = Checker {
        scope,
        topology,
        shared: crate::topology::data::sample(topology),
        of_groups: topology
            .groups
            .iter()
            .filter_map(|group| group.nodes.first().cloned())
            .collect(),
    };
    for placed in configure {
        let nodes = checker.one_of_each_group(&placed.step.on);
        match &placed.step.action {
            ConfigureAction::Template { text, source, to, .. } => {
                match source {
                    Some(file) => checker.text(&placed.action, text, Kind::File(file), &nodes),
                    None => checker.text(&placed.action, text, Kind::Inline("content"), &nodes),
                };
                checker.path(&placed.to, to, &nodes);
            }
            ConfigureAction::File { to, .. } => checker.path(&placed.to, to, &nodes),
            ConfigureAction::Run { command } => {
                checker.text(&placed.action, command, Kind::Inline("run"), &nodes);
            }
        }
    }
    for placed in workload {
        let nodes = checker.one_of_each_group(&placed.step.on);
        checker.text(&placed.action, &placed.step.run, Kind::Inline("run"), &nodes);
    }
}

/// Where a template comes from.
#[derive(Clone, Copy)]
enum Kind<'a> {
    File(&'a str),
    Inline(&'a str),
}

struct Checker<'a> {
    scope: &'a Scope<'a>,
    topology: &'a Topology,
    shared: Shared,
    /// The first node of each group: all nodes of a group have variables of the same names.
    of_groups: Vec<NodeName>,
}

impl Checker<'_> {
    /// The first node of every group among these nodes.
    fn one_of_each_group(&self, on: &[NodeName]) -> Vec<NodeName> {
        let wanted: HashSet<&NodeName> = on.iter().collect();
        self.topology
            .groups
            .iter()
            .filter_map(|group| group.nodes.iter().find(|node| wanted.contains(node)).cloned())
            .collect()
    }

    /// Checks all names in a text, and renders it for these nodes up to its first mistake.
    fn text(&self, span: &Span, text: &str, kind: Kind<'_>, nodes: &[NodeName]) -> Vec<String> {
        let (Kind::File(source) | Kind::Inline(source)) = kind;
        let template = match self.shared.compile(text, source) {
            Ok(template) => template,
            Err(error) => {
                self.report(span, text, kind, &error, None);
                return Vec::new();
            }
        };
        let unknown = self.shared.unknown_names(&template, text, &self.of_groups);
        if !unknown.is_empty() {
            for error in &unknown {
                self.report(span, text, kind, error, None);
            }
            return Vec::new();
        }
        let mut rendered = Vec::with_capacity(nodes.len());
        for node in nodes {
            match self.shared.render(&template, node) {
                Ok(output) => rendered.push(output),
                Err(error) => {
                    // If it is right for another group, the message names the node for which it is wrong.
                    let node = (!rendered.is_empty()).then_some(node);
                    self.report(span, text, kind, &error, node);
                    break;
                }
            }
        }
        rendered
    }

    fn path(&self, span: &Span, text: &str, nodes: &[NodeName]) {
        for path in self.text(span, text, Kind::Inline("to"), nodes) {
            if let Err(message) = check_remote_path(&path) {
                let hint = REMOTE.to_owned();
                self.scope.sink.error_hint(span, format!("to: {message}"), hint);
                return;
            }
        }
    }

    /// Reports a mistake; that of an inline template at its exact place in the topology.
    fn report(
        &self,
        span: &Span,
        text: &str,
        kind: Kind<'_>,
        error: &TemplateError,
        node: Option<&NodeName>,
    ) {
        let sink = self.scope.sink;
        let (place, span) = match kind {
            Kind::File(_) => (error.place(), span.clone()),
            Kind::Inline(what) => {
                let exact = error
                    .line
                    .zip(error.column)
                    .and_then(|(line, column)| sink.pinpoint(span, text, line, column));
                (what.to_owned(), exact.unwrap_or_else(|| span.clone()))
            }
        };
        let of = node.map_or_else(String::new, |node| format!(" (on `{node}`)"));
        sink.error_hint(&span, format!("{place}: {}{of}", error.message), error.hint());
    }
}
