//! How to reach a host.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::name::HostName;

/// How to reach a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostEndpoint {
    /// Its name.
    pub name: HostName,
    /// Its libvirt URI.
    pub uri: String,
    /// Private key file, if the topology sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
    /// Underlay address, if the topology sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}
