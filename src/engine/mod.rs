//! The engine obeys a plan and emits events. It makes no choice and prints nothing.

mod event;

pub use event::{Event, Events, HostStage, NodeStage, Progress, Stream};
