//! What a node takes from its host.

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
    pub(super) fn of(node: &topology::Node) -> Self {
        Self {
            memory: node.memory.0,
            vcpus: node.vcpus,
            disk: node.disk.map_or(0, |disk| disk.0),
        }
    }

    pub(super) fn of_spec(spec: &NodeSpec) -> Self {
        Self {
            memory: spec.memory.0,
            vcpus: spec.vcpus,
            disk: spec.disk.map_or(0, |disk| disk.0),
        }
    }
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
