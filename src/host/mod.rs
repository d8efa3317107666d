//! What a bare-metal host can do for us: probe, observe, ensure, remove.

mod model;

pub use model::{DomainState, HostFacts, Mark, ObservedHost, ObservedNode, ObservedObject};
