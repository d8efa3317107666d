//! Removal: of nodes and clusters, and by the reaper that runs on the host.

pub(crate) mod reaper;
pub(crate) mod remove;
