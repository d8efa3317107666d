//! Disks that are smaller than their image, where QEMU would cut the file system off, and disks that a host cannot boot.

use super::error::PlanError;
use super::missing::Placed;
use super::model::PlanInput;
use crate::inventory::Firmware;
use crate::topology::{Location, Node};

/// Fails at the first node whose disk is smaller than that of its image, as far as the image is known.
pub(super) fn check(input: &PlanInput<'_>) -> Result<(), PlanError> {
    for node in &input.topology.nodes {
        let image = input.images.get(&node.image);
        let (Some(wanted), Some(facts)) = (node.disk, image) else {
            continue;
        };
        let (Some(bytes), Some(least)) = (facts.disk, facts.disk_mib()) else {
            continue;
        };
        if wanted.bytes() < bytes {
            return Err(PlanError::DiskTooSmall {
                node: node.name.clone(),
                image: node.image.clone(),
                wanted,
                least,
                at: written(input, node),
            });
        }
    }
    Ok(())
}

/// Fails at the first node whose host does not offer the firmware of its image.
pub(super) fn check_firmware(input: &PlanInput<'_>, placed: &[Placed<'_>]) -> Result<(), PlanError> {
    for Placed { item, site } in placed {
        let image = &item.node.image;
        let needs = input.images.get(image).map(|facts| facts.firmware);
        if needs == Some(Firmware::Uefi) && !site.observed.facts.uefi {
            return Err(PlanError::NoUefi {
                image: image.clone(),
                host: site.host.name.clone(),
            });
        }
    }
    Ok(())
}

/// Where the group of a node is written.
fn written(input: &PlanInput<'_>, node: &Node) -> Option<Location> {
    let mut groups = input.topology.groups.iter();
    groups.find(|group| group.name == node.group)?.at.clone()
}
