//! Address allocation. Nodes take the lowest usable addresses of the subnet, hosts the highest
//! ones, both in topology order; existing nodes keep their address. An Ethernet address is
//! derived from the IPv4 address, so both are unique in a network of the cluster.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use super::error::PlanError;
use crate::inventory::Mac;
use crate::topology::{Network, usable};

/// `52:54` and the four bytes of the address: locally administered and unicast (IEEE 802,
/// bits 1 and 0 of the first byte). Two clusters with the same subnet never share a bridge.
pub(super) fn mac(address: Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    Mac([0x52, 0x54, a, b, c, d])
}

/// The addresses of a network during allocation.
pub(super) struct Addresses {
    /// First and last usable address; empty when `first > last`.
    first: u32,
    last: u32,
    taken: HashSet<u32>,
    /// Every address below this one is taken.
    next: u32,
}

impl Addresses {
    /// All addresses of a subnet, or of a range of it, except the gateway and those of others on the same bridge.
    pub(super) fn new(network: &Network, others: impl Iterator<Item = Ipv4Addr>) -> Self {
        let (first, last) = usable(network.subnet, network.range);
        let taken = network
            .gateway
            .into_iter()
            .chain(others)
            .map(u32::from)
            .filter(|address| (first..=last).contains(address))
            .collect();
        Self {
            first,
            last,
            taken,
            next: first,
        }
    }

    /// Fails if a network cannot hold an address for each of its `nodes` and `hosts`.
    pub(super) fn check(&self, network: &Network, nodes: usize, hosts: usize) -> Result<(), PlanError> {
        let usable = (u64::from(self.last) + 1).saturating_sub(u64::from(self.first)) as usize;
        let usable = usable.saturating_sub(self.taken.len());
        let needed = nodes + hosts;
        if needed <= usable {
            return Ok(());
        }
        Err(PlanError::SubnetTooSmall {
            network: network.name.clone(),
            subnet: network.subnet,
            range: network.range,
            taken: self.taken.len(),
            needed,
            nodes,
            hosts,
            usable,
            at: network.at.clone(),
        })
    }

    /// Takes the highest free address, for a host.
    pub(super) fn take_last(&mut self) -> Option<Ipv4Addr> {
        let address = (self.first..=self.last)
            .rev()
            .find(|address| !self.taken.contains(address))?;
        self.taken.insert(address);
        // This was the highest free address, so the next search starts below it.
        self.last = address.checked_sub(1)?;
        Some(address.into())
    }

    /// Takes exactly this address, if it is in the subnet and free.
    pub(super) fn take(&mut self, address: Ipv4Addr) -> bool {
        let address = u32::from(address);
        (self.first..=self.last).contains(&address) && self.taken.insert(address)
    }

    /// Takes the lowest free address, for a node.
    pub(super) fn take_first(&mut self) -> Option<Ipv4Addr> {
        let address = (self.next..=self.last).find(|address| !self.taken.contains(address))?;
        self.taken.insert(address);
        self.next = address.checked_add(1)?;
        Some(address.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::NetworkName;

    fn addresses(subnet: &str, gateway: Option<&str>) -> Addresses {
        let network = Network {
            name: NetworkName::cluster(),
            subnet: subnet.parse().unwrap(),
            range: None,
            mtu: None,
            nat: false,
            bridge: None,
            gateway: gateway.map(|g| g.parse().unwrap()),
            dns: Vec::new(),
            at: None,
        };
        Addresses::new(&network, std::iter::empty())
    }

    #[test]
    fn nodes_come_from_below_and_hosts_from_above_around_the_gateway() {
        let mut all = addresses("10.0.0.0/29", Some("10.0.0.6"));
        let text = |address: Option<Ipv4Addr>| address.map(|a| a.to_string());
        assert_eq!(text(all.take_last()).as_deref(), Some("10.0.0.5"));
        assert!(all.take([10, 0, 0, 2].into()));
        assert!(!all.take([10, 0, 0, 2].into()) && !all.take([10, 0, 1, 2].into()));
        assert_eq!(text(all.take_first()).as_deref(), Some("10.0.0.1"));
        assert_eq!(text(all.take_first()).as_deref(), Some("10.0.0.3"));
        assert_eq!(text(all.take_last()).as_deref(), Some("10.0.0.4"));
        assert_eq!(text(all.take_first()), None);
    }

    #[test]
    fn subnets_without_room_and_at_the_ends_of_the_address_space_do_no_harm() {
        assert_eq!(addresses("10.0.0.0/31", None).take_first(), None);
        assert_eq!(addresses("10.0.0.0/32", None).take_last(), None);
        let mut low = addresses("0.0.0.0/30", None);
        assert_eq!(low.take_last(), Some(Ipv4Addr::new(0, 0, 0, 2)));
        assert_eq!(low.take_last(), Some(Ipv4Addr::new(0, 0, 0, 1)));
        let mut high = addresses("255.255.255.252/30", None);
        assert_eq!(high.take_first(), Some(Ipv4Addr::new(255, 255, 255, 253)));
    }

    #[test]
    fn an_ethernet_address_is_locally_administered_and_unicast() {
        let mac = mac([10, 77, 1, 200].into());
        assert_eq!(mac.to_string(), "52:54:0a:4d:01:c8");
        assert_eq!(mac.0[0] & 0b11, 0b10);
    }

    #[test]
    fn only_the_range_is_used_and_the_ends_belong_to_it() {
        let network = Network {
            name: NetworkName::cluster(),
            subnet: "192.168.50.0/24".parse().unwrap(),
            range: Some("192.168.50.100-192.168.50.102".parse().unwrap()),
            mtu: None,
            nat: false,
            bridge: Some("br0".into()),
            gateway: Some([192, 168, 50, 1].into()),
            dns: Vec::new(),
            at: None,
        };
        // A host has one of them.
        let mut all = Addresses::new(&network, std::iter::once([192, 168, 50, 101].into()));
        assert!(!all.take([192, 168, 50, 99].into()) && !all.take([192, 168, 50, 101].into()));
        assert_eq!(all.take_first(), Some(Ipv4Addr::new(192, 168, 50, 100)));
        assert_eq!(all.take_first(), Some(Ipv4Addr::new(192, 168, 50, 102)));
        assert_eq!(all.take_first(), None);
    }
}
