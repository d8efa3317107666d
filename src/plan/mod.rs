//! The planner: topology + observed state -> [`Plan`]. Pure: no I/O, no clock, no randomness.
//!
//! One idea per file: `given` resolves the input, `existing` pairs domains with nodes, `capacity` and
//! `place` find hosts for new nodes, `missing` chooses the nodes to leave out, `refusal` explains why there
//! is no plan, `disks` compares disks with their images and the firmware of images with that of hosts, `network`,
//! `vni` and `allot` assign devices, identifiers and addresses, `conflict` finds what other clusters and networks
//! have already, `diff` and `actions` choose what is done to each node, with its reason, and `assemble` builds the
//! nodes and hosts. `scope` limits a plan to some nodes, and `idle` keeps hosts in it that do not matter to them.
//!
//! What belongs to one host is in its `Site`, what belongs to one node in its `Item`. All of them are in
//! `Given`, which does not change; later values point to them.

mod actions;
mod address;
mod allot;
mod assemble;
mod capacity;
mod choices;
mod claims;
mod conflict;
mod diff;
mod disks;
mod error;
mod existing;
pub mod garbage;
mod given;
mod idle;
mod missing;
mod model;
mod natural;
mod needs;
mod network;
mod place;
mod refusal;
pub mod retry;
mod scope;
mod search;
mod site;
mod task;
mod vni;

use std::collections::HashSet;

use allot::Allotments;
pub use choices::{Acceleration, BootLimits, EmulatedCpu, acceleration, boot_limits, drop_out, emulated_cpu};
pub use claims::ClaimedCapacity;
pub use error::{PlanError, Shortage};
use given::Given;
pub use model::{
    Action, Capacity, Due, FailedNode, HostPlan, ImageFacts, KnownFailures, MissingNode, NetworkPlan,
    NodePlan, PLAN_VERSION, Plan, PlanInput, VxlanPlan,
};
pub(crate) use network::overhead;
pub use scope::Scope;

use crate::topology::Network;

/// Makes every choice, or returns why there is no plan.
///
/// A host that is observed but not (or no longer) in the topology gets no nodes and loses those that it has.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, PlanError> {
    conflict::check_name(input)?;
    disks::check(input)?;
    let given = Given::new(input);
    let mut existing = existing::pair(&given);
    let rooms = existing.settle(&given);
    let (placed, missing) = missing::place_all(&given, &existing, rooms)?;
    disks::check_firmware(input, &placed)?;
    existing.remove_missing(&missing);

    // Only with the places of the nodes is it known which hosts a network spans.
    let mut vnis = HashSet::new();
    let mut join = |wanted: &Network| {
        let used = missing::used(&placed, &wanted.name);
        let network = network::network(&given, wanted, &used, &mut vnis)?;
        allot::allot(&given, wanted, network, &existing)
    };
    let cluster = join(&input.topology.network)?;
    let further = input.topology.networks.iter().map(join);
    let networks = Allotments {
        cluster,
        further: further.collect::<Result<_, _>>()?,
    };
    let nodes: Vec<NodePlan> = placed
        .iter()
        .map(|placed| assemble::node_plan(&given, &networks, placed))
        .collect();
    let actions = actions::actions(&given, existing, &nodes);
    let hosts = assemble::host_plans(&given, &networks, &nodes, &actions);
    let Allotments { cluster, further } = networks;
    Ok(Plan {
        version: PLAN_VERSION,
        cluster: input.topology.name.clone(),
        cluster_id: input.cluster_id,
        network: cluster.network,
        networks: further.into_iter().map(|joined| joined.network).collect(),
        hosts,
        nodes,
        missing,
        actions,
    })
}

#[cfg(test)]
mod tests;
