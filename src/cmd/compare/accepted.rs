//! Which file of accepted regressions counts: the one that is named, else the one beside the topology.

use std::path::{Path, PathBuf};

use super::operand::Operand;
use crate::compare::{Accepted, read_accepted};
use crate::state::{ClusterRecord, StateRoot};

/// Its name beside a topology.
const NAME: &str = "accepted.yaml";

/// The accepted regressions. Of the operands, the first one that has a file decides.
pub(super) fn entries(named: Option<&Path>, operands: &[&Operand]) -> anyhow::Result<Vec<Accepted>> {
    let found = match named {
        Some(path) => Some(path.to_owned()),
        None => operands.iter().find_map(|operand| beside(operand)),
    };
    Ok(match found {
        Some(path) => read_accepted(&path)?,
        None => Vec::new(),
    })
}

/// The file beside the topology of an experiment, or of the cluster, while that is recorded here.
fn beside(operand: &Operand) -> Option<PathBuf> {
    let experiment = operand.experiment.as_ref();
    let topology = experiment
        .and_then(|experiment| experiment.topology_file.clone())
        .or_else(|| of_cluster(operand))?;
    let path = topology.parent()?.join(NAME);
    path.is_file().then_some(path)
}

/// The topology of the cluster: of runs without an experiment, and of experiments that do not say where theirs is.
fn of_cluster(operand: &Operand) -> Option<PathBuf> {
    let cluster = operand.runs.first()?.record.cluster.as_ref()?;
    let dir = StateRoot::from_env().ok()?.cluster(cluster);
    ClusterRecord::load(&dir).ok().flatten()?.topology
}
