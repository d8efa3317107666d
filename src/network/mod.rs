//! The network of a cluster on one host: a bridge, a VXLAN to the other hosts, NAT where asked for.
//! Pure: reads what a host said of its links, decides what differs from the plan, writes the script
//! that changes it. Runs nothing.

mod change;
mod mtu;
mod remove;
mod seen;
mod wanted;

pub use change::{Changes, changes};
pub use mtu::{MtuFailure, mtu_peers, mtu_script, read_mtu};
pub use remove::removal_script;
pub(crate) use remove::{REMOVAL, is_short_id};
pub(crate) use seen::section;
pub use seen::{Link, Seen, SeenError, read_links, seen_script};
pub use wanted::Wanted;

use uuid::Uuid;

use crate::name::ClusterName;

/// Alias of our links and comment of our tables: `vcluster:NAME:CLUSTERID`. It is the mark by which they are known.
pub fn alias(cluster: &ClusterName, id: Uuid) -> String {
    format!("vcluster:{cluster}:{id}")
}

/// Reads an alias back; `None` if it is not ours.
pub fn read_alias(alias: &str) -> Option<(ClusterName, Uuid)> {
    let (cluster, id) = alias.strip_prefix("vcluster:")?.split_once(':')?;
    // Only the form that we write: a UUID has several.
    let uuid: Uuid = id.parse().ok()?;
    (uuid.to_string() == id).then_some(())?;
    Some((cluster.parse().ok()?, uuid))
}

/// The short id in the name of a link of ours, with the kind that such a link is of.
pub fn read_link_name(name: &str) -> Option<(&'static str, &str)> {
    let (kind, id) = match (name.strip_prefix("vcb"), name.strip_prefix("vcx")) {
        (Some(id), _) => ("bridge", id),
        (_, Some(id)) => ("vxlan", id),
        _ => return None,
    };
    is_short_id(id).then_some((kind, id))
}

/// Name of our nft table (family `inet`).
pub fn table_name(short_id: &str) -> String {
    format!("vcluster_{short_id}")
}

/// What cannot be made on a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The existing bridge that was named is not there.
    #[error("there is no bridge `{0}`")]
    NoBridge(String),
    /// It is there but no bridge.
    #[error("`{0}` is not a bridge")]
    NotABridge(String),
    /// A link that is not ours has the name of ours.
    #[error("a link `{0}` exists and does not carry our mark")]
    ForeignLink(String),
    /// The host takes no part in the plan.
    #[error("the plan has no such host")]
    NotInPlan,
    /// No underlay address for the VXLAN.
    #[error("no underlay address is known for `{0}`")]
    NoUnderlay(String),
}

#[cfg(test)]
mod tests;
