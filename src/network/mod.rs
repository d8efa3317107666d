//! The networks of a cluster on one host: for each a bridge, a VXLAN to the other hosts, optional NAT.
//! Pure: parses what a host reports about its links, compares it with the plan, builds the script of changes.
//! Runs nothing.

mod change;
mod mtu;
mod overlay;
mod remove;
mod seen;
mod stale;
mod wanted;

pub use change::{Changes, changes};
pub use mtu::{MtuFailure, mtu_script, read_mtu};
pub use overlay::{OverlayFailure, overlay_peers, overlay_script, read_overlay};
pub(crate) use remove::REMOVAL;
pub use remove::{removal_script, stale_script};
pub(crate) use seen::section;
pub use seen::{Link, Seen, SeenError, read_links, seen_script};
pub use stale::stale;
pub use wanted::{Wanted, networks_of};

use uuid::Uuid;

use crate::base::name::{ClusterName, NetworkName};
use crate::base::text::is_lower_hex;
use crate::inventory::{ShortId, network_suffix};

/// What the names of our tables begin with; in `remove.sh` and `host/inspect/probe.sh` too.
const TABLE: &str = "vcluster_";

/// Alias of our links and comment of our tables: `vcluster:NAME:CLUSTERID`. It is the mark that identifies them.
pub fn alias(cluster: &ClusterName, id: Uuid) -> String {
    format!("vcluster:{cluster}:{id}")
}

/// Parses an alias; `None` if it is not ours.
pub fn read_alias(alias: &str) -> Option<(ClusterName, Uuid)> {
    let (cluster, id) = alias.strip_prefix("vcluster:")?.split_once(':')?;
    // Only the form that we write: a UUID has several textual forms.
    let uuid: Uuid = id.parse().ok()?;
    (uuid.to_string() == id).then_some(())?;
    Some((cluster.parse().ok()?, uuid))
}

/// Kind and short id of a link of ours, from its name.
pub fn read_link_name(name: &str) -> Option<(&'static str, ShortId)> {
    let bridge = ShortId::of_bridge(name).map(|id| ("bridge", id));
    bridge.or_else(|| Some(("vxlan", ShortId::of_vxlan(name)?)))
}

/// Name of our nft table (family `inet`) for a network: `vcluster_SHORTID`, for a further one `vcluster_SHORTID_YYYY`.
pub fn table_name(short_id: &ShortId, network: &NetworkName) -> String {
    let suffix = network_suffix(network);
    let separator = if suffix.is_empty() { "" } else { "_" };
    format!("{TABLE}{short_id}{separator}{suffix}")
}

/// Short id of a table of ours, from its name.
pub fn read_table_name(name: &str) -> Option<ShortId> {
    let rest = name.strip_prefix(TABLE)?;
    let Some((id, suffix)) = rest.split_once('_') else {
        return ShortId::parse(rest);
    };
    let is_suffix = suffix.len() == 4 && is_lower_hex(suffix);
    is_suffix.then(|| ShortId::parse(id)).flatten()
}

/// Names a network in a message, after what it has; empty for `cluster`, which needs no name.
pub fn of_network(network: &NetworkName) -> String {
    if network.is_cluster() {
        return String::new();
    }
    format!(" of the network `{network}`")
}

/// Where a topology sets the MTU of a network, for hints.
pub fn mtu_key(network: &NetworkName) -> String {
    if network.is_cluster() {
        return "`mtu` in `network`".to_owned();
    }
    format!("`mtu` in `networks.{network}`")
}

/// Why the network cannot be set up on a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The existing bridge that the topology names is missing.
    #[error("there is no bridge `{0}`")]
    NoBridge(String),
    /// It exists but is not a bridge.
    #[error("`{0}` is not a bridge")]
    NotABridge(String),
    /// A link that is not ours has our link's name.
    #[error("a link `{0}` exists and does not carry vcluster's mark")]
    ForeignLink(String),
    /// The host is not part of the plan.
    #[error("the host is not part of the plan")]
    NotInPlan,
    /// No underlay address for the VXLAN.
    #[error("no underlay address is known for `{0}`")]
    NoUnderlay(String),
}

#[cfg(test)]
mod tests;
