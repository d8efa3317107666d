//! How a host is reached: its URI, the SSH session or this machine, libvirt through a forwarded socket. Knows nothing of
//! clusters.

pub(crate) mod access;
pub(crate) mod forward;
pub(crate) mod libvirt;
pub(crate) mod link;
pub(crate) mod uri;
