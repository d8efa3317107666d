//! What a node is made of: stored in its mark and compared with the plan.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::base::name::{ImageName, NetworkName};
use crate::base::units::MiB;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            let colon = if place == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0_u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            *byte = parts
                .next()
                .filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or_else(|| format!("`{}` is not an Ethernet address", text.escape_debug()))?;
        }
        if parts.next().is_some() {
            return Err(format!("`{}` is not an Ethernet address", text.escape_debug()));
        }
        Ok(Self(bytes))
    }
}

/// What boots the disk of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// The BIOS, which runs the code in the first sector; also a kernel that QEMU loads itself.
    #[default]
    Bios,
    /// UEFI, which runs a program from the EFI system partition.
    Uefi,
}

impl Firmware {
    /// Whether it is the one that every release of vcluster had.
    pub fn is_bios(&self) -> bool {
        *self == Self::Bios
    }
}

impl std::fmt::Display for Firmware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
        })
    }
}

/// An interface of a node in a further network of its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceSpec {
    /// The network.
    pub network: NetworkName,
    /// The bridge of its host that it is connected to.
    pub bridge: String,
    /// Its address, with the prefix length of the subnet.
    pub address: Ipv4Net,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its MTU.
    pub mtu: u32,
    /// The node's default gateway, if it is reached through this interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
}

/// What a node is made of. Two nodes with equal specs are interchangeable; a
/// difference between the wanted and the observed spec is a reason to recreate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Image name, for messages.
    pub image: ImageName,
    /// Key of the image: a digest of its recipe or file, so that it changes with the contents.
    pub image_key: String,
    /// What boots its disk.
    #[serde(default, skip_serializing_if = "Firmware::is_bios")]
    pub firmware: Firmware,
    /// Digest of the user's own cloud-config; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory.
    pub memory: MiB,
    /// Disk, if one is requested.
    pub disk: Option<MiB>,
    /// Sizes of the further disks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<MiB>,
    /// Its interfaces in further networks, in order: `eth1`, `eth2` and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceSpec>,
    /// The bridge of its host that its interface in the network `cluster` is connected to. `None` only in what an
    /// earlier release wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// Address of the node.
    pub address: Ipv4Addr,
    /// Its Ethernet address.
    pub mac: Mac,
    /// MTU of its link.
    pub mtu: u32,
    /// Its default gateway: the topology's, with `nat` its host's bridge address, or none.
    pub gateway: Option<Ipv4Addr>,
    /// Its name servers.
    pub dns: Vec<IpAddr>,
    /// Fingerprint (`SHA256:...`) of the client key that the node accepts.
    pub client_key: String,
}

impl NodeSpec {
    /// Its address in a network of its cluster; `None` if it does not join it.
    pub fn address_in(&self, network: &NetworkName) -> Option<Ipv4Addr> {
        self.end_in(network).map(|(address, _)| address)
    }

    /// Its address and its Ethernet address in a network of its cluster; `None` if it does not join it.
    pub fn end_in(&self, network: &NetworkName) -> Option<(Ipv4Addr, Mac)> {
        if network.is_cluster() {
            return Some((self.address, self.mac));
        }
        let mut further = self.interfaces.iter();
        let interface = further.find(|interface| interface.network == *network)?;
        Some((interface.address.addr(), interface.mac))
    }

    /// Its networks with its addresses in them, `cluster` first.
    pub fn addresses(&self) -> impl Iterator<Item = (NetworkName, Ipv4Addr)> + '_ {
        let further = self.interfaces.iter();
        let further = further.map(|interface| (interface.network.clone(), interface.address.addr()));
        std::iter::once((NetworkName::cluster(), self.address)).chain(further)
    }
}
