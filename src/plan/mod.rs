//! The planner: topology + what was observed -> [`Plan`]. Pure: no I/O, no clock, no randomness.

mod model;

pub use model::{
    Action, ActionKind, HostPlan, Mac, NetworkPlan, NodePlan, NodeSpec, PLAN_VERSION, Plan, PlanError,
    PlanInput, VxlanPlan,
};

/// Makes every choice, or says why there is none to make.
pub fn plan(_input: &PlanInput<'_>) -> Result<Plan, PlanError> {
    unimplemented!("being written")
}
