//! A step: what to run, and where its files are.

use crate::text::Text;
use crate::watched::Names;

/// All steps of this node. `/run` is in memory: a rebooted node has none.
pub(crate) const PARENT: &[u8] = b"/run/vcluster\0";
pub(crate) const STEPS: &[u8] = b"/run/vcluster/steps\0";

/// A path of a step; the limit of an ID keeps it within a socket address.
pub(crate) type Path = Text<108>;

/// The directory of a step, or with `rest` a path in it.
pub(crate) fn path(id: &[u8], rest: &[u8]) -> Path {
    let mut path = Path::new();
    path.push(&STEPS[..STEPS.len() - 1])
        .push(b"/")
        .push(id)
        .push(rest)
        .push(&[0]);
    path
}

/// What to run.
pub(crate) struct Start<'a> {
    pub(crate) id: &'a [u8],
    /// Owner of the step. A later command with another owner takes it over while it runs.
    pub(crate) owner: &'a [u8],
    /// Milliseconds after which it is ended without an order; 0 means no limit.
    pub(crate) limit: u64,
    /// Whether it waits for the order to start.
    pub(crate) waits: bool,
    /// Whether the node measures what is used meanwhile, and the processes that it watches for that.
    pub(crate) measures: bool,
    pub(crate) watched: Names,
    pub(crate) command: *const u8,
    pub(crate) environment: *const *const u8,
}
