//! The text network-config of a seed, version 2: every interface with a static address. It has one scalar per line, and
//! of each interface the Ethernet address, then the MTU, then the address: the shell of the micro image reads it.
//! Format: cloud-init documentation, "Network config version 2".

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use super::SeedInput;
use crate::inventory::Mac;

/// An interface as the node configures it.
struct Interface {
    mac: Mac,
    mtu: u32,
    address: Ipv4Net,
    gateway: Option<Ipv4Addr>,
    dns: Vec<IpAddr>,
}

pub(super) fn network_config(input: &SeedInput<'_>) -> String {
    let mut text = "version: 2\nethernets:\n".to_owned();
    for (number, interface) in interfaces(input).iter().enumerate() {
        interface.describe(number, &mut text);
    }
    text
}

/// All interfaces in order, each with the name servers that are reached through it.
fn interfaces(input: &SeedInput<'_>) -> Vec<Interface> {
    let first = Interface {
        mac: input.mac,
        mtu: input.mtu,
        address: input.address,
        gateway: input.gateway,
        dns: Vec::new(),
    };
    let further = input.interfaces.iter().map(|interface| Interface {
        mac: interface.mac,
        mtu: interface.mtu,
        address: interface.address,
        gateway: interface.gateway,
        dns: Vec::new(),
    });
    let mut all: Vec<Interface> = std::iter::once(first).chain(further).collect();
    for server in input.dns {
        let through = position_of(*server, &all);
        all[through].dns.push(*server);
    }
    all
}

/// The interface that a name server is reached through: that of its subnet, else that of the default gateway, else the
/// first. systemd-resolved sends queries for a server only through the interface that lists it.
fn position_of(server: IpAddr, all: &[Interface]) -> usize {
    let is_near = |interface: &Interface| match server {
        IpAddr::V4(server) => interface.address.contains(&server),
        IpAddr::V6(_) => false,
    };
    let near = all.iter().position(is_near);
    near.or_else(|| all.iter().position(|interface| interface.gateway.is_some()))
        .unwrap_or_default()
}

impl Interface {
    /// Nothing in it makes a node wait: no DHCP, and neither router advertisements nor a link-local IPv6 address,
    /// because systemd-networkd counts a link as configured only once it has either (`link_check_ready`), and no
    /// router answers.
    fn describe(&self, number: usize, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\x20 eth{number}:\n\
             \x20   match:\n\
             \x20     macaddress: \"{}\"\n\
             \x20   set-name: \"eth{number}\"\n\
             \x20   dhcp4: false\n\
             \x20   dhcp6: false\n\
             \x20   accept-ra: false\n\
             \x20   link-local: []\n\
             \x20   mtu: {}\n\
             \x20   addresses:\n\
             \x20     - \"{}\"\n",
            self.mac, self.mtu, self.address
        );
        if let Some(gateway) = self.gateway {
            let _ = write!(
                text,
                "    routes:\n      - to: \"0.0.0.0/0\"\n        via: \"{gateway}\"\n"
            );
        }
        if !self.dns.is_empty() {
            text.push_str("    nameservers:\n      addresses:\n");
            for server in &self.dns {
                let _ = writeln!(text, "        - \"{server}\"");
            }
        }
    }
}
