//! How a step reaches its node, and where its output goes.

use std::io;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::ended::{End, StepError};
use crate::base::event::Stream;
use crate::ssh::Nodes;

/// Where output goes.
pub trait Sink: Send {
    /// Takes a chunk.
    fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()>;

    /// The node no longer has the next bytes of a stream: what follows is not the continuation of what came before.
    fn lost(&mut self, _stream: Stream, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    /// The step has started, in this command or an earlier one. May be called again.
    fn started(&mut self) {}

    /// The step has ended, by itself or for this reason. Everything that must not be lost must be stored before this
    /// returns, because the node then discards it.
    fn ended(&mut self, _end: &End, _why: Option<&StepError>) -> io::Result<()> {
        Ok(())
    }
}

/// Discards all output.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

impl Sink for Discard {
    fn take(&mut self, _: Stream, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// A barrier: resolves to whether the step may start. A step that has started already does not wait for it.
pub type Gate<'a> = BoxFuture<'a, bool>;

/// How a node is reached, and for how long it may be waited for.
pub struct Way<'a> {
    /// Sessions of the nodes.
    pub nodes: &'a Nodes,
    /// The node.
    pub node: &'a str,
    /// Cancelled when the user interrupts.
    pub cancel: &'a CancellationToken,
    /// Timeout of the login, and of reaching the gate if there is one.
    pub start_timeout: Duration,
}

impl Way<'_> {
    /// Whether a node that reports this boot has rebooted since it was configured.
    pub(super) fn has_rebooted(&self, boot: &str) -> bool {
        self.nodes.boot(self.node).is_some_and(|before| before != boot)
    }
}
