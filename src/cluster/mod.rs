//! The application: what a verb does with plan, hosts, nodes and the controller's files. Emits events and returns
//! results; parses no arguments and prints nothing.

mod as_configured;
mod claim_retry;
pub mod configure;
pub mod configured;
pub mod doctor;
pub mod down;
pub mod files;
pub mod gc;
mod guests;
pub mod hosts;
pub mod leases;
mod locks;
mod login_check;
pub mod nodes;
mod open;
mod options;
pub mod power;
mod reached;
pub mod reaper;
mod rounds;
pub mod run;
mod seeds;
mod situation;
pub mod status;
mod steps;
mod store;
pub mod transfer;
mod undo;
pub mod up;

pub use locks::ClusterLocks;
pub use open::{Cluster, LockFn, cluster_name};
pub use options::{PlanOptions, UpOptions};
pub use reached::Reached;
pub use situation::Situation;

#[cfg(test)]
mod tests;
