//! Lease arguments, and the host arguments of `gc` and `reaper`.

use std::time::Duration;

use crate::base::units::LeaseError;
use crate::cluster::hosts::{add_hosts, parse_hosts};
use crate::inventory::HostEndpoint;
use crate::topology::{self, Topology};

/// Parses a lease argument.
pub(super) fn parse_lease(text: &str) -> Result<Duration, LeaseError> {
    crate::base::units::lease(text)
}

/// The hosts of a verb that is not about a single cluster.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct HostChoice {
    /// Use the hosts of this topology file, `-` for standard input
    #[arg(value_name = "TOPOLOGY")]
    pub topology: Option<String>,
    /// Hosts: node set of names, or libvirt URIs, separated by commas
    #[arg(
        long,
        value_name = "HOSTS",
        value_delimiter = ' ',
        conflicts_with = "topology"
    )]
    pub hosts: Vec<String>,
}

impl HostChoice {
    /// The selected hosts; empty if none are given.
    pub(super) fn endpoints(&self) -> anyhow::Result<Vec<HostEndpoint>> {
        if let Some(file) = &self.topology {
            let topology = Topology::load(file)?;
            return Ok(topology.hosts.iter().map(topology::Host::endpoint).collect());
        }
        let mut hosts = Vec::new();
        for text in &self.hosts {
            add_hosts(&mut hosts, parse_hosts(text)?)?;
        }
        Ok(hosts)
    }
}
