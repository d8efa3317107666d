//! `network: range`: the part of a subnet that may be used.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;
use serde::Serialize;

/// A range of addresses; both ends are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AddressRange {
    /// The first address.
    pub first: Ipv4Addr,
    /// The last address; not below the first one.
    pub last: Ipv4Addr,
}

/// The text is not a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressRangeError {
    /// It is neither two addresses nor a network.
    #[error("it is neither `FIRST-LAST` nor a network in CIDR notation")]
    Form,
    /// The ends are swapped.
    #[error("its last address is below its first one")]
    Swapped,
}

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        if let Ok(net) = text.trim().parse::<Ipv4Net>() {
            return Ok(Self {
                first: net.network(),
                last: net.broadcast(),
            });
        }
        let (first, last) = text.split_once('-').ok_or(AddressRangeError::Form)?;
        let address = |text: &str| text.trim().parse().map_err(|_| AddressRangeError::Form);
        let (first, last) = (address(first)?, address(last)?);
        if first > last {
            return Err(AddressRangeError::Swapped);
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The first and last address of a subnet that a machine may use, within a range if there is one; the first is above
/// the last if there is none.
pub(crate) fn usable(subnet: Ipv4Net, range: Option<AddressRange>) -> (u32, u32) {
    // /31 and /32 have no room for a network with a broadcast address.
    if subnet.prefix_len() > 30 {
        return (1, 0);
    }
    let (network, broadcast) = (u32::from(subnet.network()), u32::from(subnet.broadcast()));
    let (first, last) = (network + 1, broadcast - 1);
    range.map_or((first, last), |range| {
        (first.max(range.first.into()), last.min(range.last.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_addresses_or_a_network() {
        let range = |text: &str| text.parse::<AddressRange>().map(|range| range.to_string());
        assert_eq!(
            range("192.168.50.100-192.168.50.199").as_deref(),
            Ok("192.168.50.100-192.168.50.199")
        );
        assert_eq!(range("10.0.0.1 - 10.0.0.1").as_deref(), Ok("10.0.0.1-10.0.0.1"));
        assert_eq!(range("10.0.0.64/26").as_deref(), Ok("10.0.0.64-10.0.0.127"));
        assert_eq!(range("10.0.0.9-10.0.0.1"), Err(AddressRangeError::Swapped));
        for bad in ["", "10.0.0.1", "10.0.0.1-", "10.0.0.1-20", "a-b", "10.0.0.0/33"] {
            assert_eq!(range(bad), Err(AddressRangeError::Form), "{bad}");
        }
    }

    #[test]
    fn only_what_subnet_and_range_share_is_usable() {
        let usable = |range: Option<&str>| {
            let (first, last) = usable(
                "10.0.0.0/24".parse().unwrap(),
                range.map(|range| range.parse().unwrap()),
            );
            (Ipv4Addr::from(first), Ipv4Addr::from(last))
        };
        let between = |a, b| (Ipv4Addr::new(10, 0, 0, a), Ipv4Addr::new(10, 0, 0, b));
        assert_eq!(usable(None), between(1, 254));
        assert_eq!(usable(Some("10.0.0.0/26")), between(1, 63));
        assert_eq!(usable(Some("10.0.0.200-10.0.0.255")), between(200, 254));
    }
}
