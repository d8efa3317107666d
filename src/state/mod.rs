//! What the controller keeps about a cluster, under `$XDG_STATE_HOME/vcluster/NAME/` (mode 0700):
//! its record, its plan, its keys, the journal of intents, results and logs.
//!
//! All of it may be lost: the hosts are the source of truth. Never contacts a host.

mod dir;
mod error;
mod journal;
mod keys;
mod lock;
#[cfg(test)]
mod older;
mod record;
mod root;

pub use dir::ClusterDir;
pub use error::StateError;
pub use journal::{Intent, Journal, read_intents};
pub use keys::ClusterKeys;
pub(crate) use lock::is_current;
pub use lock::{Lock, LockGuard};
pub use record::{ClusterRecord, RECORD_VERSION};
pub use root::StateRoot;
