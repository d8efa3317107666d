//! The engine obeys a plan and emits events. It makes no choice and prints nothing.

mod apply;
mod claim;
mod clear;
pub(crate) mod cloud_init;
mod deaths;
mod event;
mod failure;
mod fleet;
mod losses;
mod prepare;
mod raise;
mod ramp;
mod remove;
mod slowness;
mod watch;

pub use apply::Apply;
pub use claim::{ClaimError, Claimed, Reserve, hold, restore};
pub use deaths::Deaths;
pub use event::{Event, Events, HostStage, NodeStage, Progress, Stream};
pub use failure::{EngineError, Failure, explain};
pub use fleet::{Fleet, Member};
pub use slowness::{tell_slowness, watch_slowness};

pub use remove::{Target, found, nothing_left, remove, remove_nodes_only, unknown};
