//! The names of a cluster's objects on hosts, all derived from its name and id, and their parsers.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::digest::sha256;
use crate::base::name::{ClusterName, NetworkName, NodeName};
use crate::base::text::is_lower_hex;

/// What the names of bridges begin with; in `network/remove.sh` too. Linux allows 15 characters, the short id has 8, and
/// that of a further network 4.
const BRIDGE: &str = "vcb";
/// The same of VXLAN devices.
const VXLAN: &str = "vcx";

/// Short form of a cluster id: its first 8 hex digits. Part of the names of devices, pools and directories.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShortId(String);

impl ShortId {
    /// The short form of an id.
    pub fn of(id: Uuid) -> Self {
        Self(id.simple().to_string()[..8].to_owned())
    }

    /// Parses a short id: 8 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 8 && is_lower_hex(text)).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the bridge of a network of the cluster: `vcbSHORTID`, of a further network `vcbSHORTIDYYYY`.
    pub fn bridge_name(&self, network: &NetworkName) -> String {
        format!("{BRIDGE}{self}{}", network_suffix(network))
    }

    /// Name of the VXLAN device of a network of the cluster: `vcxSHORTID`, of a further network `vcxSHORTIDYYYY`.
    pub fn vxlan_name(&self, network: &NetworkName) -> String {
        format!("{VXLAN}{self}{}", network_suffix(network))
    }

    /// Parses the name of a bridge of a cluster.
    pub fn of_bridge(name: &str) -> Option<Self> {
        Self::with_suffix(name.strip_prefix(BRIDGE)?)
    }

    /// Parses the name of a VXLAN device of a cluster.
    pub fn of_vxlan(name: &str) -> Option<Self> {
        Self::with_suffix(name.strip_prefix(VXLAN)?)
    }

    /// A short id, and the suffix of a further network or none.
    fn with_suffix(text: &str) -> Option<Self> {
        let (id, suffix) = text.split_at_checked(8)?;
        let is_suffix = matches!(suffix.len(), 0 | 4) && is_lower_hex(suffix);
        is_suffix.then(|| Self::parse(id)).flatten()
    }
}

/// Distinguishes the devices of a further network: 4 hex digits of the digest of its name. Empty for `cluster`.
pub(crate) fn network_suffix(network: &NetworkName) -> String {
    if network.is_cluster() {
        return String::new();
    }
    sha256(network.as_str())[..4].to_owned()
}

impl std::fmt::Display for ShortId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl From<ShortId> for String {
    fn from(id: ShortId) -> Self {
        id.0
    }
}

impl TryFrom<String> for ShortId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
            .ok_or_else(|| format!("`{}` is not the short id of a cluster", text.escape_debug()))
    }
}

/// A cluster as it is identified on its hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterRef {
    /// Its name.
    pub name: ClusterName,
    /// Short form of its id.
    pub short_id: ShortId,
}

impl ClusterRef {
    /// The cluster with this name and id.
    pub fn new(name: &ClusterName, id: Uuid) -> Self {
        Self {
            name: name.clone(),
            short_id: ShortId::of(id),
        }
    }

    /// Whether these are its name and id.
    pub fn is(&self, name: &ClusterName, id: Uuid) -> bool {
        self.name == *name && self.short_id == ShortId::of(id)
    }

    /// Name of its libvirt pool: `vcluster.NAME.SHORTID`. Neither part can contain a dot, so it parses unambiguously.
    pub fn pool_name(&self) -> String {
        format!("vcluster.{}", self.directory_name())
    }

    /// Name of its directory below vcluster's own: `NAME.SHORTID`.
    pub fn directory_name(&self) -> String {
        format!("{}.{}", self.name, self.short_id)
    }

    /// Parses the name of a cluster's pool.
    pub fn of_pool(name: &str) -> Option<Self> {
        Self::of_directory(name.strip_prefix("vcluster.")?)
    }

    /// Parses the name of a cluster's directory.
    pub fn of_directory(name: &str) -> Option<Self> {
        let (cluster, short_id) = name.split_once('.')?;
        Some(Self {
            name: cluster.parse().ok()?,
            short_id: ShortId::parse(short_id)?,
        })
    }
}

impl std::fmt::Display for ClusterRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.short_id)
    }
}

/// Reserved node name of the guest that checks KVM on a host.
pub const PROBE_NODE: &str = "vcluster-probe";

/// UUID of a node's libvirt domain: version 5 of cluster id and node name. It identifies the domain under any name.
pub fn domain_uuid(cluster_id: Uuid, node: &NodeName) -> Uuid {
    Uuid::new_v5(&cluster_id, node.as_str().as_bytes())
}

/// Name of a node's libvirt domain: `CLUSTER.NODE`.
pub fn domain_name(cluster: &ClusterName, node: &NodeName) -> String {
    format!("{cluster}.{node}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_form_are_pools_of_ours() {
        let cluster = ClusterRef::new(&"demo".parse().unwrap(), Uuid::from_u128(2));
        assert_eq!(cluster.directory_name(), "demo.00000000");
        assert_eq!(ClusterRef::of_pool(&cluster.pool_name()), Some(cluster));
        for other in [
            "vcluster-images",
            "default",
            "vcluster.demo",
            "vcluster.demo.xyz",
            "vcluster.demo.0000000A",
            "vcluster.a/b.00000000",
        ] {
            assert_eq!(ClusterRef::of_pool(other), None, "{other}");
        }
    }

    #[test]
    fn the_short_id_is_read_from_the_names_of_links() {
        let id = ShortId::parse("0123abcd").unwrap();
        let cluster = NetworkName::cluster();
        assert_eq!(id.bridge_name(&cluster), "vcb0123abcd");
        assert_eq!(id.vxlan_name(&cluster), "vcx0123abcd");
        for network in [cluster, "storage".parse().unwrap()] {
            let (bridge, vxlan) = (id.bridge_name(&network), id.vxlan_name(&network));
            assert!(bridge.len() <= 15 && vxlan.len() <= 15, "{bridge} {vxlan}");
            assert_eq!(ShortId::of_bridge(&vxlan), None);
            assert_eq!(ShortId::of_vxlan(&bridge), None);
            assert_eq!(ShortId::of_bridge(&bridge).as_ref(), Some(&id));
            assert_eq!(ShortId::of_vxlan(&vxlan).as_ref(), Some(&id));
        }
        for bad in [
            "vcb0123abcd0",
            "vcb0123abcd00000",
            "vcb0123abcdxyza",
            "vcb0123abc",
        ] {
            assert_eq!(ShortId::of_bridge(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_eight_hex_digits_are_a_short_id() {
        for bad in ["", "0000000", "000000000", "0000000g", "0000000A", "../../.."] {
            assert_eq!(ShortId::parse(bad), None, "{bad}");
            assert!(serde_json::from_value::<ShortId>(bad.into()).is_err(), "{bad}");
        }
    }
}
