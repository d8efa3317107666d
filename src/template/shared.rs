//! The data for templates. Built once per cluster; the part that differs between nodes is swapped into
//! and out of one context, so rendering for a node does not copy the data of others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use handlebars::Context;
use serde_json::Value;

use super::lint::{self, Roots};
use super::{Engine, Template, TemplateError};
use crate::base::name::NodeName;

/// The data of a cluster and the engine that renders with it.
pub struct Shared {
    engine: Engine,
    nodes: HashMap<NodeName, Place>,
    state: Mutex<State>,
    /// The texts that were compiled: each is rendered for many nodes.
    compiled: Mutex<HashMap<String, Arc<Template>>>,
}

/// Where a node's data is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Index in the data of nodes and of their variables.
    pub node: usize,
    /// Index in the data of groups.
    pub group: usize,
}

/// The data of a cluster, from which a [`Shared`] is made.
#[derive(Debug)]
pub struct Data {
    /// The data for every template, with `node`, `vars` and `group` left empty.
    pub context: Value,
    /// `node` of each node.
    pub nodes: Vec<Value>,
    /// `vars` of each node.
    pub vars: Vec<Value>,
    /// `group` of each group.
    pub groups: Vec<Value>,
    /// Where the data of each node is.
    pub places: HashMap<NodeName, Place>,
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
    /// An engine with this data.
    pub fn new(data: Data) -> Self {
        Self {
            engine: Engine::new(),
            nodes: data.places,
            state: Mutex::new(State {
                context: Context::from(data.context),
                nodes: data.nodes,
                vars: data.vars,
                groups: data.groups,
            }),
            compiled: Mutex::default(),
        }
    }

    /// Compiles a template; see [`Engine::compile`].
    pub fn compile(&self, text: &str, source: &str) -> Result<Template, TemplateError> {
        self.engine.compile(text, source)
    }

    /// The names in a template that are unknown for each of these nodes, also in branches that none of them takes.
    pub fn unknown_names(&self, template: &Template, text: &str, nodes: &[NodeName]) -> Vec<TemplateError> {
        let guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &*guard;
        let places: Vec<Place> = nodes
            .iter()
            .filter_map(|node| self.nodes.get(node).copied())
            .collect();
        let roots = Roots {
            context: state.context.data(),
            varying: [
                (
                    "node",
                    places.iter().map(|place| &state.nodes[place.node]).collect(),
                ),
                (
                    "vars",
                    places.iter().map(|place| &state.vars[place.node]).collect(),
                ),
                (
                    "group",
                    places.iter().map(|place| &state.groups[place.group]).collect(),
                ),
            ],
        };
        lint::unknown_names(&template.compiled, text, &template.source, &roots)
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
        // A panic while rendering misplaces the data of one node at most.
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        state.swap(place);
        let result = self.engine.render(template, &state.context);
        state.swap(place);
        result
    }

    /// Compiles and renders a text of the topology for a node; compiles each text once.
    pub fn render_text(&self, text: &str, source: &str, node: &NodeName) -> Result<String, TemplateError> {
        if !super::is_template(text) {
            return Ok(text.to_owned());
        }
        self.render(&*self.compile_once(text, source)?, node)
    }

    fn compile_once(&self, text: &str, source: &str) -> Result<Arc<Template>, TemplateError> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(template) = compiled.get(text).filter(|known| known.source == source) {
            return Ok(template.clone());
        }
        let template = Arc::new(self.compile(text, source)?);
        compiled.insert(text.to_owned(), template.clone());
        Ok(template)
    }
}

impl State {
    /// Swaps the values of a node with those in the context.
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
