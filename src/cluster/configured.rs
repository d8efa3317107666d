//! Which nodes are configured, and how failures of the configuration are reported.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::base::event::{ActionKind, NodeStage};
use crate::base::failure::Failure;
use crate::base::name::NodeName;
use crate::base::text::plural;
use crate::configure::NodeFault;
use crate::engine::EngineError;
use crate::plan::Plan;
use crate::state::ClusterDir;

const FILE: &str = "configured.json";

/// Nodes whose configuration is complete. If the file is lost, they are configured again.
pub fn configured(dir: &ClusterDir) -> anyhow::Result<BTreeSet<NodeName>> {
    let bytes = dir.read(FILE)?.unwrap_or_else(|| b"[]".to_vec());
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Records all nodes of the plan except these as configured.
pub fn mark_configured(dir: &ClusterDir, plan: &Plan, failed: &BTreeSet<&NodeName>) -> anyhow::Result<()> {
    let names = plan.nodes.iter().map(|node| &node.name);
    let names: Vec<&NodeName> = names.filter(|name| !failed.contains(name)).collect();
    record(dir, &names)
}

/// Records the nodes that are about to be created or started as not configured.
pub fn forget_configured(dir: &ClusterDir, plan: &Plan) -> anyhow::Result<()> {
    let changed = plan
        .actions
        .iter()
        .filter(|action| action.kind != ActionKind::Keep);
    begin_configuring(dir, changed.map(|action| &action.node))
}

/// Records that these nodes may be partly configured: until they are marked again, `up` configures them again.
pub fn begin_configuring<'a>(
    dir: &ClusterDir,
    nodes: impl IntoIterator<Item = &'a NodeName>,
) -> anyhow::Result<()> {
    let mut done = configured(dir)?;
    for node in nodes {
        done.remove(node);
    }
    record(dir, &done)
}

/// Records these nodes as configured, in addition to the earlier ones.
pub fn end_configuring<'a>(
    dir: &ClusterDir,
    nodes: impl IntoIterator<Item = &'a NodeName>,
) -> anyhow::Result<()> {
    let mut done = configured(dir)?;
    done.extend(nodes.into_iter().cloned());
    record(dir, &done)
}

fn record(dir: &ClusterDir, nodes: &impl Serialize) -> anyhow::Result<()> {
    Ok(dir.write(FILE, &serde_json::to_vec(nodes)?)?)
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
