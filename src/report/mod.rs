//! Rendering: the only place (with the error printer) that writes to the terminal.
//! stdout is data, stderr is talk.

mod out;
pub mod plan;

pub use out::{data, talk};
