//! Groups and their nodes: names, networks, placement.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::images::Images;
use super::networks::Networks;
use super::node_values::{NodeValues, pick};
use super::values::{self, Span};
use super::{Scope, nodes, user_data};
use crate::base::name::{GroupName, HostName, NodeName};
use crate::base::suggest::suggest;
use crate::topology::limits::{MAX_NODES, RESERVED_NODES};
use crate::topology::model::{Group, Host, Node};
use crate::topology::raw::{RawGroup, RawTopology};
use crate::topology::reader::At;
use crate::topology::tree::shorten;

/// The groups and nodes of a topology.
pub(super) struct Groups {
    pub(super) list: Vec<Group>,
    pub(super) nodes: Vec<Node>,
    /// Names of all nodes in topology order.
    pub(super) names: Vec<NodeName>,
    /// Members of every group in the file, for `@GROUP`.
    pub(super) sets: Vec<(String, Vec<String>)>,
    /// Whether every group and node could be read.
    pub(super) complete: bool,
}

pub(super) fn resolve(
    scope: &Scope<'_>,
    raw: &RawTopology,
    hosts: &[Host],
    images: &Images,
    networks: &Networks<'_>,
    vars: &Map<String, Value>,
) -> Groups {
    let mut groups = Groups {
        list: Vec::new(),
        nodes: Vec::new(),
        names: Vec::new(),
        sets: Vec::new(),
        complete: true,
    };
    let empty = Vec::new();
    let entries = raw
        .groups
        .as_ref()
        .and_then(At::get)
        .map_or(&empty, |entries| &entries.0);
    if entries.is_empty() && raw.groups.as_ref().is_none_or(|at| at.value.is_some()) {
        let span = raw.groups.as_ref().map_or(0..0, |at| at.span.clone());
        scope.sink.error_hint(
            &span,
            "the topology has no `groups`, so it has no nodes",
            "add `groups: { worker: { count: 3 } }`".to_owned(),
        );
    }
    let defaults = raw
        .defaults
        .as_ref()
        .and_then(At::get)
        .cloned()
        .unwrap_or_default();
    let host_names: Vec<HostName> = hosts.iter().map(|host| host.name.clone()).collect();
    let mut taken: HashMap<String, Span> = HashMap::new();
    let written: Vec<&str> = entries
        .iter()
        .filter_map(|(key, _)| key.get().map(String::as_str))
        .collect();
    for (key, raw_group) in entries {
        let Some(text) = key.get() else { continue };
        let names = raw_group
            .get()
            .and_then(|raw| names(scope, key, text, raw, &mut groups));
        groups.sets.push((
            text.clone(),
            names.iter().flatten().map(NodeName::to_string).collect(),
        ));
        let name = group_name(scope, &key.span, text);
        let (Some(raw_group), Some(names), Some(name)) = (raw_group.get(), names, name) else {
            groups.complete = false;
            continue;
        };
        claim(scope, key, &names, hosts, &mut taken, &mut groups.complete);
        let on = raw_group
            .on
            .as_ref()
            .and_then(|on| nodes::known(scope, &on.span, &on.get()?.0, "host", &host_names, &[]));
        let group = Group {
            name: name.clone(),
            nodes: names.clone(),
            place: pick(raw_group.place.as_ref(), defaults.place.as_ref())
                .copied()
                .unwrap_or_default(),
            on,
            separate: separate(scope, raw_group, &written),
            user_data: user_data::read(scope, raw_group.user_data.as_ref()).unwrap_or_default(),
            vars: values::vars(raw_group.vars.as_ref()),
            at: Some(scope.sink.locate(key.span.start)),
        };
        let joined = networks.joined(scope, raw_group.networks.as_ref().or(defaults.networks.as_ref()));
        // Templates and the use of networks depend on it.
        groups.complete &= joined.is_some();
        let joined = joined.unwrap_or_default();
        let template = NodeValues {
            scope,
            raw: raw_group,
            defaults: &defaults,
            images,
            networks: &joined,
            group: &group,
            group_index: groups.list.len(),
            vars,
        };
        let before = groups.nodes.len();
        groups.complete &= template.nodes(&mut groups.nodes);
        let its_images = groups.nodes[before..]
            .iter()
            .filter_map(|node| images.get(node.image.as_str()));
        user_data::check_group(scope, raw_group.user_data.as_ref(), its_images);
        groups.list.push(group);
    }
    groups
}

fn group_name(scope: &Scope<'_>, span: &Span, text: &str) -> Option<GroupName> {
    if text == "all" {
        scope.sink.error_hint(
            span,
            "a group cannot be called `all`",
            "`@all` means every node; choose another name".to_owned(),
        );
        return None;
    }
    values::name(scope, span, text)
}

/// The names of a group's nodes, by `count` or by `nodes`.
fn names(
    scope: &Scope<'_>,
    key: &At<String>,
    group: &str,
    raw: &RawGroup,
    groups: &mut Groups,
) -> Option<Vec<NodeName>> {
    let left = MAX_NODES.saturating_sub(groups.names.len());
    let names: Vec<String> = match (&raw.count, &raw.nodes) {
        (Some(count), None) => {
            let wanted = *count.get()? as usize;
            if wanted == 0 {
                scope.sink.error_hint(
                    &count.span,
                    format!("the group `{}` has 0 nodes", shorten(group)),
                    "give it 1 or more, or leave the group out".to_owned(),
                );
                return None;
            }
            if wanted > left {
                too_many(scope, &count.span);
                return None;
            }
            // `group_name` reports a bad group name.
            group.parse::<GroupName>().ok()?;
            (1..=wanted).map(|i| format!("{group}{i:03}")).collect()
        }
        (None, Some(set)) => {
            let text = &set.get()?.0;
            let names = nodes::plain(scope, &set.span, text, MAX_NODES, "nodes")?;
            if names.len() > left {
                too_many(scope, &set.span);
                return None;
            }
            names
        }
        (Some(_), Some(set)) => {
            scope.sink.error_hint(
                &set.span,
                format!("the group `{}` has both `count` and `nodes`", shorten(group)),
                "keep one of the two".to_owned(),
            );
            return None;
        }
        (None, None) => {
            scope.sink.error_hint(
                &key.span,
                format!("the group `{}` has no nodes", shorten(group)),
                "add `count: 3` or `nodes: \"web[1-3]\"`".to_owned(),
            );
            return None;
        }
    };
    let span = raw.nodes.as_ref().map_or(&key.span, |nodes| &nodes.span);
    let names: Vec<NodeName> = names
        .iter()
        .map(|name| values::name(scope, span, name))
        .collect::<Option<_>>()?;
    if let Some(reserved) = names.iter().find(|name| RESERVED_NODES.contains(&name.as_str())) {
        scope.sink.error_hint(
            span,
            format!("a node cannot be called `{reserved}`: the name is reserved"),
            "choose another name".to_owned(),
        );
        return None;
    }
    groups.names.extend(names.iter().cloned());
    Some(names)
}

fn too_many(scope: &Scope<'_>, span: &Span) {
    scope.sink.error_hint(
        span,
        format!("the topology has more than {MAX_NODES} nodes"),
        "use fewer nodes, or split the topology into several clusters".to_owned(),
    );
}

/// Every name stands for one machine, node or host.
fn claim(
    scope: &Scope<'_>,
    key: &At<String>,
    names: &[NodeName],
    hosts: &[Host],
    taken: &mut HashMap<String, Span>,
    complete: &mut bool,
) {
    for name in names {
        let message = if let Some(first) = taken.get(name.as_str()) {
            let line = scope.sink.locate(first.start).line;
            format!("the node `{name}` is in two groups; the other one is in line {line}")
        } else if name.as_str() == "localhost" || hosts.iter().any(|host| host.name.as_str() == name.as_str())
        {
            format!("the node `{name}` has the name of a host")
        } else {
            taken.insert(name.to_string(), key.span.clone());
            continue;
        };
        *complete = false;
        scope.sink.error_hint(
            &key.span,
            message,
            "names of nodes and hosts must differ; rename the group or give its `nodes`".to_owned(),
        );
        return;
    }
}

fn separate(scope: &Scope<'_>, raw: &RawGroup, written: &[&str]) -> Vec<GroupName> {
    let list = raw.separate.as_ref().and_then(At::get);
    list.into_iter()
        .flatten()
        .filter_map(|at| {
            let name = at.get()?;
            if !written.contains(&name.as_str()) {
                scope.sink.error_hint(
                    &at.span,
                    format!("unknown group `{}`", shorten(name)),
                    suggest(name, written.iter().copied()),
                );
                return None;
            }
            name.parse().ok()
        })
        .collect()
}
