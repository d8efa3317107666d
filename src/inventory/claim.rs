//! The capacity that a cluster reserves on a host: the content of `claim.json`.

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::id::{ClusterRef, ShortId};
use crate::base::name::{ClusterName, NetworkName};
use crate::base::units::{MiB, Moment};

/// Version of the claim's JSON form.
pub const CLAIM_VERSION: u32 = 1;
/// How much of a claim or of a holder's name is read, in bytes.
pub(crate) const LIMIT: usize = 4096;

/// The capacity that a cluster reserves on one host, and until when. The order of the fields is part of the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// [`CLAIM_VERSION`].
    pub version: u32,
    /// The cluster.
    pub cluster: ClusterName,
    /// Its id.
    pub id: Uuid,
    /// The machine that ran `up`, for people.
    pub controller: String,
    /// When it was first claimed.
    pub made: Moment,
    /// End of the lease; `None` means never.
    pub expires: Option<Moment>,
    /// Its subnet; `None` if it joins an existing bridge.
    pub subnet: Option<Ipv4Net>,
    /// Its VXLAN identifier.
    pub vni: Option<u32>,
    /// Its further networks. Earlier releases have none, and ignore them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<ClaimedNetwork>,
    /// Nodes on this host.
    pub nodes: u32,
    /// Their memory.
    pub memory: MiB,
    /// Their vCPUs.
    pub vcpus: u32,
    /// Their disk.
    pub disk: MiB,
}

/// A further network that a cluster reserves on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedNetwork {
    /// Its name.
    pub name: NetworkName,
    /// Its subnet; `None` on an existing bridge.
    pub subnet: Option<Ipv4Net>,
    /// Its VXLAN identifier.
    pub vni: Option<u32>,
}

impl Claim {
    /// The subnets of all its networks.
    pub fn subnets(&self) -> impl Iterator<Item = Ipv4Net> + '_ {
        let further = self.networks.iter().filter_map(|network| network.subnet);
        self.subnet.into_iter().chain(further)
    }

    /// The VXLAN identifiers of all its networks.
    pub fn vnis(&self) -> impl Iterator<Item = u32> + '_ {
        let further = self.networks.iter().filter_map(|network| network.vni);
        self.vni.into_iter().chain(further)
    }

    /// The VXLAN identifier of one of its networks.
    pub fn vni_of(&self, network: &NetworkName) -> Option<u32> {
        if network.is_cluster() {
            return self.vni;
        }
        let mut further = self.networks.iter();
        further.find(|claimed| claimed.name == *network)?.vni
    }

    /// Whether the lease has ended.
    pub fn expired(&self, now: Moment) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Short id of the cluster.
    pub fn short_id(&self) -> ShortId {
        ShortId::of(self.id)
    }

    /// The cluster of this claim.
    pub fn cluster_ref(&self) -> ClusterRef {
        ClusterRef::new(&self.cluster, self.id)
    }

    /// Parses the claim in a directory of this name; `None` if it is not a claim of ours.
    pub(crate) fn read(directory: &str, json: &str) -> Option<Self> {
        let claim: Self = serde_json::from_str(json).ok().filter(|_| json.len() <= LIMIT)?;
        (directory == claim.cluster_ref().directory_name()).then_some(claim)
    }
}

/// A claim observed on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedClaim {
    /// The claim.
    pub claim: Claim,
    /// The command that holds the cluster's lock, for people.
    pub holder: Option<String>,
}
