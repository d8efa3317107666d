//! Which nodes are configured, and what a configuration that failed somewhere is told as.

use std::collections::BTreeSet;

use crate::configure::NodeFault;
use crate::engine::{EngineError, Failure};
use crate::name::NodeName;
use crate::plan::Plan;
use crate::state::ClusterDir;

/// Nodes whose configuration was finished. The file may be lost: then they are configured once more.
pub fn configured(dir: &ClusterDir) -> anyhow::Result<BTreeSet<NodeName>> {
    let bytes = dir.read("configured.json")?.unwrap_or_else(|| b"[]".to_vec());
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Notes that all nodes of the plan are configured but these.
pub fn mark_configured(dir: &ClusterDir, plan: &Plan, failed: &BTreeSet<&NodeName>) -> anyhow::Result<()> {
    let names = plan.nodes.iter().map(|node| &node.name);
    let names: Vec<&NodeName> = names.filter(|name| !failed.contains(name)).collect();
    Ok(dir.write("configured.json", &serde_json::to_vec(&names)?)?)
}

/// Notes that the nodes which are about to be made or started are not configured.
pub fn forget_configured(dir: &ClusterDir, plan: &Plan) -> anyhow::Result<()> {
    let mut done = configured(dir)?;
    for action in plan
        .actions
        .iter()
        .filter(|action| action.kind != crate::plan::ActionKind::Keep)
    {
        done.remove(&action.node);
    }
    Ok(dir.write("configured.json", &serde_json::to_vec(&done)?)?)
}

/// Notes that these nodes may be configured by half: until they are marked again, `up` configures them once more.
pub fn begin_configuring<'a>(
    dir: &ClusterDir,
    nodes: impl IntoIterator<Item = &'a NodeName>,
) -> anyhow::Result<()> {
    let mut done = configured(dir)?;
    for node in nodes {
        done.remove(node);
    }
    Ok(dir.write("configured.json", &serde_json::to_vec(&done)?)?)
}

/// Notes that these nodes are configured, besides those that were.
pub fn end_configuring<'a>(
    dir: &ClusterDir,
    nodes: impl IntoIterator<Item = &'a NodeName>,
) -> anyhow::Result<()> {
    let mut done = configured(dir)?;
    done.extend(nodes.into_iter().cloned());
    Ok(dir.write("configured.json", &serde_json::to_vec(&done)?)?)
}

/// The nodes where a step failed.
pub fn failures(plan: &Plan, faults: Vec<NodeFault>) -> Vec<Failure> {
    let failures = faults.into_iter().map(|fault| {
        let planned = plan.nodes.iter().find(|node| node.name == fault.node);
        Failure {
            host: planned.map(|node| node.host.clone()),
            node: Some(fault.node),
            error: fault.fault.to_string(),
            hint: None,
        }
    });
    failures.collect()
}

/// The nodes where a step failed, as one error; none is no error.
pub fn failed(plan: &Plan, tried: usize, faults: Vec<NodeFault>) -> Result<(), EngineError> {
    let what = format!("configuration failed on {} of {tried} nodes", faults.len());
    EngineError::from_failures(&what, failures(plan, faults))
}
