//! The reaper on many hosts at once: installed, removed or only looked at.

use std::time::Duration;

use crate::base::event::{Events, HostStage};
use crate::base::failure::Failure;
use crate::base::name::HostName;
use crate::base::text::plural;
use crate::engine::{EngineError, Fleet};
use crate::host::{Access, ReaperState};
use crate::inventory::HostEndpoint;

/// What is done with the reaper.
#[derive(Clone, Copy, Debug)]
pub enum ReaperOperation {
    /// It is installed, with this interval between its checks.
    Install(Duration),
    /// It is removed.
    Remove,
    /// Its state is read.
    Status,
}

impl ReaperOperation {
    /// As a verb phrase.
    fn describe(self) -> &'static str {
        match self {
            Self::Install(_) => "install the reaper",
            Self::Remove => "remove the reaper",
            Self::Status => "check the reaper",
        }
    }
}

/// The reaper on the hosts after an operation.
pub struct Reapers {
    /// Its state on each host where the operation succeeded.
    pub states: Vec<(HostName, ReaperState)>,
    /// An error if it failed on others.
    pub outcome: Result<(), EngineError>,
}

/// Does an operation on all hosts. A host where it fails does not affect the others.
pub async fn on_hosts(
    hosts: &[HostEndpoint],
    operation: ReaperOperation,
    access: &Access,
    events: &Events,
) -> Reapers {
    let (fleet, mut failures) = Fleet::connect(hosts, access, events).await;
    let results = fleet
        .stage(HostStage::Probe, events, |member| async move {
            let state = match operation {
                ReaperOperation::Install(every) => member.host.install_reaper(every).await,
                ReaperOperation::Remove => member.host.remove_reaper().await,
                ReaperOperation::Status => member.host.reaper_state().await,
            };
            Ok((true, state?))
        })
        .await;
    fleet.close().await;
    let mut states = Vec::new();
    for (host, result) in results {
        match result {
            Ok(state) => states.push((host, state)),
            Err(error) => failures.push(Failure::of_host(host, error)),
        }
    }
    let what = format!(
        "failed to {} on {} of {}",
        operation.describe(),
        failures.len(),
        plural(hosts.len(), "host")
    );
    Reapers {
        states,
        outcome: EngineError::from_failures(&what, failures),
    }
}
