//! What hosts report and what is written on them, as plain data: facts, marks, claims. No I/O, no decisions.

pub mod claim;
pub mod endpoint;
pub mod id;
pub mod kvm;
pub mod observed;
pub mod orphans;
pub mod spec;
pub mod uri;

pub use claim::{CLAIM_VERSION, Claim, ClaimedNetwork, ObservedClaim};
pub use endpoint::HostEndpoint;
pub(crate) use id::network_suffix;
pub use id::{ClusterRef, PROBE_NODE, ShortId, domain_name, domain_uuid};
pub use kvm::KvmSupport;
pub use observed::{
    DomainState, HostFacts, Mark, NotRunning, ObservedCopy, ObservedHost, ObservedNode, ObservedObject,
};
pub use orphans::{Orphan, Orphans};
pub use spec::{Firmware, InterfaceSpec, Mac, NodeSpec};
pub use uri::{UriFault, UriForms, uri_faults};
