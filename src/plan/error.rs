//! Why there is no plan.

use std::net::IpAddr;

use ipnet::Ipv4Net;

use crate::base::exit::ExitCode;
use crate::base::failure::UserFacing;
use crate::base::name::{ClusterName, HostName, ImageName, NetworkName, NodeName};
use crate::base::text::plural;
use crate::base::units::MiB;
use crate::topology::{AddressRange, Location};

/// Why a host cannot take a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shortage {
    /// Memory.
    Memory,
    /// vCPUs.
    Vcpus,
    /// Disk.
    Disk,
    /// `max_nodes` is reached.
    MaxNodes,
    /// It holds a group that the node's group must be separate from.
    Separate,
    /// The `on:` of the node's group does not name the host.
    On,
    /// Something failed there.
    Failed,
    /// The host was not reached.
    Unreached,
}

/// Why there is no plan.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlanError {
    /// A node fits on no host.
    #[error("`{node}` does not fit: it needs {needs}; {best}{}", more(*unplaced))]
    DoesNotFit {
        /// The first node that does not fit.
        node: NodeName,
        /// What it needs.
        needs: String,
        /// What the best host has left, and why the others may not take it.
        best: String,
        /// How many other nodes have no place.
        unplaced: usize,
        /// What is lacking on the best host.
        lacks: Shortage,
        /// Where its group is written.
        at: Option<Location>,
    },
    /// A node is to have a smaller disk than its image.
    #[error(
        "the disk of `{node}` is too small: {wanted} are asked for, but image `{image}` has a disk of {least}"
    )]
    DiskTooSmall {
        /// The first such node.
        node: NodeName,
        /// Its image.
        image: ImageName,
        /// The size that is asked for.
        wanted: MiB,
        /// The size of the image's disk, rounded up.
        least: MiB,
        /// Where its group is written.
        at: Option<Location>,
    },
    /// A host cannot boot an image.
    #[error("image `{image}` needs UEFI, which `{host}` does not offer")]
    NoUefi {
        /// The image.
        image: ImageName,
        /// The first such host.
        host: HostName,
    },
    /// The subnet has too few free addresses.
    #[error(
        "{}{} is too small: {needed} addresses are needed ({}, {}), {usable} are usable{}",
        part(*subnet, *range),
        of(network),
        plural(*nodes, "node"),
        plural(*hosts, "host"),
        others(*taken)
    )]
    SubnetTooSmall {
        /// The network.
        network: NetworkName,
        /// The subnet.
        subnet: Ipv4Net,
        /// The part of it that may be used, if the topology names one.
        range: Option<AddressRange>,
        /// How many of its addresses the gateway, name servers, the hosts and other clusters have.
        taken: usize,
        /// Addresses needed.
        needed: usize,
        /// Nodes.
        nodes: usize,
        /// Hosts that need an address of their own.
        hosts: usize,
        /// Usable addresses.
        usable: usize,
        /// Where it is written.
        at: Option<Location>,
    },
    /// The subnet overlaps a network that a host already has.
    #[error("subnet {subnet}{} is in use on `{host}`: {route}", of(network))]
    SubnetInUse {
        /// The network.
        network: NetworkName,
        /// The subnet.
        subnet: Ipv4Net,
        /// The host.
        host: HostName,
        /// The conflicting route or cluster.
        route: String,
        /// Where it is written.
        at: Option<Location>,
    },
    /// The name is taken by a cluster with another id.
    #[error("cluster `{cluster}` exists on `{host}` with another id ({other}{by})")]
    NameTaken {
        /// The name.
        cluster: ClusterName,
        /// The host.
        host: HostName,
        /// The other id, or its short form if only that is known.
        other: String,
        /// The holder of its lock, or its creator, if known; empty, or starts with a comma.
        by: String,
    },
    /// VXLAN is needed but a host has no known underlay address.
    #[error("no underlay address is known for `{host}`")]
    NoUnderlay {
        /// The host.
        host: HostName,
    },
    /// Two hosts have the same underlay address: one machine listed twice, or a wrong address.
    #[error("`{first}` and `{second}` have the same underlay address {address}")]
    SameUnderlay {
        /// One host.
        first: HostName,
        /// The other.
        second: HostName,
        /// The address.
        address: IpAddr,
    },
    /// One VXLAN cannot span IPv4 and IPv6.
    #[error(
        "the underlay of `{first}` is {first_address} and that of `{second}` is {second_address}: one VXLAN cannot span both families"
    )]
    MixedUnderlay {
        /// One host.
        first: HostName,
        /// Its address.
        first_address: IpAddr,
        /// The other.
        second: HostName,
        /// Its address.
        second_address: IpAddr,
    },
    /// A command that is limited to some nodes would have to create or remove nodes that it may not.
    #[error("{nodes} would have to be created or removed: {why}")]
    OutOfScope {
        /// These nodes, folded.
        nodes: String,
        /// Why the first of them.
        why: String,
    },
    /// The wanted MTU is larger than the underlay allows.
    #[error(
        "mtu {wanted}{} is too large: the underlay of `{host}` carries {possible} at most",
        of(network)
    )]
    MtuTooLarge {
        /// The network.
        network: NetworkName,
        /// The wanted MTU.
        wanted: u32,
        /// The narrowest host.
        host: HostName,
        /// What is possible there.
        possible: u32,
        /// Where it is written.
        at: Option<Location>,
    },
}

fn part(subnet: Ipv4Net, range: Option<AddressRange>) -> String {
    range.map_or_else(
        || format!("subnet {subnet}"),
        |range| format!("the range {range} of subnet {subnet}"),
    )
}

/// Names a further network.
fn of(network: &NetworkName) -> String {
    if network.is_cluster() {
        return String::new();
    }
    format!(" of network `{network}`")
}

fn others(taken: usize) -> String {
    match taken {
        0 => String::new(),
        1 => "; 1 is taken by another machine".to_owned(),
        n => format!("; {n} are taken by other machines"),
    }
}

fn more(unplaced: usize) -> String {
    match unplaced {
        0 => String::new(),
        1 => "; 1 more node has no place".to_owned(),
        n => format!("; {n} more nodes have no place"),
    }
}

impl PlanError {
    /// Where in the topology the cause is written.
    pub fn at(&self) -> Option<&Location> {
        match self {
            Self::DoesNotFit { at, .. }
            | Self::DiskTooSmall { at, .. }
            | Self::SubnetTooSmall { at, .. }
            | Self::SubnetInUse { at, .. }
            | Self::MtuTooLarge { at, .. } => at.as_ref(),
            _ => None,
        }
    }
}

impl UserFacing for PlanError {
    fn hint(&self) -> Option<String> {
        let advice = match self {
            Self::DoesNotFit { lacks, .. } => match lacks {
                Shortage::Memory => "add hosts, or lower `memory`".to_owned(),
                Shortage::Vcpus => "add hosts, lower `vcpus`, or raise `overcommit` of the hosts".to_owned(),
                Shortage::Disk => "add hosts, free disk on them, or lower `disk` or `disks`".to_owned(),
                Shortage::MaxNodes => "add hosts, or raise their `max_nodes`".to_owned(),
                Shortage::Separate => "add hosts, or relax `separate`".to_owned(),
                Shortage::On => "widen `on` of the group".to_owned(),
                Shortage::Failed => "add hosts, or fix the failed hosts".to_owned(),
                Shortage::Unreached => "run `vcluster doctor` to check the hosts".to_owned(),
            },
            Self::DiskTooSmall { least, .. } => {
                format!(
                    "set `disk` to {}MiB or more, or leave it out for the image's own size",
                    least.0
                )
            }
            Self::NoUefi { host, .. } => format!(
                "install UEFI for guests on {host} (the package `ovmf` of Debian, `edk2-ovmf` of Fedora), or keep the \
                 group from it with `on`"
            ),
            Self::SubnetTooSmall {
                range: Some(_),
                network,
                ..
            } if !network.is_cluster() => format!("widen `range` of `{network}` in `networks`"),
            Self::SubnetTooSmall { range: Some(_), .. } => "widen `range` in `network`".to_owned(),
            Self::SubnetTooSmall { network, .. } if !network.is_cluster() => {
                format!("use a larger subnet for `{network}`")
            }
            Self::SubnetTooSmall { .. } => "use a larger subnet, such as 10.77.0.0/16".to_owned(),
            Self::SubnetInUse { .. } => "choose a subnet that no host uses".to_owned(),
            Self::NameTaken { cluster, .. } => {
                format!(
                    "choose another name; if the cluster is yours, `vcluster up --adopt` takes it over and \
                     `vcluster down {cluster} --hosts ...` removes it"
                )
            }
            Self::NoUnderlay { host } => {
                format!("set `address` of `{host}` to the address at which the other hosts reach it")
            }
            Self::SameUnderlay { .. } | Self::MixedUnderlay { .. } => {
                "set `address` of each host to the address at which the other hosts reach it".to_owned()
            }
            Self::OutOfScope { .. } => "`vcluster up` updates the whole cluster; then try again".to_owned(),
            Self::MtuTooLarge { possible, .. } => format!("set `mtu` to at most {possible}, or remove it"),
        };
        Some(match self.at() {
            Some(at) => format!("{advice} ({at})"),
            None => advice,
        })
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::DoesNotFit { .. } => ExitCode::DoesNotFit,
            Self::DiskTooSmall { .. } | Self::SubnetTooSmall { .. } | Self::MtuTooLarge { .. } => {
                ExitCode::InvalidTopology
            }
            _ => ExitCode::ApplyFailed,
        }
    }
}
