//! The difference between the planned and the observed network, as a script.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::wanted::bridge_mac;
use super::{Link, NetworkError, Seen, Wanted};
use crate::inventory::Mac;

/// The required changes, in batches per tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Links to remove and to create: `ip -batch`.
    make: Vec<String>,
    /// Links on which IPv6 is to be disabled before they come up.
    ipv6_off: Vec<String>,
    /// The rest: `ip -batch`.
    ip: Vec<String>,
    /// Forwarding entries: `bridge -batch`.
    bridge: Vec<String>,
    /// Whether IPv4 forwarding is to be enabled.
    forward: bool,
    /// A table for `nft -f`.
    nft: Option<String>,
    /// Possible problems, for people.
    pub notes: Vec<String>,
}

/// Compares the two; an error means that nothing may be changed.
pub fn changes(wanted: &Wanted, seen: &Seen) -> Result<Changes, NetworkError> {
    if !wanted.own {
        return match seen.link(&wanted.bridge) {
            Some(link) if link.kind() == "bridge" => Ok(Changes::default()),
            Some(_) => Err(NetworkError::NotABridge(wanted.bridge.clone())),
            None => Err(NetworkError::NoBridge(wanted.bridge.clone())),
        };
    }
    let mut todo = Changes::default();
    todo.bridge_link(wanted, seen)?;
    todo.vxlan_link(wanted, seen)?;
    todo.node_links(wanted, seen);
    todo.neighbours(wanted, seen);
    todo.nat(wanted, seen);
    todo.notes(wanted, seen);
    Ok(todo)
}

impl Changes {
    /// Our link if it exists. The kernel accepts no alias when a link is created, so a host that lost power in
    /// between has a link with our name, no alias, and never up. It is removed.
    fn own<'a>(
        &mut self,
        seen: &'a Seen,
        name: &str,
        kind: &str,
        alias: &str,
    ) -> Result<Option<&'a Link>, NetworkError> {
        match seen.link(name) {
            Some(link) if link.ifalias == alias => Ok(Some(link)),
            Some(link) if link.is_half_made(kind) => {
                self.make.push(format!("link del dev {name}"));
                Ok(None)
            }
            Some(_) => Err(NetworkError::ForeignLink(name.to_owned())),
            None => Ok(None),
        }
    }

    fn bridge_link(&mut self, wanted: &Wanted, seen: &Seen) -> Result<(), NetworkError> {
        let (bridge, alias, mtu) = (&wanted.bridge, &wanted.alias, wanted.mtu);
        let there = self.own(seen, bridge, "bridge", alias)?;
        if there.is_none() {
            let mac = wanted
                .address
                .map(|address| format!("address {} ", bridge_mac(address)));
            self.make.push(format!(
                "link add {bridge} {}type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                mac.unwrap_or_default()
            ));
            self.make.push(format!("link set dev {bridge} alias {alias}"));
        }
        if there.is_none() || !seen.ipv6_off {
            self.ipv6_off.push(bridge.clone());
        }
        if there.is_none_or(|link| link.mtu != mtu) {
            self.ip.push(format!("link set dev {bridge} mtu {mtu}"));
        }
        let prefix = wanted.subnet.prefix_len();
        let mut missing = wanted.address;
        for (address, length) in there.into_iter().flat_map(Link::addresses) {
            if wanted.address.is_some_and(|own| IpAddr::V4(own) == address) && length == prefix {
                missing = None;
            } else {
                self.ip.push(format!("addr del {address}/{length} dev {bridge}"));
            }
        }
        if let Some(address) = missing {
            self.ip.push(format!("addr add {address}/{prefix} dev {bridge}"));
        }
        if !there.is_some_and(Link::is_up) {
            self.ip.push(format!("link set dev {bridge} up"));
        }
        Ok(())
    }

    fn vxlan_link(&mut self, wanted: &Wanted, seen: &Seen) -> Result<(), NetworkError> {
        let (bridge, alias, mtu) = (&wanted.bridge, &wanted.alias, wanted.mtu);
        let Some((vxlan, underlay)) = &wanted.vxlan else {
            return Ok(());
        };
        let device = &vxlan.device;
        let mut there = self.own(seen, device, "vxlan", alias)?;
        // None of these can be changed on an existing device.
        let stale = there.is_some_and(|link| {
            link.vni() != Some(vxlan.vni)
                || link.number("port") != Some(u32::from(vxlan.port))
                || link.local() != Some(*underlay)
                || link.learns()
        });
        if stale {
            self.make.push(format!("link del dev {device}"));
            there = None;
        }
        if there.is_none() {
            self.make.push(format!(
                "link add {device} mtu {mtu} type vxlan id {} local {underlay} dstport {} nolearning",
                vxlan.vni, vxlan.port
            ));
            self.make.push(format!("link set dev {device} alias {alias}"));
            self.ipv6_off.push(device.clone());
        }
        if there.is_some_and(|link| link.mtu != mtu) {
            self.ip.push(format!("link set dev {device} mtu {mtu}"));
        }
        if there.is_none_or(|link| link.master.as_ref() != Some(bridge)) {
            self.ip.push(format!("link set dev {device} master {bridge}"));
        }
        if !there.is_some_and(Link::suppresses_neighbours) {
            self.ip.push(format!(
                "link set dev {device} type bridge_slave neigh_suppress on"
            ));
        }
        if !there.is_some_and(Link::is_up) {
            self.ip.push(format!("link set dev {device} up"));
        }
        let (vxlan_entries, bridge_entries) = match there {
            Some(_) => (seen.vxlan_entries.clone(), seen.bridge_entries.clone()),
            None => (BTreeSet::new(), BTreeSet::new()),
        };
        self.forwarding(wanted, device, &vxlan_entries, &bridge_entries);
        Ok(())
    }

    /// Nodes lose their bridge when somebody removes it. The host's end of their interfaces is left without one, and
    /// libvirt connects it again only when the node starts.
    fn node_links(&mut self, wanted: &Wanted, seen: &Seen) {
        let bridge = &wanted.bridge;
        let lost = seen.links.iter().filter(|link| link.master.is_none());
        for link in lost {
            if link.node().is_some_and(|node| wanted.local.contains(&node)) {
                let name = &link.ifname;
                self.ip.push(format!("link set dev {name} master {bridge}"));
            }
        }
    }

    fn forwarding(
        &mut self,
        wanted: &Wanted,
        device: &str,
        there: &BTreeSet<(Mac, IpAddr)>,
        in_bridge: &BTreeSet<Mac>,
    ) {
        // The all-zero entries are the broadcast destinations: one for each peer.
        let everyone = Mac([0; 6]);
        let mut entries: BTreeSet<(Mac, IpAddr)> =
            wanted.remote.iter().map(|(mac, host)| (*mac, *host)).collect();
        entries.extend(wanted.peers.iter().map(|peer| (everyone, *peer)));
        for (mac, host) in there.difference(&entries) {
            self.bridge
                .push(format!("fdb del {mac} dev {device} dst {host} self"));
        }
        for (mac, host) in entries.difference(there) {
            // `append` allows several destinations, which only broadcasts need.
            let verb = if *mac == everyone { "append" } else { "replace" };
            self.bridge
                .push(format!("fdb {verb} {mac} dev {device} dst {host} self permanent"));
        }
        // The bridge answers ARP for a remote node only if it has an entry for it behind the VXLAN.
        let behind: BTreeSet<Mac> = wanted.remote.keys().copied().collect();
        for mac in in_bridge.difference(&behind) {
            self.bridge.push(format!("fdb del {mac} dev {device} master"));
        }
        for mac in behind.difference(in_bridge) {
            self.bridge
                .push(format!("fdb replace {mac} dev {device} master static"));
        }
    }

    fn neighbours(&mut self, wanted: &Wanted, seen: &Seen) {
        let bridge = &wanted.bridge;
        let mut entries = BTreeSet::new();
        // The bridge answers for its neighbours even without an address of its own to reach them from.
        for (address, mac) in &wanted.neighbours {
            entries.insert((*address, *mac));
        }
        let there = if seen.link(bridge).is_some() {
            seen.neighbours.clone()
        } else {
            BTreeSet::new()
        };
        for (address, _) in there
            .iter()
            .filter(|(address, _)| !wanted.neighbours.contains_key(address))
        {
            self.ip.push(format!("neigh del {address} dev {bridge}"));
        }
        for (address, mac) in entries.difference(&there) {
            self.ip.push(format!(
                "neigh replace {address} lladdr {mac} dev {bridge} nud permanent"
            ));
        }
    }

    fn nat(&mut self, wanted: &Wanted, seen: &Seen) {
        let Some(table) = &wanted.nat else { return };
        let (subnet, bridge) = (wanted.subnet, &wanted.bridge);
        let comment = format!("{} {subnet}", wanted.alias);
        self.forward = !seen.forwards;
        if seen.table.as_ref() == Some(&comment) {
            return;
        }
        // The first line ensures that the second succeeds; the whole is one transaction.
        self.nft = Some(format!(
            "table inet {table}\n\
             delete table inet {table}\n\
             table inet {table} {{\n\
             \tcomment \"{comment}\"\n\
             \tchain postrouting {{\n\
             \t\ttype nat hook postrouting priority srcnat; policy accept;\n\
             \t\tip saddr {subnet} ip daddr != {subnet} oifname != \"{bridge}\" masquerade\n\
             \t}}\n\
             }}\n"
        ));
    }

    fn notes(&mut self, wanted: &Wanted, seen: &Seen) {
        let bridge = &wanted.bridge;
        if seen.forward_drop && (seen.bridge_filtered || wanted.nat.is_some()) {
            self.notes.push(format!(
                "its firewall drops forwarded packets by default (as docker and ufw configure it), including the \
                nodes' frames; if nodes cannot reach each other: iptables -I FORWARD -i {bridge} -j ACCEPT; \
                iptables -I FORWARD -o {bridge} -j ACCEPT"
            ));
        }
        if self.forward {
            self.notes
                .push("IPv4 forwarding was enabled for NAT and stays enabled".to_owned());
        }
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.make.is_empty()
            && self.ipv6_off.is_empty()
            && self.ip.is_empty()
            && self.bridge.is_empty()
            && !self.forward
            && self.nft.is_none()
    }

    /// The script that applies the changes; stops at the first failure.
    pub fn script(&self) -> String {
        let mut script = "set -e\n".to_owned();
        // Writing to a string cannot fail.
        let mut batch = |command: &str, lines: &[String]| {
            if !lines.is_empty() {
                let _ = write!(script, "{command} <<'EOF'\n{}\nEOF\n", lines.join("\n"));
            }
        };
        batch("ip -batch -", &self.make);
        let off: Vec<String> = self
            .ipv6_off
            .iter()
            .map(|link| format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6"))
            .collect();
        batch(
            "while read -r f; do [ ! -e \"$f\" ] || echo 1 >\"$f\"; done",
            &off,
        );
        batch("ip -batch -", &self.ip);
        batch("bridge -batch -", &self.bridge);
        if let Some(table) = &self.nft {
            let _ = write!(script, "nft -f - <<'EOF'\n{table}EOF\n");
        }
        if self.forward {
            script.push_str("echo 1 >/proc/sys/net/ipv4/ip_forward\n");
        }
        script
    }
}
