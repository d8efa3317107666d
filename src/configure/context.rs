//! The data of a planned cluster that templates can use.

use std::collections::HashMap;

use crate::base::name::NodeName;
use crate::plan::Plan;
use crate::template::Shared;
use crate::topology::Topology;
use crate::topology::data::{Placed, build};

/// The data of a cluster as planned. Nodes that are not in the plan are left out.
pub fn context(plan: &Plan, topology: &Topology) -> Shared {
    let planned: HashMap<&NodeName, _> = plan.nodes.iter().map(|node| (&node.name, node)).collect();
    let placed = topology.nodes.iter().filter_map(|node| {
        let plan = planned.get(&node.name)?;
        Some(Placed {
            node,
            addresses: plan.spec.addresses().collect(),
            host: Some(&plan.host),
        })
    });
    build(topology, placed.collect())
}
