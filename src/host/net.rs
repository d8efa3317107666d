//! Creates a host's part of the networks of a cluster, with the scripts of [`crate::network`].

use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;

use super::connect::Host;
use super::error::{Cause, HostError, shown};
use crate::base::name::HostName;
use crate::inventory::{ClusterRef, ObservedObject};
use crate::network::{self, NetworkError, OverlayFailure, Seen, Wanted};
use crate::plan::NetworkPlan;

/// What was done to the network of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkChange {
    /// Whether anything was changed.
    pub changed: bool,
    /// Possible obstacles, as shown to the user.
    pub notes: Vec<String>,
}

impl From<NetworkError> for Cause {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::ForeignLink(_) => Self::Foreign(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

/// The networks of clusters on a host.
#[async_trait]
pub trait Networks: Send + Sync {
    /// Removes these links and tables of a cluster, in this order; returns whether there were any.
    async fn remove_networks(
        &self,
        cluster: &ClusterRef,
        stale: &[&ObservedObject],
    ) -> Result<bool, HostError>;

    /// Creates bridge, VXLAN and NAT of a network of a cluster; changes only what differs.
    async fn ensure_network(&self, wanted: &Wanted) -> Result<NetworkChange, HostError>;

    /// Checks that packets as large as the plan needs reach these hosts. Returns the hosts that do not respond at all; a
    /// host that only smaller packets reach is an error.
    async fn prove_mtu(&self, mtu: u32, peers: &[(&HostName, IpAddr)]) -> Result<Vec<HostName>, HostError>;

    /// Checks that full-size packets reach the bridges of these hosts through the VXLAN, and that their answers arrive.
    /// Returns the hosts for which this fails.
    async fn prove_overlay(
        &self,
        network: &NetworkPlan,
        peers: &[(&HostName, Ipv4Addr)],
    ) -> Result<Vec<OverlayFailure>, HostError>;
}

#[async_trait]
impl Networks for Host {
    async fn remove_networks(
        &self,
        cluster: &ClusterRef,
        stale: &[&ObservedObject],
    ) -> Result<bool, HostError> {
        let doing = "remove networks that are no longer planned there";
        let output = self
            .script(&network::stale_script(cluster, stale))
            .await
            .map_err(self.failed(doing))?;
        let left: Vec<String> = output
            .lines()
            .filter_map(|line| line.strip_prefix("left "))
            .map(shown)
            .collect();
        if left.is_empty() {
            return Ok(!output.trim().is_empty());
        }
        let left = left.join(", ");
        let error = self.failed(doing)(Cause::Other(format!("{left} could not be removed")));
        Err(error.leaving(left))
    }

    async fn ensure_network(&self, wanted: &Wanted) -> Result<NetworkChange, HostError> {
        let of_network = network::of_network(&wanted.name);
        let doing = format!("create the bridge `{}`{of_network}", wanted.bridge);
        let changes = async {
            let output = self.query(&network::seen_script(wanted)).await?;
            let seen = Seen::read(&output).map_err(|error| Cause::Nonsense(error.to_string()))?;
            Ok(network::changes(wanted, &seen)?)
        };
        let changes = changes.await.map_err(self.failed(&doing))?;
        let change = NetworkChange {
            changed: !changes.is_empty(),
            notes: changes.notes.clone(),
        };
        if change.changed {
            self.script(&changes.script())
                .await
                .map_err(self.failed(&doing))
                .map_err(|error| error.leaving(format!("the bridge `{}`", wanted.bridge)))?;
        }
        Ok(change)
    }

    async fn prove_mtu(&self, mtu: u32, peers: &[(&HostName, IpAddr)]) -> Result<Vec<HostName>, HostError> {
        if peers.is_empty() {
            return Ok(Vec::new());
        }
        let doing = "send full-size packets to the other hosts";
        let output = self
            .query(&network::mtu_script(mtu, peers))
            .await
            .map_err(self.failed(doing))?;
        let (silent, narrow): (Vec<_>, Vec<_>) = network::read_mtu(&output, mtu, peers)
            .into_iter()
            .partition(|failure| failure.unreachable);
        if narrow.is_empty() {
            return Ok(silent.into_iter().map(|failure| failure.peer).collect());
        }
        let words: Vec<String> = narrow
            .iter()
            .map(|failure| {
                let (peer, address, size) = (&failure.peer, failure.address, failure.size);
                format!("a packet of {size} bytes does not reach `{peer}` ({address}) unfragmented")
            })
            .collect();
        Err(self.failed(doing)(Cause::Path(words.join("; "))))
    }
    async fn prove_overlay(
        &self,
        network: &NetworkPlan,
        peers: &[(&HostName, Ipv4Addr)],
    ) -> Result<Vec<OverlayFailure>, HostError> {
        if peers.is_empty() {
            return Ok(Vec::new());
        }
        let output = self
            .query(&network::overlay_script(network, peers))
            .await
            .map_err(self.failed("send full-size packets through the VXLAN"))?;
        Ok(network::read_overlay(&output, peers))
    }
}
