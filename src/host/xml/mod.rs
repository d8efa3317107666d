//! Pure functions that generate XML for libvirt. Every value passes through one escaping writer.

mod bridge;
mod devices;
mod domain;
mod machine;
mod metadata;
mod storage;
mod tree;

pub(super) use bridge::first_bridge;
pub(super) use domain::{DomainInput, domain, probe_domain};
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use metadata::write_mark;
pub(super) use metadata::{MARK_URI, read_mark};
pub(super) use storage::{overlay_volume, pool};
