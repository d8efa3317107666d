//! What a host reports about its links, forwarding entries and neighbours: the script and the parser.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use serde_json::Value;

use super::Wanted;
use crate::base::shell::with_variables;
use crate::inventory::Mac;

/// A link as `ip -j -d addr` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Link {
    /// Name.
    pub ifname: String,
    /// Alias: our links carry our mark here.
    pub ifalias: String,
    /// MTU.
    pub mtu: u32,
    /// Flags (`UP`, ...).
    pub flags: Vec<String>,
    /// The bridge that it is a port of.
    pub master: Option<String>,
    /// Ethernet address.
    pub address: String,
    linkinfo: LinkInfo,
    addr_info: Vec<Address>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct LinkInfo {
    #[serde(rename = "info_kind")]
    kind: String,
    #[serde(rename = "info_data")]
    data: Value,
    #[serde(rename = "info_slave_data")]
    port: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Address {
    local: Option<IpAddr>,
    prefixlen: u8,
    scope: String,
}

impl Link {
    /// Kind: `bridge`, `vxlan`, `veth`, ...; empty for a real device.
    pub fn kind(&self) -> &str {
        &self.linkinfo.kind
    }

    /// Addresses with prefix length, without link-local ones.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> + '_ {
        self.addr_info
            .iter()
            .filter(|address| address.scope != "link")
            .filter_map(|address| Some((address.local?, address.prefixlen)))
    }

    /// VXLAN network identifier.
    pub fn vni(&self) -> Option<u32> {
        (self.kind() == "vxlan").then(|| self.number("id")).flatten()
    }

    /// The Ethernet address of the guest whose interface it is the host's end of, if libvirt made it: it has that address
    /// with `fe` as the first byte, so that the bridge never takes it as its own.
    pub fn node(&self) -> Option<Mac> {
        let has_usual_name = self.ifname.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if self.kind() != "tun" || !has_usual_name {
            return None;
        }
        let Mac([first, rest @ ..]) = Mac::try_from(self.address.clone()).ok()?;
        let [second, third, fourth, fifth, sixth] = rest;
        (first == 0xfe).then_some(Mac([0x52, second, third, fourth, fifth, sixth]))
    }

    /// Whether it is of this kind, has no alias and was never up: the leftover of an interrupted creation of one of our
    /// links. Ownership follows from its name.
    pub fn is_half_made(&self, kind: &str) -> bool {
        self.kind() == kind && self.ifalias.is_empty() && !self.is_up()
    }

    pub(super) fn number(&self, key: &str) -> Option<u32> {
        u32::try_from(self.linkinfo.data.get(key)?.as_u64()?).ok()
    }

    pub(super) fn local(&self) -> Option<IpAddr> {
        let data = &self.linkinfo.data;
        data.get("local")
            .or_else(|| data.get("local6"))?
            .as_str()?
            .parse()
            .ok()
    }

    pub(super) fn learns(&self) -> bool {
        self.linkinfo
            .data
            .get("learning")
            .and_then(Value::as_bool)
            .unwrap_or(true)
    }

    pub(super) fn suppresses_neighbours(&self) -> bool {
        let port = &self.linkinfo.port;
        port.get("neigh_suppress")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// Whether it is up, with or without a carrier.
    pub fn is_up(&self) -> bool {
        self.flags.iter().any(|flag| flag == "UP")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fdb {
    mac: String,
    dst: Option<String>,
    flags: Vec<String>,
    state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Neighbour {
    dst: String,
    lladdr: String,
}

/// The observed network of a host, as far as it matters to one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// All links.
    pub links: Vec<Link>,
    /// Forwarding entries of our VXLAN: Ethernet address and the underlay address of its host.
    pub vxlan_entries: BTreeSet<(Mac, IpAddr)>,
    /// Ethernet addresses that our bridge has entries for behind the VXLAN.
    pub bridge_entries: BTreeSet<Mac>,
    /// Permanent neighbours on our bridge.
    pub neighbours: BTreeSet<(Ipv4Addr, Mac)>,
    /// Comment of our nft table, if it exists.
    pub table: Option<String>,
    /// Whether the host forwards IPv4.
    pub forwards: bool,
    /// Whether IPv6 is off on our bridge (also if the host has no IPv6).
    pub ipv6_off: bool,
    /// Whether bridged frames pass through iptables.
    pub bridge_filtered: bool,
    /// Whether iptables forwards nothing by default.
    pub forward_drop: bool,
}

/// Why a host's report could not be parsed.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct SeenError {
    what: &'static str,
    cause: serde_json::Error,
}

/// The script that prints what `Seen` holds.
pub fn seen_script(wanted: &Wanted) -> String {
    let bridge = wanted.bridge.as_str();
    let vxlan = wanted
        .vxlan
        .as_ref()
        .map_or("-", |(vxlan, _)| vxlan.device.as_str());
    let table = wanted.nat.as_deref().unwrap_or("-");
    let variables = [("bridge", bridge), ("vxlan", vxlan), ("table", table)];
    with_variables(&variables, include_str!("seen.sh"))
}

/// Parses the output of `ip -j -d addr show`.
pub fn read_links(json: &str) -> Result<Vec<Link>, SeenError> {
    json_list(json, "links")
}

fn json_list<T: for<'a> Deserialize<'a>>(json: &str, what: &'static str) -> Result<Vec<T>, SeenError> {
    if json.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(json).map_err(|cause| SeenError { what, cause })
}

impl Seen {
    /// Parses the output of [`seen_script`].
    pub fn read(output: &str) -> Result<Self, SeenError> {
        let part = |name: &str| section(output, name);
        let mut seen = Self {
            links: json_list(part("links"), "links")?,
            table: quoted(part("table")),
            forwards: part("forward").trim() == "1",
            ipv6_off: part("ipv6").trim() == "1",
            bridge_filtered: part("filtered").trim() == "1",
            forward_drop: part("policy").trim() == "-P FORWARD DROP",
            ..Self::default()
        };
        for entry in json_list::<Fdb>(part("fdb"), "forwarding entries")? {
            let Ok(mac) = Mac::try_from(entry.mac) else {
                continue;
            };
            if entry.flags.iter().any(|flag| flag == "self") {
                if let Some(address) = entry.dst.and_then(|dst| dst.parse().ok()) {
                    seen.vxlan_entries.insert((mac, address));
                }
            } else if entry.state == "static" {
                seen.bridge_entries.insert(mac);
            }
        }
        for entry in json_list::<Neighbour>(part("neigh"), "neighbours")? {
            if let (Ok(address), Ok(mac)) = (entry.dst.parse(), Mac::try_from(entry.lladdr)) {
                seen.neighbours.insert((address, mac));
            }
        }
        Ok(seen)
    }

    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.ifname == name)
    }
}

/// The lines between `@@NAME` and the next mark.
pub(crate) fn section<'a>(output: &'a str, name: &str) -> &'a str {
    let mark = format!("@@{name}\n");
    let start = if output.starts_with(&mark) {
        mark.len()
    } else {
        match output.find(&format!("\n{mark}")) {
            Some(at) => at + 1 + mark.len(),
            None => return "",
        }
    };
    let rest = &output[start..];
    if rest.starts_with("@@") {
        return "";
    }
    rest.find("\n@@").map_or(rest, |end| &rest[..end])
}

/// The text between the first and the last double quote.
fn quoted(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('"')?;
    let (text, _) = rest.rsplit_once('"')?;
    Some(text.to_owned())
}
