//! SSH with russh: one connection per bare-metal host, one per node, all channels through these.
//! Checks host keys on both hops. Knows nothing of plans or topologies.

mod session;

pub use session::{ByteStream, ExecEvent, ExecRequest, HostTarget, NodeTarget, Output, Session, SshError};
