//! The planner: topology + observed state -> [`Plan`]. Pure: no I/O, no clock, no randomness.
//!
//! One idea per file: `given` resolves the input, `existing` pairs domains with nodes, `capacity` and
//! `place` find hosts for new nodes, `missing` chooses the nodes to leave out, `refusal` explains why there
//! is no plan, `disks` compares disks with their images and the firmware of images with that of hosts, `network` and
//! `allot` assign devices and addresses, `diff` and `actions` choose what is done to each node, with its reason, and
//! `assemble` builds the nodes and hosts. `scope` limits a plan to some nodes.
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
mod diff;
mod disks;
mod error;
mod existing;
pub mod garbage;
mod given;
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

/// Makes every choice, or returns why there is no plan.
///
/// A host that is observed but not (or no longer) in the topology gets no nodes and loses those that it has.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, PlanError> {
    network::check_name(input)?;
    disks::check(input)?;
    let given = Given::new(input);
    let mut existing = existing::pair(&given);
    let rooms = existing.settle(&given);
    let (placed, missing) = missing::place_all(&given, &existing, rooms)?;
    disks::check_firmware(input, &placed)?;
    existing.remove_missing(&missing);

    let network = network::network(&given, &missing::used(&placed))?;
    let addresses = allot::allot(&given, &network, &existing)?;
    let nodes: Vec<NodePlan> = placed
        .iter()
        .map(|placed| assemble::node_plan(&given, &network, &addresses, placed))
        .collect();
    let actions = actions::actions(&given, existing, &nodes);
    let hosts = assemble::host_plans(&given, &addresses, &nodes, &actions);
    Ok(Plan {
        version: PLAN_VERSION,
        cluster: input.topology.name.clone(),
        cluster_id: input.cluster_id,
        network,
        hosts,
        nodes,
        missing,
        actions,
    })
}

#[cfg(test)]
mod tests;
