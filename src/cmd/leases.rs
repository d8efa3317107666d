//! What verbs share about leases: their words, the turns of an `up` among others, the hosts of `gc` and `reaper`.

use std::time::Duration;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::cluster::Cluster;
use super::common;
use super::down::{add_hosts, parse_hosts};
use crate::engine::{ClaimError, Fleet};
use crate::host::Claim;
use crate::plan::Plan;
use crate::state::HostRecord;
use crate::units::{LeaseError, Moment};

/// The most tries of an `up` among others that claim at the same time.
const TRIES: u32 = 12;

/// `lease ends at 2026-01-31T12:00:00Z`.
pub(super) fn lease_words(expires: Option<Moment>) -> String {
    match expires {
        Some(end) if end <= Moment::now() => format!("its lease ended at {end}"),
        Some(end) => format!("lease ends at {end}"),
        None => "its lease never ends".to_owned(),
    }
}

/// For arguments.
pub(super) fn parse_lease(text: &str) -> Result<Duration, LeaseError> {
    crate::units::lease(text)
}

/// Counts the tries of an `up`.
#[derive(Debug, Default)]
pub(super) struct Turns(u32);

impl Turns {
    /// Whether to try again, after a short pause of random length: of those who met, one should be alone next time.
    pub(super) async fn again(&mut self, error: &anyhow::Error, cancel: &CancellationToken) -> bool {
        let tried = self.0;
        self.0 += 1;
        let passing = error
            .downcast_ref::<ClaimError>()
            .is_some_and(|error| error.is_passing() || (error.is_of_hosts() && tried == 0));
        if !passing || self.0 >= TRIES || cancel.is_cancelled() {
            return false;
        }
        let mut random = [0; 2];
        let random = match getrandom::fill(&mut random) {
            Ok(()) => u64::from(u16::from_le_bytes(random)),
            Err(_) => u64::from(std::process::id() % 65_536),
        };
        let most = 250 * u64::from(self.0.min(8));
        let pause = Duration::from_millis(50 + random * most / 65_536);
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = cancel.cancelled() => false,
        }
    }
}

/// The claims of a cluster on all hosts of a fleet that answer.
pub(super) async fn claims(cluster: &Cluster, fleet: &Fleet) -> Vec<Claim> {
    let short_id = &Plan::short_id(cluster.record.id);
    let found: Vec<Option<Claim>> = futures::stream::iter(fleet.members())
        .map(|member| async move {
            let claim = member.host.claim_of(&cluster.record.name, short_id).await;
            claim.ok().flatten()
        })
        .buffer_unordered(64)
        .collect()
        .await;
    found.into_iter().flatten().collect()
}

/// Which hosts a verb is about that is not about one cluster.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct HostChoice {
    /// Topology file whose hosts are meant, `-` for standard input
    #[arg(value_name = "TOPOLOGY")]
    pub topology: Option<String>,
    /// Hosts: node set of names, or libvirt URIs; comma-separated
    #[arg(
        long,
        value_name = "HOSTS",
        value_delimiter = ' ',
        conflicts_with = "topology"
    )]
    pub hosts: Vec<String>,
}

impl HostChoice {
    /// The chosen hosts; empty if none was chosen.
    pub(super) fn records(&self, context: &Context) -> anyhow::Result<Vec<HostRecord>> {
        if let Some(file) = &self.topology {
            let topology = common::load_topology(file, context)?;
            return Ok(topology.hosts.iter().map(HostRecord::from).collect());
        }
        let mut hosts = Vec::new();
        for text in &self.hosts {
            add_hosts(&mut hosts, parse_hosts(text)?)?;
        }
        Ok(hosts)
    }
}
