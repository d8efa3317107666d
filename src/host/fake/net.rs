//! The networks on a host in memory.

use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;

use super::{FakeHost, object};
use crate::base::name::HostName;
use crate::host::error::HostError;
use crate::host::net::{NetworkChange, Networks};
use crate::inventory::{ClusterRef, ObservedObject};
use crate::network::{OverlayFailure, Wanted};
use crate::plan::NetworkPlan;

#[async_trait]
impl Networks for FakeHost {
    async fn remove_networks(
        &self,
        _cluster: &ClusterRef,
        stale: &[&ObservedObject],
    ) -> Result<bool, HostError> {
        self.call("remove_networks", |state| {
            let objects = &mut state.contents.objects;
            let before = objects.len();
            objects.retain(|object| !stale.contains(&object));
            objects.len() != before
        })
    }

    async fn ensure_network(&self, wanted: &Wanted) -> Result<NetworkChange, HostError> {
        self.call("ensure_network", |state| {
            let (cluster, id) = crate::network::read_alias(&wanted.alias).unwrap();
            let bridge = object("bridge", &wanted.bridge, &ClusterRef::new(&cluster, id));
            let was_broken = state.broken_bridges.remove(&wanted.bridge);
            NetworkChange {
                changed: state.contents.objects.insert(bridge) || was_broken,
                notes: Vec::new(),
            }
        })
    }

    async fn prove_mtu(&self, _mtu: u32, _peers: &[(&HostName, IpAddr)]) -> Result<Vec<HostName>, HostError> {
        self.call("prove_mtu", |_| Vec::new())
    }

    async fn prove_overlay(
        &self,
        _network: &NetworkPlan,
        _peers: &[(&HostName, Ipv4Addr)],
    ) -> Result<Vec<OverlayFailure>, HostError> {
        self.call("prove_overlay", |_| Vec::new())
    }
}
