//! The topologies of all variants: read once, checked before anything is raised.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::plan::{Design, Variant};
use crate::base::exit::ExitCode;
use crate::base::failure::UserError;
use crate::base::name::{ClusterName, NodeName};
use crate::base::suggest::suggest;
use crate::base::text::sanitize;
use crate::cluster::run::choose;
use crate::measure::Expression;
use crate::topology::{Overrides, Topology};

/// The topologies of the variants of an experiment. The file is read once: a change while the experiment runs has no
/// effect.
#[derive(Clone, Debug)]
pub struct Topologies {
    text: String,
    file: String,
    base_dir: PathBuf,
    name: ClusterName,
    loaded: Vec<(Variant, Topology)>,
}

impl Topologies {
    /// Reads the file and checks it for every variant. `-` is standard input.
    pub fn load(file: &str, design: &Design) -> anyhow::Result<Self> {
        let plain = Topology::load(file)?;
        check_names(&plain, design)?;
        let mut topologies = Self {
            text: plain.text,
            file: plain.file,
            base_dir: plain.base_dir,
            name: plain.name,
            loaded: Vec::new(),
        };
        for variant in design.all_variants() {
            let topology = topologies.parse(&variant)?;
            topologies.loaded.push((variant, topology));
        }
        Ok(topologies)
    }

    /// The name of the cluster.
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// The directory of the file.
    pub fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// How many metrics a comparison of variants judges: those with a bound or a `min_change`.
    pub fn judged_metrics(&self) -> usize {
        let Some((_, topology)) = self.loaded.first() else {
            return 0;
        };
        let bounds = topology.criteria.iter();
        let bounds = bounds.filter(|criterion| matches!(criterion.is, Expression::Bound { .. }));
        let steps = topology.workload.iter().flat_map(|step| &step.metrics);
        let specs = steps.chain(&topology.metrics);
        let specs = specs.filter(|spec| spec.min_change.is_some());
        let names = bounds
            .map(|criterion| &criterion.metric)
            .chain(specs.map(|spec| &spec.name));
        names.collect::<BTreeSet<_>>().len()
    }

    /// The topology of a variant, also of one that was not planned.
    pub(super) fn of(&self, variant: &Variant) -> anyhow::Result<Topology> {
        let loaded = self.loaded.iter().find(|(loaded, _)| loaded == variant);
        loaded.map_or_else(|| self.parse(variant), |(_, topology)| Ok(topology.clone()))
    }

    fn parse(&self, variant: &Variant) -> anyhow::Result<Topology> {
        let overrides: Overrides = variant.overrides();
        let topology = Topology::parse_with(&self.text, &self.file, &self.base_dir, &overrides);
        let words = variant.words();
        let topology = match topology {
            Err(mistakes) if !words.is_empty() => {
                let what = format!("the topology is not valid with {}", sanitize(&words));
                return Err(mistakes).with_context(|| what);
            }
            topology => topology?,
        };
        if topology.name != self.name {
            let text = format!(
                "the cluster is called `{}` with {}, and `{}` otherwise",
                topology.name,
                sanitize(&words),
                self.name
            );
            let hint = "all variants run on one cluster: its name may not depend on what is varied";
            return Err(UserError::new(ExitCode::Usage, text).with_hint(hint).into());
        }
        let nodes: Vec<NodeName> = topology.nodes.iter().map(|node| node.name.clone()).collect();
        choose(&[], topology.workload.clone(), &nodes)?;
        Ok(topology)
    }
}

/// Checks that the topology has what is varied.
fn check_names(topology: &Topology, design: &Design) -> Result<(), UserError> {
    for name in design.vary.keys() {
        if !topology.vars.contains_key(name) {
            let text = format!("the topology has no variable `{}` in `vars`", sanitize(name));
            let mut unknown = UserError::new(ExitCode::Usage, text);
            let known = suggest(name, topology.vars.keys().map(String::as_str));
            unknown.hint = Some(known.unwrap_or_else(|| {
                "`--vary` sets a variable of the topology: add it, such as `vars: { rev: main }`".to_owned()
            }));
            return Err(unknown);
        }
    }
    for group in design.nodes.keys() {
        let known = topology.groups.iter().map(|group| group.name.as_str());
        if !known.clone().any(|name| name == group.as_str()) {
            let text = format!("the topology has no group `{group}`");
            let mut unknown = UserError::new(ExitCode::Usage, text);
            unknown.hint = suggest(group.as_str(), known);
            return Err(unknown);
        }
    }
    Ok(())
}

/// Whether two topologies differ in no more than what the configuration and the workload do.
pub(super) fn has_same_machines(one: &Topology, other: &Topology) -> bool {
    match (machines(one), machines(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// What `up` makes: all of a topology but its steps and the variables that they use.
fn machines(topology: &Topology) -> Option<Value> {
    let mut value = serde_json::to_value(topology).ok()?;
    let top = value.as_object_mut()?;
    for key in ["vars", "configure", "workload", "metrics", "criteria", "ttl"] {
        top.remove(key);
    }
    for list in ["nodes", "groups", "hosts"] {
        for item in top.get_mut(list)?.as_array_mut()? {
            item.as_object_mut()?.remove("vars");
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name: demo\nvars: { rev: main, memory: 96MiB }\n\
        groups: { worker: { count: 2, memory: \"{{vars.memory}}\" } }\nworkload: [{ run: \"echo {{vars.rev}}\" }]\n";

    fn with(overrides: &Overrides) -> Topology {
        let topology = Topology::parse_with(TEXT, "t.yaml", Path::new("."), overrides);
        topology.unwrap_or_else(|error| panic!("{error}"))
    }

    fn vars(name: &str, value: &str) -> Overrides {
        Variant {
            vars: [(name.to_owned(), value.to_owned())].into_iter().collect(),
            ..Variant::default()
        }
        .overrides()
    }

    #[test]
    fn a_variable_of_the_steps_needs_no_other_machines_and_one_of_the_nodes_does() {
        let plain = with(&Overrides::default());
        assert!(has_same_machines(&plain, &with(&vars("rev", "new"))));
        assert!(!has_same_machines(&plain, &with(&vars("memory", "128MiB"))));
        let grown = Variant {
            counts: [("worker".parse().unwrap(), 3)].into_iter().collect(),
            ..Variant::default()
        };
        assert!(!has_same_machines(&plain, &with(&grown.overrides())));
    }
}
