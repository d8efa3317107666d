//! Which nodes are configured and in which boot that was done, which ones the user stopped, and how failures of the
//! configuration are reported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::event::{ActionKind, NodeStage};
use crate::base::failure::Failure;
use crate::base::name::NodeName;
use crate::base::text::plural;
use crate::configure::NodeFault;
use crate::engine::{EngineError, SeenBoots};
use crate::plan::Plan;
use crate::state::ClusterDir;

const FILE: &str = "configured.json";

/// Version of the file's JSON form. Version 1 was an array with the names of the configured nodes.
const VERSION: u32 = 2;

/// The reason for a node whose boot is not that in which it was configured.
pub(crate) const REBOOTED: &str = "rebooted since it was configured";

/// The reason for a node whose configuration was begun or is missing.
pub(crate) const INCOMPLETE: &str = "its configuration is not complete";

/// The state of the nodes' configuration, as far as this controller brought it about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    version: u32,
    /// The nodes whose configuration is complete, with the ID of the boot in which it was done. `None`: unknown.
    pub nodes: BTreeMap<NodeName, Option<Uuid>>,
    /// Whether the configuration of all other nodes was left out on purpose. Only earlier releases set it.
    #[serde(default)]
    skipped: bool,
    /// The nodes whose configuration was left out on purpose.
    #[serde(default)]
    left_out: BTreeSet<NodeName>,
    /// The nodes that the user stopped.
    #[serde(default)]
    pub stopped: BTreeSet<NodeName>,
    /// Whether there is a file that can be read.
    #[serde(skip)]
    pub is_known: bool,
}

impl Default for Configured {
    fn default() -> Self {
        Self {
            version: VERSION,
            nodes: BTreeMap::new(),
            skipped: false,
            left_out: BTreeSet::new(),
            stopped: BTreeSet::new(),
            is_known: false,
        }
    }
}

impl Configured {
    /// Reads the file. If it is lost or cannot be read, no node counts as configured, so all are configured again.
    pub fn load(dir: &ClusterDir) -> anyhow::Result<Self> {
        Ok(dir
            .read(FILE)?
            .and_then(|bytes| Self::parse(&bytes))
            .unwrap_or_default())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let read = if let Ok(names) = serde_json::from_slice::<BTreeSet<NodeName>>(bytes) {
            Self {
                nodes: names.into_iter().map(|name| (name, None)).collect(),
                ..Self::default()
            }
        } else {
            let read: Self = serde_json::from_slice(bytes).ok()?;
            (read.version == VERSION).then_some(read)?
        };
        Some(Self {
            is_known: true,
            ..read
        })
    }

    /// Changes the file.
    fn change(dir: &ClusterDir, change: impl FnOnce(&mut Self)) -> anyhow::Result<()> {
        let mut state = Self::load(dir)?;
        change(&mut state);
        Ok(dir.write(FILE, &serde_json::to_vec(&state)?)?)
    }

    /// Whether a node that reports this boot is in another one than that in which it was configured.
    pub fn has_rebooted(&self, node: &NodeName, boot: Option<Uuid>) -> bool {
        let configured = self.nodes.get(node).copied().flatten();
        matches!((configured, boot), (Some(then), Some(now)) if then != now)
    }

    /// Whether the configuration of a node is known not to be complete, although nobody left it out.
    pub fn is_incomplete(&self, node: &NodeName) -> bool {
        let is_left_out = self.skipped || self.left_out.contains(node);
        self.is_known && !is_left_out && !self.nodes.contains_key(node)
    }
}

/// Records nodes of the plan as configured in the boots that they reported, except those that failed. What is known of
/// nodes that are not in the plan is forgotten.
pub fn mark_configured<'a>(
    dir: &ClusterDir,
    plan: &Plan,
    configured: impl IntoIterator<Item = &'a NodeName>,
    failed: &BTreeSet<&NodeName>,
    boots: &SeenBoots,
) -> anyhow::Result<()> {
    Configured::change(dir, |state| {
        let planned: BTreeSet<&NodeName> = plan.nodes.iter().map(|node| &node.name).collect();
        if std::mem::take(&mut state.skipped) {
            state.left_out = planned.iter().copied().cloned().collect();
        }
        for node in configured {
            let before = state.nodes.get(node).copied().flatten();
            state.nodes.insert(node.clone(), boots.get(node).or(before));
            state.left_out.remove(node);
            // It runs: stopping it has failed, or was undone by other means.
            state.stopped.remove(node);
        }
        let is_done = |node: &NodeName| planned.contains(node) && !failed.contains(node);
        state.nodes.retain(|node, _| is_done(node));
        state.stopped.retain(|node| planned.contains(node));
        state.left_out.retain(is_done);
    })
}

/// Records the nodes that are about to change as not configured, and those that are about to run as not stopped. A node
/// that is kept does not change, although a leftover of it may be removed from another host.
pub fn forget_configured(dir: &ClusterDir, plan: &Plan) -> anyhow::Result<()> {
    let kept = plan
        .actions
        .iter()
        .filter(|action| action.kind == ActionKind::Keep);
    let kept: BTreeSet<&NodeName> = kept.map(|action| &action.node).collect();
    Configured::change(dir, |state| {
        for action in &plan.actions {
            if !kept.contains(&action.node) {
                state.nodes.remove(&action.node);
                state.left_out.remove(&action.node);
                state.stopped.remove(&action.node);
            }
        }
    })
}

/// Records that the user wants no configuration of these nodes.
pub fn skip_configuration<'a>(
    dir: &ClusterDir,
    nodes: impl IntoIterator<Item = &'a NodeName>,
) -> anyhow::Result<()> {
    Configured::change(dir, |state| state.left_out.extend(nodes.into_iter().cloned()))
}

/// Records that these nodes may be partly configured: until they are marked again, `up` configures them again.
pub fn begin_configuring<'a>(
    dir: &ClusterDir,
    nodes: impl IntoIterator<Item = &'a NodeName>,
) -> anyhow::Result<()> {
    Configured::change(dir, |state| {
        for node in nodes {
            state.nodes.remove(node);
            state.left_out.remove(node);
        }
    })
}

/// Records these nodes as configured in these boots, in addition to the earlier ones.
pub fn end_configuring(
    dir: &ClusterDir,
    nodes: impl IntoIterator<Item = (NodeName, Option<Uuid>)>,
) -> anyhow::Result<()> {
    Configured::change(dir, |state| {
        for (node, boot) in nodes {
            state.stopped.remove(&node);
            state.nodes.insert(node, boot);
        }
    })
}

/// Records these nodes as stopped by the user. When they run again, they have to be configured. Returns what was
/// recorded before.
pub fn mark_stopped<'a>(
    dir: &ClusterDir,
    nodes: impl IntoIterator<Item = &'a NodeName>,
) -> anyhow::Result<Configured> {
    let before = Configured::load(dir)?;
    Configured::change(dir, |state| {
        for node in nodes {
            state.nodes.remove(node);
            state.stopped.insert(node.clone());
        }
    })?;
    Ok(before)
}

/// Records of these nodes, which were not stopped after all, what was recorded `before`.
pub fn unmark_stopped<'a>(
    dir: &ClusterDir,
    before: &Configured,
    nodes: impl IntoIterator<Item = &'a NodeName>,
) -> anyhow::Result<()> {
    Configured::change(dir, |state| {
        for node in nodes {
            if let Some(boot) = before.nodes.get(node) {
                state.nodes.insert(node.clone(), *boot);
            }
            if !before.stopped.contains(node) {
                state.stopped.remove(node);
            }
        }
    })
}

/// The nodes where a step failed.
pub fn failures(plan: &Plan, faults: Vec<NodeFault>) -> Vec<Failure> {
    let failures = faults.into_iter().map(|fault| {
        let planned = plan.nodes.iter().find(|node| node.name == fault.node);
        let failure = Failure {
            host: planned.map(|node| node.host.clone()),
            node: Some(fault.node),
            ..Failure::new(Arc::new(fault.fault))
        };
        failure.at(NodeStage::Configure)
    });
    failures.collect()
}

/// The nodes where a step failed, as one error, if there are any.
pub fn failed(plan: &Plan, tried: usize, faults: Vec<NodeFault>) -> Result<(), EngineError> {
    let tried = plural(tried, "node");
    let what = format!("configuration failed on {} of {tried}", faults.len());
    EngineError::from_failures(&what, failures(plan, faults))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateRoot;

    fn name(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    #[test]
    fn the_file_of_an_earlier_release_is_read_and_says_nothing_of_boots() {
        let read = Configured::parse(br#"["n001","n002"]"#).unwrap();
        assert!(read.is_known && !read.skipped);
        assert_eq!(
            read.nodes,
            BTreeMap::from([(name("n001"), None), (name("n002"), None)])
        );
        assert!(!read.has_rebooted(&name("n001"), Some(Uuid::max())));
    }

    #[test]
    fn a_configuration_that_is_left_out_on_a_node_is_missed_on_the_others() {
        let temp = tempfile::tempdir().unwrap();
        let dir = StateRoot::at(temp.path().to_owned()).cluster(&"demo".parse().unwrap());
        dir.create().unwrap();
        let nodes = ["n001", "n002", "n003"].map(name);
        let incomplete = || {
            let read = Configured::load(&dir).unwrap();
            nodes.each_ref().map(|node| read.is_incomplete(node))
        };
        assert_eq!(incomplete(), [false; 3], "nothing is known");
        end_configuring(&dir, [(name("n001"), None)]).unwrap();
        skip_configuration(&dir, [&name("n002")]).unwrap();
        assert_eq!(incomplete(), [false, false, true]);
        begin_configuring(&dir, [&name("n002")]).unwrap();
        assert_eq!(incomplete(), [false, true, true]);
        dir.write(FILE, br#"{"version":2,"nodes":{},"skipped":true}"#)
            .unwrap();
        assert_eq!(
            incomplete(),
            [false; 3],
            "an earlier release left it out everywhere"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_says_that_nothing_is_configured() {
        for text in [
            "",
            "[",
            "{}",
            r#"{"version":9,"nodes":{"n001":null}}"#,
            r#"["../x"]"#,
        ] {
            assert_eq!(Configured::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_node_has_rebooted_if_it_reports_another_boot_than_that_of_its_configuration() {
        let temp = tempfile::tempdir().unwrap();
        let dir = StateRoot::at(temp.path().to_owned()).cluster(&"demo".parse().unwrap());
        dir.create().unwrap();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        end_configuring(&dir, [(name("n001"), Some(one)), (name("n002"), None)]).unwrap();
        let read = Configured::load(&dir).unwrap();
        assert!(read.has_rebooted(&name("n001"), Some(two)));
        for (node, boot) in [
            ("n001", Some(one)),
            ("n001", None),
            ("n002", Some(two)),
            ("n003", Some(two)),
        ] {
            assert!(!read.has_rebooted(&name(node), boot), "{node} {boot:?}");
        }
        mark_stopped(&dir, [&name("n001")]).unwrap();
        let read = Configured::load(&dir).unwrap();
        assert_eq!(read.stopped, BTreeSet::from([name("n001")]));
        assert!(!read.nodes.contains_key(&name("n001")) && read.nodes.contains_key(&name("n002")));
        end_configuring(&dir, [(name("n001"), Some(two))]).unwrap();
        assert_eq!(Configured::load(&dir).unwrap().stopped, BTreeSet::new());
    }
}
