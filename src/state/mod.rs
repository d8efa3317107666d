//! What the controller keeps about a cluster, under `$XDG_STATE_HOME/vcluster/NAME/` (mode 0700):
//! its record, its plan, its keys, the journal of intents, results and logs.
//!
//! All of it may be lost: the truth is on the hosts. Talks to no host.

mod dir;
mod journal;
mod keys;
mod lock;
mod record;

pub use dir::{ClusterDir, StateError, StateRoot};
pub use journal::{Intent, Journal, read_intents};
pub use keys::ClusterKeys;
pub use lock::{Held, Lock};
pub use record::{ClusterRecord, HostRecord, RECORD_VERSION};
