//! The claim and the lock of a cluster on a host: the file `claim.json` beside `owner.json`, and a lock that lives as
//! long as its holder's connection. Makes no choices: what is claimed comes from the plan.
//!
//! A claim is written under a brief lock on the whole host, and only if the claims there are still those that the plan
//! is based on. So two controllers may plan at once, and the second one plans again.

mod claims;
mod lock;
mod request;
mod script;

pub use claims::{Claims, free_lost, hold_by_session};
pub use lock::HostLock;
pub use request::{LockMode, LockRequest, LockState};
