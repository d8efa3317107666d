//! The hosts that nodes can be placed on.

use std::collections::HashMap;
use std::net::IpAddr;

use super::capacity;
use super::model::{Capacity, PlanInput};
use super::natural::natural;
use crate::inventory::ObservedHost;
use crate::topology::Host;

/// A host of the topology that was reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    /// Its position among the sites: its index wherever something is stored by host.
    pub(super) index: usize,
    /// Its position in the topology.
    pub(super) order: usize,
    pub(super) host: &'a Host,
    pub(super) observed: &'a ObservedHost,
    pub(super) capacity: Capacity,
}

impl Site<'_> {
    pub(super) fn vnis(&self) -> impl Iterator<Item = u32> {
        self.observed.facts.vnis.iter().copied()
    }

    /// Its address on the underlay: the topology's if set, else the observed one.
    pub(super) fn underlay(&self) -> Option<IpAddr> {
        self.host.address.or(self.observed.facts.underlay)
    }
}

/// The hosts that were reached, in the natural order of their names.
pub(super) fn sites<'a>(input: &'a PlanInput<'_>) -> Vec<Site<'a>> {
    let observed: HashMap<&str, &ObservedHost> = input
        .observed
        .iter()
        .rev()
        .map(|host| (host.name.as_str(), host))
        .collect();
    let mut hosts: Vec<(usize, &Host)> = input.topology.hosts.iter().enumerate().collect();
    hosts.sort_by_cached_key(|(_, host)| natural(host.name.as_str()));
    hosts
        .into_iter()
        .filter_map(|(order, host)| Some((order, host, *observed.get(host.name.as_str())?)))
        .enumerate()
        .map(|(index, (order, host, observed))| Site {
            index,
            order,
            host,
            observed,
            capacity: capacity::capacity(host, observed, input.cluster_id),
        })
        .collect()
}
