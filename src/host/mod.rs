//! Operations on a bare-metal host: probe, observe, ensure, remove. Idempotent methods on one [`Host`]: they return
//! whether they changed anything. Makes no choices; those are in the plan.

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
mod storage;
mod transport;
mod xml;

pub use backend::{Access, Backend, Connector};
pub use claim::{HostLock, LockMode, LockRequest, LockState, free_lost, hold_by_session};
pub use clear::reaper::{ReaperState, reaper_install_script, reaper_script};
pub use clear::remove::Removed;
pub use connect::{ConnectOptions, Host, HostLogin};
pub use error::{Cause, HostError, Leftovers};
pub use guest::console::{ConsoleLine, InteractiveConsole};
pub use guest::domain::Definition;
pub(crate) use layout::{ROOT as IMAGES_ROOT, controller};
pub use net::NetworkChange;
pub use storage::artifact::{DiskFormat, HostDisk, HostImage, ImagePart, Packed, PartRole};
pub use transport::uri::{check_uri, ssh_target};
