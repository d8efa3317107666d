//! The check that hosts exchange full-size packets through the VXLAN itself, from bridge to bridge: it finds a firewall
//! that drops the port, another VXLAN identifier, and an MTU that is too large, before guests start.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::base::name::HostName;
use crate::base::shell::with_variables;
use crate::plan::{HostPlan, NetworkPlan, Plan};

/// How many peers one host pings at the same time.
const AT_ONCE: usize = 32;
/// Headers of a ping within the MTU: IPv4 20, ICMP 8.
const HEADERS: u32 = 20 + 8;

/// A peer that full packets do not reach through the VXLAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayFailure {
    /// The peer.
    pub peer: HostName,
    /// Whether small packets do not arrive either.
    pub silent: bool,
}

/// The peers that a host pings through the VXLAN of a network, among the participating hosts with nodes in it: half of
/// the others, because an answer proves both directions. Together, the hosts ping every pair once.
pub fn overlay_peers<'a>(
    plan: &'a Plan,
    network: &NetworkPlan,
    host: &HostName,
    takes_part: impl Fn(&HostName) -> bool,
) -> Vec<(&'a HostName, Ipv4Addr)> {
    if network.vxlan.is_none() {
        return Vec::new();
    }
    let joins = |part: &HostPlan| !part.nodes.is_empty() && part.joins(&network.name);
    let with_nodes = |part: &&HostPlan| joins(part) && takes_part(&part.name);
    let ring: Vec<(&HostName, Ipv4Addr)> = plan
        .hosts
        .iter()
        .filter(with_nodes)
        .filter_map(|part| Some((&part.name, part.address_in(&network.name)?)))
        .collect();
    let Some(own) = ring.iter().position(|(name, _)| *name == host) else {
        return Vec::new();
    };
    // Of an even number, each host and the one opposite would ping each other: only the first half does.
    let opposite = usize::from(ring.len().is_multiple_of(2) && own < ring.len() / 2);
    let half = (ring.len() - 1) / 2 + opposite;
    ring.iter().cycle().skip(own + 1).take(half).copied().collect()
}

/// The script that pings these peers.
pub fn overlay_script(network: &NetworkPlan, peers: &[(&HostName, Ipv4Addr)]) -> String {
    let size = network.mtu.saturating_sub(HEADERS).to_string();
    let variables = [("size", size.as_str()), ("bridge", network.bridge.as_str())];
    let probe = concat!(include_str!("iputils.sh"), include_str!("overlay.sh"));
    let mut script = with_variables(&variables, probe);
    for some in peers.chunks(AT_ONCE) {
        for (_, address) in some {
            // Writing to a string cannot fail.
            let _ = writeln!(script, "probe {address} &");
        }
        script.push_str("wait\n");
    }
    script
}

/// Reads the script's output: the peers that full packets do not reach.
pub fn read_overlay(output: &str, peers: &[(&HostName, Ipv4Addr)]) -> Vec<OverlayFailure> {
    let reported =
        |word: &str, address: Ipv4Addr| output.lines().any(|line| line == format!("{word} {address}"));
    peers
        .iter()
        .filter(|(_, address)| !reported("ok", *address))
        .map(|(peer, address)| OverlayFailure {
            peer: (*peer).clone(),
            silent: !reported("large", *address),
        })
        .collect()
}
