//! The application: what a verb does with plan, hosts, nodes and the controller's files. Emits events and returns
//! results; parses no arguments and prints nothing.

mod abort;
mod as_configured;
mod assumptions;
mod claim_retry;
pub mod configure;
pub mod configured;
pub mod doctor;
pub mod down;
pub mod experiment;
pub mod files;
mod found;
pub mod gc;
mod git;
mod guests;
pub mod hosts;
pub mod junit;
mod kept_events;
pub mod leases;
mod locks;
mod login_check;
mod measured;
pub mod nodes;
mod open;
mod options;
mod own_cost;
pub mod power;
mod reached;
pub mod reaper;
mod rounds;
pub mod run;
mod run_files;
mod samples_file;
mod seeds;
mod situation;
mod sources;
mod stages;
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
