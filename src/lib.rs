//! vcluster raises a cluster of hundreds of real virtual machines on a handful
//! of libvirt hosts, runs a workload on every node, and removes all of it again.
//!
//! The way of the data: [`topology`] (text to types) -> [`plan`] (pure choices)
//! -> [`engine`] (applies the plan, emits events) -> [`report`] (renders events).
//! [`host`], [`ssh`], [`image`] and [`seed`] are what the engine acts through;
//! [`cmd`] holds one file per verb.

pub mod analysis;
pub mod base;
pub mod cli;
pub mod cluster;
pub mod cmd;
pub mod compare;
pub mod configure;
pub mod doctor;
pub mod engine;
pub mod export;
pub mod extract;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
pub mod image;
pub mod inventory;
pub mod measure;
pub mod network;
pub mod nodeset;
pub mod page;
pub mod plan;
pub mod report;
pub mod runs;
pub mod seed;
pub mod ssh;
pub mod state;
pub mod supervise;
pub mod template;
pub mod topology;
pub mod verdict;
pub mod workload;
