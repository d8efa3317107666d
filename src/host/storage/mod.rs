//! Pools, images, and the disks and seeds of nodes.

pub(crate) mod artifact;
pub(crate) mod disk;
pub(crate) mod image;
pub(crate) mod pool;
pub(crate) mod seed_queue;
pub(crate) mod upload;
