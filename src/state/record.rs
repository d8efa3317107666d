//! The record of a cluster: what later commands need to find and reach it.

use std::net::IpAddr;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::dir::{ClusterDir, StateError};
use crate::name::{ClusterName, HostName, ImageName};
use crate::plan::Plan;
use crate::topology::{Accel, Host};
use crate::units::{MiB, Moment};

/// Version of the record's JSON form.
pub const RECORD_VERSION: u32 = 1;

/// How to reach a host again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Its name.
    pub name: HostName,
    /// Its libvirt URI.
    pub uri: String,
    /// Private key file, where the topology names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
    /// Underlay address, where the topology names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

impl From<&Host> for HostRecord {
    fn from(host: &Host) -> Self {
        Self {
            name: host.name.clone(),
            uri: host.uri.clone(),
            identity: host.identity.clone(),
            address: host.address,
        }
    }
}

impl HostRecord {
    /// A host of a topology with just this; capacity settings do not matter to who only looks or removes.
    pub fn to_host(&self) -> Host {
        Host {
            name: self.name.clone(),
            uri: self.uri.clone(),
            max_nodes: 0,
            overcommit: 1.0,
            reserve: MiB(0),
            address: self.address,
            accel: Accel::Auto,
            identity: self.identity.clone(),
            vars: serde_json::Map::new(),
            at: None,
        }
    }
}

/// The record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// The cluster.
    pub name: ClusterName,
    /// Its id.
    pub id: Uuid,
    /// When it was first raised, RFC 3339 in UTC.
    pub created: String,
    /// End of its lease as it was last set from here; `None` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
    /// The topology file, absolute; `None` when it came from standard input.
    pub topology: Option<PathBuf>,
    /// What relative paths in it are relative to.
    pub base_dir: PathBuf,
    /// The hosts of the topology.
    pub hosts: Vec<HostRecord>,
    /// Hosts that did not answer when the cluster was last raised, and may still hold something of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<HostName>,
    /// Login user of each image.
    pub users: IndexMap<ImageName, String>,
}

impl ClusterRecord {
    /// Reads the record of a cluster; `None` if there is none.
    pub fn load(dir: &ClusterDir) -> Result<Option<Self>, StateError> {
        read_json(dir, "cluster.json")
    }

    /// Writes it.
    pub fn store(&self, dir: &ClusterDir) -> Result<(), StateError> {
        write_json(dir, "cluster.json", self)
    }

    /// Reads the plan that the cluster was last raised by.
    pub fn load_plan(dir: &ClusterDir) -> Result<Option<Plan>, StateError> {
        read_json(dir, "plan.json")
    }

    /// Writes that plan.
    pub fn store_plan(dir: &ClusterDir, plan: &Plan) -> Result<(), StateError> {
        write_json(dir, "plan.json", plan)
    }
}

fn read_json<T: serde::de::DeserializeOwned>(dir: &ClusterDir, name: &str) -> Result<Option<T>, StateError> {
    dir.read(name)?
        .map(|bytes| {
            serde_json::from_slice(&bytes).map_err(|error| StateError::Damaged {
                path: dir.join(name),
                cause: error.to_string(),
            })
        })
        .transpose()
}

fn write_json<T: Serialize>(dir: &ClusterDir, name: &str, value: &T) -> Result<(), StateError> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| StateError::Damaged {
        path: dir.join(name),
        cause: error.to_string(),
    })?;
    dir.write(name, &bytes)
}
