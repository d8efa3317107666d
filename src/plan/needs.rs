//! What a node takes from its host.

use indexmap::IndexMap;

use super::model::{ImageFacts, NodePlan};
use crate::base::name::ImageName;
use crate::base::text::plural;
use crate::base::units::MiB;
use crate::inventory::NodeSpec;
use crate::topology;

/// What a node takes from its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Needs {
    pub(super) memory: u64,
    pub(super) vcpus: u32,
    pub(super) disk: u64,
}

impl Needs {
    /// What a node of the topology takes. Without a disk of its own it has that of its image, which may grow to its
    /// full size. The further disks are counted as well.
    pub(super) fn of(node: &topology::Node, image: Option<&ImageFacts>) -> Self {
        let disk = node.disk.or_else(|| image?.disk_mib());
        Self {
            memory: node.memory.0,
            vcpus: node.vcpus,
            disk: sum(disk, &node.disks),
        }
    }

    /// What a planned node takes.
    pub(super) fn of_plan(node: &NodePlan) -> Self {
        Self {
            disk: node.disk.0,
            ..Self::of_spec(&node.spec)
        }
    }

    /// What an existing node takes; `images` has the size of its image's disk if it is still the same image.
    pub(super) fn of_existing(spec: &NodeSpec, images: &IndexMap<ImageName, ImageFacts>) -> Self {
        let image = images.get(&spec.image);
        let disk = image
            .filter(|image| image.key == spec.image_key)
            .and_then(ImageFacts::disk_mib);
        Self {
            disk: sum(spec.disk.or(disk), &spec.disks),
            ..Self::of_spec(spec)
        }
    }

    /// What a node takes by its spec alone.
    pub(super) fn of_spec(spec: &NodeSpec) -> Self {
        Self {
            memory: spec.memory.0,
            vcpus: spec.vcpus,
            disk: sum(spec.disk, &spec.disks),
        }
    }
}

/// Size of a disk and of the further disks.
fn sum(disk: Option<MiB>, further: &[MiB]) -> u64 {
    let all = disk.iter().chain(further);
    all.fold(0_u64, |total, disk| total.saturating_add(disk.0))
}

impl std::fmt::Display for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let memory = MiB(self.memory);
        let vcpus = vcpus(self.vcpus);
        match self.disk {
            0 => write!(f, "{memory} of memory and {vcpus}"),
            disk => write!(f, "{memory} of memory, {vcpus} and {} of disk", MiB(disk)),
        }
    }
}

pub(super) fn vcpus(count: u32) -> String {
    plural(count as usize, "vCPU")
}
