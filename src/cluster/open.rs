//! A cluster recorded on this machine: its record, plan and keys, and the selection of its nodes.

use std::collections::BTreeSet;

use anyhow::Context as _;

use crate::base::exit::ExitCode;
use crate::base::failure::{UserError, UserFacing};
use crate::base::name::{ClusterName, NodeName};
use crate::base::suggest::{nearest, suggest};
use crate::base::text::sanitize;
use crate::nodeset::{NodeSet, NodeSetError, NodeSetErrorKind};
use crate::plan::Plan;
use crate::state::{ClusterDir, ClusterKeys, ClusterRecord, LockGuard, StateError, StateRoot};
use crate::topology::{Overrides, Topology};

/// [`Lock::take`](crate::state::Lock::take) or [`Lock::share`](crate::state::Lock::share).
pub type LockFn = fn(&ClusterDir, &ClusterName, &str) -> Result<LockGuard, StateError>;

/// A cluster recorded on this machine.
pub struct Cluster {
    /// Its directory.
    pub dir: ClusterDir,
    /// Its record.
    pub record: ClusterRecord,
    /// The plan of its last `up`.
    pub plan: Plan,
    /// Its keys.
    pub keys: ClusterKeys,
}

impl Cluster {
    /// Finds and reads it.
    pub fn open(argument: Option<&str>) -> anyhow::Result<Self> {
        let root = StateRoot::from_env()?;
        let name = cluster_name(argument, &root)?;
        Self::read(&root, &name)
    }

    /// Takes its lock for a verb and then reads it, so that it cannot change afterwards.
    pub fn hold(argument: Option<&str>, verb: &str, lock: LockFn) -> anyhow::Result<(Self, LockGuard)> {
        let root = StateRoot::from_env()?;
        let name = cluster_name(argument, &root)?;
        let dir = root.cluster(&name);
        // Checked first, because taking the lock creates the directory.
        if !dir.exists() {
            return Err(root.unknown(&name)?.into());
        }
        let held = lock(&dir, &name, verb)?;
        Ok((Self::read(&root, &name)?, held))
    }

    /// Reads it by name.
    pub fn read(root: &StateRoot, name: &ClusterName) -> anyhow::Result<Self> {
        let dir = root.cluster(name);
        let Some(record) = ClusterRecord::load(&dir)? else {
            return Err(root.unknown(name)?.into());
        };
        let (Some(mut plan), Some(keys)) = (ClusterRecord::load_plan(&dir)?, ClusterKeys::load(&dir)?) else {
            return Err(StateError::Damaged {
                path: dir.path().to_owned(),
                cause: "its plan or keys are missing".into(),
            }
            .into());
        };
        record.add_users(&mut plan);
        Ok(Self {
            dir,
            record,
            plan,
            keys,
        })
    }

    /// What an experiment set in the topology at the last `up`.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            vars: self.record.vars.clone(),
            counts: self.record.counts.clone(),
        }
    }

    /// The current topology: its file, or the stored copy if the file no longer exists.
    pub fn topology(&self) -> anyhow::Result<Topology> {
        if let Some(file) = self.record.topology.as_ref().filter(|file| file.exists()) {
            let topology = Topology::load_with(&file.to_string_lossy(), &self.overrides())?;
            if topology.name == self.record.name {
                return Ok(topology);
            }
        }
        self.stored_topology()
    }

    /// The topology of the last `up`, from the stored copy.
    pub fn stored_topology(&self) -> anyhow::Result<Topology> {
        let text = self
            .dir
            .read("topology.yaml")?
            .ok_or_else(|| no_topology("is missing"))?;
        let text = String::from_utf8(text).with_context(|| no_topology("is damaged"))?;
        let name = self.dir.join("topology.yaml").display().to_string();
        let overrides = self.overrides();
        Ok(Topology::parse_with(
            &text,
            &name,
            &self.record.base_dir,
            &overrides,
        )?)
    }

    /// Selects nodes by node set, `@group` and `@all`; all of them by default. In plan order.
    pub fn select(&self, wanted: Option<&str>, excluded: Option<&str>) -> anyhow::Result<Vec<NodeName>> {
        let names = |text: &str| -> anyhow::Result<BTreeSet<NodeName>> {
            let set = NodeSet::parse(text, |group: &str| self.group(group)).map_err(|error| {
                let context = self.unreadable(text, &error);
                anyhow::Error::new(error).context(context)
            })?;
            let mut nodes = BTreeSet::new();
            for name in set.iter() {
                let node = self
                    .plan
                    .nodes
                    .iter()
                    .find(|node| node.name.as_str() == name)
                    .ok_or_else(|| self.no_node(&name))?;
                nodes.insert(node.name.clone());
            }
            Ok(nodes)
        };
        let wanted = wanted.map(names).transpose()?;
        let excluded = excluded.map(names).transpose()?.unwrap_or_default();
        let chosen: Vec<NodeName> = self
            .plan
            .nodes
            .iter()
            .map(|node| &node.name)
            .filter(|node| {
                wanted.as_ref().is_none_or(|wanted| wanted.contains(*node)) && !excluded.contains(*node)
            })
            .cloned()
            .collect();
        if chosen.is_empty() {
            let hint = format!(
                "select some of {} with `-w`, and exclude fewer with `-x`",
                crate::nodeset::fold(self.node_names())
            );
            return Err(UserError::new(ExitCode::Usage, "the selection contains no nodes")
                .with_hint(hint)
                .into());
        }
        Ok(chosen)
    }

    /// The error for a node set that cannot be read.
    fn unreadable(&self, text: &str, error: &NodeSetError) -> UserError {
        let message = format!("failed to read the node set `{}`", sanitize(text));
        let mut wrong = UserError::new(ExitCode::Usage, message);
        wrong.hint = match &error.kind {
            NodeSetErrorKind::UnknownGroup(name) => {
                let groups: BTreeSet<&str> = self.plan.nodes.iter().map(|node| node.group.as_str()).collect();
                suggest(name, groups)
            }
            _ => error.hint(),
        };
        wrong
    }

    /// The error for a node that the cluster does not have.
    fn no_node(&self, name: &str) -> UserError {
        let mut missing = self.plan.missing.iter();
        if let Some(missing) = missing.find(|missing| missing.node.as_str() == name) {
            let text = format!("`{}` is missing: {}", missing.node, missing.reason);
            let hint = "`vcluster up` tries to create it again";
            return UserError::new(ExitCode::Usage, text).with_hint(hint);
        }
        let cluster = &self.plan.cluster;
        let text = format!(
            "cluster `{cluster}` has no node `{}` (it has {})",
            sanitize(name),
            crate::nodeset::fold(self.node_names())
        );
        // Nodes of one group differ in their number: any of them would be near.
        let others = self.node_names().filter(|other| stem(other) != stem(name));
        let hint = match nearest(name, others.take(5_000)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("`vcluster status {cluster}` shows the nodes; `@GROUP` selects those of a group"),
        };
        UserError::new(ExitCode::Usage, text).with_hint(hint)
    }

    fn node_names(&self) -> impl Iterator<Item = &str> {
        self.plan.nodes.iter().map(|node| node.name.as_str())
    }

    /// How many hosts hold these nodes.
    pub fn hosts_of(&self, chosen: &[NodeName]) -> usize {
        let nodes = self.plan.nodes.iter().filter(|node| chosen.contains(&node.name));
        nodes.map(|node| &node.host).collect::<BTreeSet<_>>().len()
    }

    fn group(&self, group: &str) -> Option<Vec<String>> {
        let members = self
            .plan
            .nodes
            .iter()
            .filter(|node| matches!(group, "all" | "*") || node.group.as_str() == group);
        let names: Vec<String> = members.map(|node| node.name.to_string()).collect();
        (!names.is_empty()).then_some(names)
    }
}

/// A node's name without its number.
fn stem(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// The error for a stored copy of the topology that cannot be used.
fn no_topology(state: &str) -> UserError {
    let text = format!("the copy of the topology {state}");
    let hint = "`vcluster up TOPOLOGY` stores it again";
    UserError::new(ExitCode::Unexpected, text).with_hint(hint)
}

/// The cluster name of an argument, which is a name or a topology file. Without an argument, the only recorded cluster.
pub fn cluster_name(argument: Option<&str>, root: &StateRoot) -> anyhow::Result<ClusterName> {
    match argument {
        None => Ok(root.only()?),
        Some(text) if text == "-" || text.contains('/') || has_yaml_ending(text) => {
            Ok(Topology::load(text)?.name)
        }
        Some(text) => Ok(text.parse::<ClusterName>()?),
    }
}

fn has_yaml_ending(text: &str) -> bool {
    let extension = std::path::Path::new(text).extension();
    extension.is_some_and(|end| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"))
}
