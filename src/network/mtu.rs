//! The check that the underlay carries packets of the plan's MTU: pings that may not be fragmented. It explains why the
//! VXLAN does not work; that it does is proved in `overlay`.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::base::name::HostName;
use crate::base::shell::with_variables;

/// Overhead of an encapsulated frame over a plain ping of the inner MTU: inner Ethernet header 14 + VXLAN 8 +
/// UDP 8 - ICMP 8. The IP header is in both.
const EXTRA: u32 = 22;

/// A peer that could not be reached with packets of the full size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MtuFailure {
    /// The peer.
    pub peer: HostName,
    /// Its underlay address.
    pub address: IpAddr,
    /// Size of the IP packet that did not arrive, in bytes.
    pub size: u32,
    /// Whether even a small packet did not arrive.
    pub unreachable: bool,
}

/// Size of the whole IP packet that carries a full frame of the cluster.
fn packet(mtu: u32, address: IpAddr) -> u32 {
    let headers = if address.is_ipv4() { 20 + 8 } else { 40 + 8 };
    mtu + EXTRA + headers
}

/// The script that pings all peers in parallel.
pub fn mtu_script(mtu: u32, peers: &[(&HostName, IpAddr)]) -> String {
    let size = (mtu + EXTRA).to_string();
    let probe = concat!(include_str!("iputils.sh"), include_str!("mtu.sh"));
    let mut script = with_variables(&[("size", size.as_str())], probe);
    for (_, address) in peers {
        // Writing to a string cannot fail.
        let _ = writeln!(script, "probe {address} &");
    }
    script.push_str("wait\n");
    script
}

/// Reads the script's output: the peers that a full packet does not reach.
pub fn read_mtu(output: &str, mtu: u32, peers: &[(&HostName, IpAddr)]) -> Vec<MtuFailure> {
    let reported =
        |word: &str, address: IpAddr| output.lines().any(|line| line == format!("{word} {address}"));
    peers
        .iter()
        .filter(|(_, address)| !reported("ok", *address))
        .map(|(peer, address)| MtuFailure {
            peer: (*peer).clone(),
            address: *address,
            size: packet(mtu, *address),
            unreachable: !reported("large", *address),
        })
        .collect()
}
