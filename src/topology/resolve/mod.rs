//! Raw types to the model: defaults, node sets, templates of values, references, limits. Continues
//! after every mistake with what is left.

mod criteria;
mod files;
mod groups;
mod hosts;
mod images;
mod known;
mod metric_values;
mod metrics;
mod network;
mod networks;
mod node_values;
mod nodes;
mod properties;
mod readings;
mod steps;
mod templates;
mod user_data;
mod values;

use std::path::{Path, PathBuf};

pub use files::check_remote_path;

use super::diagnostics::Sink;
use super::min_ready::MinReady;
use super::model::Topology;
use super::raw::RawTopology;
use crate::base::name::ClusterName;
use crate::base::text::plural;
use crate::template::Engine;

/// What every part of the resolution needs.
struct Scope<'a> {
    sink: &'a Sink<'a>,
    engine: Engine,
    /// The directory that relative paths are relative to, symbolic links resolved.
    base_dir: PathBuf,
}

/// Resolves a topology; `None` if mistakes leave nothing to build. Mistakes are in the sink.
pub(super) fn topology(raw: &RawTopology, sink: &Sink<'_>, base_dir: &Path) -> Option<Topology> {
    let base_dir = match base_dir.canonicalize() {
        Ok(base_dir) => base_dir,
        Err(error) => {
            sink.error_hint(
                &(0..0),
                format!("the directory `{}` cannot be read: {error}", base_dir.display()),
                "relative paths in the topology are relative to it: it must exist".to_owned(),
            );
            return None;
        }
    };
    let scope = Scope {
        sink,
        engine: Engine::new(),
        base_dir,
    };
    if raw.name.is_none() {
        sink.error_hint(
            &(0..0),
            "the topology has no `name`",
            "add `name: my-cluster`".to_owned(),
        );
    }
    let name = raw
        .name
        .as_ref()
        .and_then(|name| values::name::<ClusterName>(&scope, &name.span, &name.get()?.0));
    let vars = values::vars(raw.vars.as_ref());
    let ttl = match raw.ttl.as_ref().and_then(|ttl| Some((ttl.get()?, &ttl.span))) {
        Some((text, span)) => values::lease(&scope, span, &text.0),
        None => Some(crate::base::units::LEASE),
    };
    let hosts = hosts::resolve(&scope, raw.hosts.as_ref());
    let images = images::resolve(&scope, raw.images.as_ref());
    let networks = networks::Networks::read(&scope, raw);
    let groups = groups::resolve(&scope, raw, &hosts, &images, &networks, &vars);
    let (network, networks) = networks.resolve(&scope, &groups.nodes, groups.complete, hosts.len());
    let configure = steps::configure(&scope, raw.configure.as_ref(), &groups);
    let made = metrics::Made::read(&scope, raw.workload.as_ref());
    let workload = steps::workload(&scope, raw.workload.as_ref(), &groups, &made);
    let metrics = properties::resolve(&scope, raw.metrics.as_ref(), &made);
    let criteria = criteria::resolve(&scope, raw.criteria.as_ref(), &made, &metrics, &groups);
    let min_ready = raw
        .min_ready
        .as_ref()
        .and_then(|at| {
            min_ready(
                &scope,
                &at.span,
                &at.get()?.0,
                groups.nodes.len(),
                groups.complete,
            )
        })
        .unwrap_or_default();
    let complete = groups.complete;
    let topology = Topology {
        // The placeholder is never used: without a name there is a mistake in the sink.
        name: name.or_else(|| "unnamed".parse().ok())?,
        hosts,
        images: images.used(&groups.nodes),
        network,
        networks,
        groups: groups.list,
        nodes: groups.nodes,
        min_ready,
        vars,
        configure: configure.iter().map(|step| step.step.clone()).collect(),
        workload: workload.iter().map(|step| step.step.clone()).collect(),
        metrics,
        criteria,
        ttl,
        base_dir: scope.base_dir.clone(),
        file: sink.file().to_owned(),
        text: String::new(),
    };
    // If nodes or their variables are missing, templates would only report that again.
    if complete && !topology.nodes.is_empty() {
        templates::check(&scope, &topology, &configure, &workload);
    }
    Some(topology)
}

/// A count may not exceed the number of nodes, if that is known.
fn min_ready(
    scope: &Scope<'_>,
    span: &values::Span,
    text: &str,
    nodes: usize,
    complete: bool,
) -> Option<MinReady> {
    let fault = match text.trim().parse() {
        Ok(MinReady::Nodes(count)) if complete && count as usize > nodes => {
            format!("the topology has only {}", plural(nodes, "node"))
        }
        Ok(min_ready) => return Some(min_ready),
        Err(error) => error.to_string(),
    };
    let text = super::tree::shorten(text);
    scope.sink.error_hint(
        span,
        format!("min_ready: `{text}`: {fault}"),
        "write a share such as 95%, or a number of nodes".to_owned(),
    );
    None
}
