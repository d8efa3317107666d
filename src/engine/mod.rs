//! The engine applies a plan and emits events. It makes no choices and prints nothing.

mod apply;
mod boot_slots;
mod boots;
mod claim;
mod clear;
pub(crate) mod cloud_init;
mod deaths;
mod early;
mod failure;
mod fleet;
mod losses;
mod networks;
mod node_error;
mod pending;
mod prepare;
mod raise;
mod remove;
mod slowness;
mod stage;
mod watch;

pub use apply::Apply;
pub use boots::{BOOT_ID, SeenBoots, boot_in};
pub use claim::{ClaimAll, ClaimError, Claimed, hold, restore};
pub use deaths::Deaths;
pub use failure::EngineError;
pub(crate) use fleet::HOSTS_AT_ONCE;
pub use fleet::{Fleet, Member};
pub use node_error::NodeError;
pub(crate) use pending::Pending;
pub use slowness::{report_slow_logins, report_slow_nodes};

pub use remove::{Target, check_leftovers, check_removal, copies, found, remove, remove_nodes_only, unknown};
