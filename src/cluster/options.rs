//! Options of the verbs, independent of the command line.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::host::Access;
use crate::plan::Scope;
use crate::topology::Overrides;

/// What a plan depends on, besides the topology and the hosts.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// Take over a cluster of this name that another controller created.
    pub adopt: bool,
    /// Whether nodes that booted since they were configured are to be configured again.
    pub configure: bool,
    /// Time for a running node to answer before it is created again; `None`: a node that only does not answer is kept.
    pub answer_timeout: Option<Duration>,
    /// The nodes that the command is limited to; `None`: all.
    pub scope: Option<Scope>,
    /// How to connect to hosts.
    pub connect: Access,
    /// Cancelled by the first interrupt.
    pub cancel: CancellationToken,
}

/// Options of `up`.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The topology file, absolute; `None` when the topology came from standard input.
    pub topology_file: Option<PathBuf>,
    /// What was set in the topology when it was read. Later commands set it again.
    pub overrides: Overrides,
    /// The experiment that raises the cluster and removes it at its end; `None`: the cluster is the user's.
    pub experiment: Option<String>,
    /// When interrupted, keep what was created so far.
    pub keep: bool,
    /// Take over a cluster of this name that another controller created.
    pub adopt: bool,
    /// Run the configuration steps.
    pub configure: bool,
    /// The nodes that the command is limited to; `None`: all.
    pub scope: Option<Scope>,
    /// Time for one guest to boot and accept a login.
    pub boot_timeout: Duration,
    /// Guests that boot at once on one machine; `None`: chosen by its CPUs.
    pub boots: Option<usize>,
    /// How to connect to hosts.
    pub connect: Access,
    /// Cancelled by the first interrupt.
    pub cancel: CancellationToken,
}

impl UpOptions {
    /// What its plan depends on.
    pub fn plan(&self) -> PlanOptions {
        PlanOptions {
            adopt: self.adopt,
            configure: self.configure,
            answer_timeout: Some(self.boot_timeout),
            scope: self.scope.clone(),
            connect: self.connect.clone(),
            cancel: self.cancel.clone(),
        }
    }
}
