//! What a bare-metal host can do for us: probe, observe, ensure, remove. Idempotent verbs on one [`Host`]:
//! they return whether they changed anything. Makes no choices; those are in the plan.

mod claim;
mod connect;
mod console;
mod debris;
mod disk;
mod domain;
mod error;
mod forward;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod image;
mod kvm;
mod libvirt;
mod link;
mod model;
mod net;
mod observe;
mod pool;
mod probe;
mod reaper;
mod remove;
mod upload;
mod uri;
mod xml;

pub use claim::{
    CLAIM_VERSION, Claim, Held, Hold, HoldRequest, ObservedClaim, Standing, free_lost, hold_by_session,
};
pub use connect::{ConnectOptions, Host, HostLogin};
pub use console::{ConsoleLine, InteractiveConsole};
pub use debris::{Debris, Waste};
pub use error::{Cause, HostError, Leftovers};
pub use image::{DiskFormat, HostDisk, HostImage, ImagePart, PartRole};
pub use model::{DomainState, HostFacts, Mark, ObservedHost, ObservedNode, ObservedObject};
pub use net::NetworkChange;
pub(crate) use pool::{ROOT as IMAGES_ROOT, controller};
pub use reaper::{ReaperState, reaper_install_script, reaper_script};
pub use remove::Removed;
pub use upload::Packed;
pub use uri::{check_uri, ssh_target};
pub use xml::Acceleration;
