//! The record of a cluster: what later commands need to find and reach it.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::dir::ClusterDir;
use super::error::StateError;
use crate::base::name::{ClusterName, GroupName, HostName, ImageName};
use crate::base::units::Moment;
use crate::inventory::{ClusterRef, HostEndpoint};
use crate::plan::Plan;

/// Version of the record's JSON form.
pub const RECORD_VERSION: u32 = 1;

/// The record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// The cluster.
    pub name: ClusterName,
    /// Its id.
    pub id: Uuid,
    /// Time of its first `up`, RFC 3339 in UTC.
    pub created: String,
    /// End of its lease as last set from this machine; `None` means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
    /// The absolute path of the topology file; `None` if it came from standard input.
    pub topology: Option<PathBuf>,
    /// Variables that were set when the topology was read, instead of its own values: by an experiment.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub vars: IndexMap<String, String>,
    /// Nodes per group that were set then.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub counts: IndexMap<GroupName, u32>,
    /// The experiment that raised the cluster and removes it at its end; `None`: the cluster is the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// Base directory of relative paths in it.
    pub base_dir: PathBuf,
    /// The hosts of the topology.
    pub hosts: Vec<HostEndpoint>,
    /// Hosts that did not answer at the last `up` and may still hold parts of the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<HostName>,
    /// Login user of each image of the plan, for releases whose plans do not have it.
    pub users: IndexMap<ImageName, String>,
}

impl ClusterRecord {
    /// The cluster as it is identified on its hosts.
    pub fn cluster_ref(&self) -> ClusterRef {
        ClusterRef::new(&self.name, self.id)
    }

    /// Reads the record of a cluster; `None` if there is none.
    pub fn load(dir: &ClusterDir) -> Result<Option<Self>, StateError> {
        read_json(dir, "cluster.json")
    }

    /// Writes it.
    pub fn store(&self, dir: &ClusterDir) -> Result<(), StateError> {
        write_json(dir, "cluster.json", self)
    }

    /// Adds the login users to a plan that an earlier release stored: it had them only in the record.
    pub fn add_users(&self, plan: &mut Plan) {
        for node in plan.nodes.iter_mut().filter(|node| node.user.is_none()) {
            node.user = self.users.get(&node.spec.image).cloned();
        }
    }

    /// Reads the plan of the last `up`.
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
