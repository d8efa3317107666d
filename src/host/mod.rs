//! Operations on a bare-metal host: probe, observe, ensure, remove. Idempotent methods on one [`Host`]: they return
//! whether they changed anything. Makes no choices; those are in the plan.
//!
//! The methods of each area are a trait in the file of that area; [`Backend`] is all of them.

mod backend;
mod claim;
mod clear;
mod connect;
mod error;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guest;
mod inspect;
mod layout;
mod net;
mod reason;
mod storage;
mod transport;
mod xml;

pub use backend::{Access, Backend, Connector};
pub use claim::{Claims, HostLock, LockMode, LockRequest, LockState, free_lost, hold_by_session};
pub use clear::reaper::{Reaper, ReaperState, reaper_install_script, reaper_script};
pub use clear::remove::{Removal, Removed};
pub use connect::{ConnectOptions, Connection, Host, HostLogin};
pub use error::{Cause, HostError};
pub use guest::console::{CONSOLE_BYTES, CONSOLE_LINES, ConsoleLine, Consoles, InteractiveConsole};
pub use guest::domain::{Definition, Domains};
pub use guest::kvm::KvmCheck;
pub use inspect::conditions::{Conditions, conditions_by_session};
pub use inspect::observe::Observation;
pub use inspect::orphans::Sweep;
pub use inspect::states::DomainStates;
pub(crate) use layout::{REAPER as REAPER_PATH, ROOT as IMAGES_ROOT, controller};
pub use net::{NetworkChange, Networks};
pub use reason::Reason;
pub use storage::artifact::{HostDisk, HostImage, ImagePart, Packed};
pub use storage::disk::Disks;
pub use storage::image::Images;
pub use storage::pool::{PoolChange, Pools};
pub use transport::uri::{check_uri, ssh_target};
