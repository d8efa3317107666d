//! What an experiment is carried out with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::find::Find;
use super::plan::Design;
use super::topologies::Topologies;
use crate::base::name::GroupName;
use crate::compare::Accepted;
use crate::host::Access;
use crate::runs::{ExperimentKind, Store};
use crate::state::{ClusterDir, StateRoot};

/// Options of an experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// `Test` or `Scale`.
    pub kind: ExperimentKind,
    /// The topology as the user named it.
    pub topology: String,
    /// Its file, absolute; `None` for standard input.
    pub topology_file: Option<PathBuf>,
    /// The group whose size `scale` varies.
    pub group: Option<GroupName>,
    /// Looks for the smallest size that fails.
    pub find: Option<Find>,
    /// The size to predict metrics for; `None`: the largest that runs.
    pub to: Option<u32>,
    /// Keep the cluster.
    pub keep: bool,
    /// Keep the cluster if a run fails.
    pub keep_on_failure: bool,
    /// Labels of all runs.
    pub labels: BTreeMap<String, String>,
    /// The command that makes it again.
    pub command: Vec<String>,
    /// Time for one guest to boot and accept a login.
    pub boot_timeout: Duration,
    /// Guests that boot at once on one machine; `None`: chosen by its CPUs.
    pub boots: Option<usize>,
    /// Time for all nodes to reach a barrier.
    pub barrier_timeout: Duration,
    /// How to connect to hosts.
    pub access: Access,
    /// Cancelled by the first interrupt.
    pub cancel: CancellationToken,
}

/// An experiment, ready to be carried out. The caller holds the lock of the cluster.
pub struct Setup<'a> {
    /// The state directories.
    pub root: &'a StateRoot,
    /// What is varied.
    pub design: &'a Design,
    /// The topologies of its variants.
    pub topologies: &'a Topologies,
    /// Where its runs are stored.
    pub store: &'a Store,
    /// Regressions that the user accepts.
    pub accepted: &'a [Accepted],
    /// The options.
    pub options: &'a Options,
}

impl Setup<'_> {
    /// The directory of the cluster.
    pub(super) fn dir(&self) -> ClusterDir {
        self.root.cluster(self.topologies.name())
    }
}
