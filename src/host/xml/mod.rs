//! The XML that libvirt is given, by pure functions. Every value passes through one escaping writer.

mod domain;
mod metadata;
mod storage;
mod tree;

pub use domain::Acceleration;
pub(super) use domain::{DomainInput, domain, probe_domain};
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use metadata::write_mark;
pub(super) use metadata::{MARK_URI, read_mark};
pub(super) use storage::{overlay_volume, pool};
