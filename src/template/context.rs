//! What a template sees. Built once per cluster; the part that differs between nodes is swapped in
//! and out of the one context, so rendering for a node copies nothing of the others.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use handlebars::Context;
use serde_json::{Map, Value, json};

use super::{Engine, Template, TemplateError};
use crate::name::{GroupName, HostName, NodeName};
use crate::plan::Plan;
use crate::topology::{Node, Topology};

/// The data of a cluster and the engine that renders with it.
pub struct Shared {
    engine: Engine,
    nodes: HashMap<NodeName, Place>,
    state: Mutex<State>,
}

/// Where a node's data is.
struct Place {
    node: usize,
    group: usize,
}

struct State {
    context: Context,
    nodes: Vec<Value>,
    vars: Vec<Value>,
    groups: Vec<Value>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Reads a template; see [`Engine::compile`].
    pub fn compile(&self, text: &str, source: &str) -> Result<Template, TemplateError> {
        self.engine.compile(text, source)
    }

    /// Renders a template for a node.
    pub fn render(&self, template: &Template, node: &NodeName) -> Result<String, TemplateError> {
        let Some(place) = self.nodes.get(node) else {
            return Err(TemplateError::new(
                &template.source,
                None,
                format!("there is no node `{node}`"),
            ));
        };
        // A panic while rendering leaves at worst the data of one node out of place.
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        state.swap(place);
        let result = self.engine.render(template, &state.context);
        state.swap(place);
        result
    }

    /// Reads and renders a short text, such as a command or a path, for a node.
    pub fn render_text(&self, text: &str, source: &str, node: &NodeName) -> Result<String, TemplateError> {
        if !super::is_template(text) {
            return Ok(text.to_owned());
        }
        self.render(&self.compile(text, source)?, node)
    }
}

impl State {
    /// Exchanges the values of a node with what stands in the context.
    fn swap(&mut self, place: &Place) {
        let data = self.context.data_mut();
        for (key, value) in [
            ("node", &mut self.nodes[place.node]),
            ("vars", &mut self.vars[place.node]),
            ("group", &mut self.groups[place.group]),
        ] {
            if let Some(slot) = data.get_mut(key) {
                std::mem::swap(slot, value);
            }
        }
    }
}

/// A node with what the planner decided.
struct Placed<'a> {
    node: &'a Node,
    address: Ipv4Addr,
    host: Option<&'a HostName>,
}

/// The data of a cluster as planned. Nodes that the plan does not hold are left out.
pub fn context(plan: &Plan, topology: &Topology) -> Shared {
    let planned: HashMap<&NodeName, _> = plan.nodes.iter().map(|node| (&node.name, node)).collect();
    let placed = topology.nodes.iter().filter_map(|node| {
        let plan = planned.get(&node.name)?;
        Some(Placed {
            node,
            address: plan.spec.address,
            host: Some(&plan.host),
        })
    });
    build(topology, placed.collect())
}

/// The data of a cluster that is not planned yet: addresses as a new cluster would get them, hosts in turn.
pub fn sample(topology: &Topology) -> Shared {
    let placed = topology
        .nodes
        .iter()
        .zip(topology.network.subnet.hosts().cycle())
        .enumerate()
        .map(|(i, (node, address))| Placed {
            node,
            address,
            host: topology
                .hosts
                .get(i % topology.hosts.len().max(1))
                .map(|host| &host.name),
        });
    build(topology, placed.collect())
}

fn build(topology: &Topology, members: Vec<Placed<'_>>) -> Shared {
    let nodes: Vec<Value> = members.iter().map(describe).collect();
    let mut of_group: HashMap<&GroupName, Vec<Value>> = HashMap::new();
    let mut on_host: HashMap<&HostName, Vec<&str>> = HashMap::new();
    for (placed, value) in members.iter().zip(&nodes) {
        of_group
            .entry(&placed.node.group)
            .or_default()
            .push(value.clone());
        if let Some(host) = placed.host {
            on_host.entry(host).or_default().push(placed.node.name.as_str());
        }
    }
    let mut group_at = HashMap::new();
    let mut groups = Vec::new();
    let mut by_group = Map::new();
    for (index, group) in topology.groups.iter().enumerate() {
        let nodes = of_group.remove(&group.name).unwrap_or_default();
        by_group.insert(group.name.to_string(), nodes.clone().into());
        groups.push(json!({ "name": group.name, "index": index, "nodes": nodes }));
        group_at.insert(&group.name, index);
    }
    let hosts: Vec<Value> = topology
        .hosts
        .iter()
        .enumerate()
        .map(|(index, host)| {
            json!({
                "name": host.name,
                "index": index,
                "nodes": on_host.remove(&host.name).unwrap_or_default(),
                "vars": host.vars,
            })
        })
        .collect();
    let places = members
        .iter()
        .enumerate()
        .filter_map(|(node, placed)| {
            let group = *group_at.get(&placed.node.group)?;
            Some((placed.node.name.clone(), Place { node, group }))
        })
        .collect();
    let vars = members
        .iter()
        .map(|placed| placed.node.vars.clone().into())
        .collect();
    let context = Context::from(json!({
        "cluster": { "name": topology.name, "subnet": topology.network.subnet },
        "node": null,
        "group": null,
        "vars": null,
        "groups": by_group,
        "hosts": hosts,
        "nodes": nodes,
    }));
    Shared {
        engine: Engine::new(),
        nodes: places,
        state: Mutex::new(State {
            context,
            nodes,
            vars,
            groups,
        }),
    }
}

fn describe(placed: &Placed<'_>) -> Value {
    let node = placed.node;
    json!({
        "name": node.name,
        "address": placed.address,
        "index": node.index,
        "group": node.group,
        "host": placed.host,
        "vcpus": node.vcpus,
        "memory_mib": node.memory.0,
    })
}
