//! Files to and from many nodes at once.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;

use crate::base::event::Events;
use crate::base::failure::Failure;
use crate::base::name::NodeName;
use crate::engine::Pending;
use crate::ssh::transfer::{self, Archive, PullLimits, Pulled, TransferError};
use crate::ssh::{Nodes, Session, SshError, Turn};

/// Nodes at once that a command works on if the user sets no limit.
pub const NODES_AT_ONCE: usize = 150;

/// How many nodes transfer at once, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct TransferOptions {
    /// The user's limit on nodes at once. Without it, [`NODES_AT_ONCE`], which take turns on busy machines.
    pub fanout: Option<usize>,
    /// Time limit for each node.
    pub timeout: Option<Duration>,
}

/// What to fetch.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Files and directories on the nodes.
    pub sources: Vec<OsString>,
    /// Local directory; one directory per node is created in it.
    pub into: PathBuf,
    /// The most bytes per node.
    pub limit: u64,
}

/// What was fetched from a node.
#[derive(Debug, Default)]
pub struct PulledFromNode {
    /// Of all sources together.
    pub pulled: Pulled,
    /// The sources that could not be fetched, or why none could.
    pub failures: Vec<Failure>,
}

impl TransferOptions {
    fn at_once(&self) -> usize {
        self.fanout.unwrap_or(NODES_AT_ONCE)
    }

    /// Waits for the turn of a node. With a limit on nodes at once, nodes take none.
    async fn turn(&self, nodes: &Nodes, node: &NodeName) -> Option<Turn> {
        let turn = self.fanout.is_none().then(|| nodes.turn(node));
        OptionFuture::from(turn).await.flatten()
    }
}

/// Sends an archive to nodes. Returns the failures.
pub async fn push(
    nodes: &Nodes,
    chosen: &[NodeName],
    archive: &Arc<Archive>,
    options: TransferOptions,
    events: &Events,
) -> Vec<Failure> {
    // Those whose session is open; the others are reported while they are logged in to.
    let pending = &Pending::new("sending to", std::iter::empty::<&str>());
    let failures = pending
        .each_of(
            events,
            options.at_once(),
            chosen,
            |node| *node,
            |node| async move {
                let pushed = async {
                    let session = session(nodes, node, options, pending).await?;
                    let _turn = options.turn(nodes, node).await;
                    tokio::select! {
                        pushed = transfer::push(&session, archive, options.timeout) => pushed,
                        why = nodes.dead_while_probed(node, &session) => Err(SshError::NotRunning(why).into()),
                    }
                };
                pushed.await.err().map(|error| failure(node, error))
            },
        )
        .await;
    failures.into_iter().flatten().collect()
}

/// Fetches files from nodes. Returns what was fetched from each, in the order of the nodes.
pub async fn pull(
    nodes: &Nodes,
    chosen: &[NodeName],
    wanted: &Wanted,
    options: TransferOptions,
    events: &Events,
) -> Vec<PulledFromNode> {
    let pending = &Pending::new("fetching from", std::iter::empty::<&str>());
    pending
        .each_of(
            events,
            options.at_once(),
            chosen,
            |node| *node,
            |node| async move {
                let mut from = PulledFromNode::default();
                if let Err(error) = pull_from(nodes, node, wanted, options, pending, &mut from).await {
                    from.failures.push(failure(node, error));
                }
                from
            },
        )
        .await
}

/// Fetches the sources one after the other. One that cannot be fetched does not prevent the others; a lost connection, a
/// full disk here, and a node that sends what it may not do.
async fn pull_from(
    nodes: &Nodes,
    node: &NodeName,
    wanted: &Wanted,
    options: TransferOptions,
    pending: &Pending,
    from: &mut PulledFromNode,
) -> Result<(), TransferError> {
    let session = session(nodes, node, options, pending).await?;
    let _turn = options.turn(nodes, node).await;
    let into = wanted.into.join(node.as_str());
    let sum = &mut from.pulled;
    for source in &wanted.sources {
        let limits = PullLimits {
            bytes: wanted.limit.saturating_sub(sum.bytes),
            entries: PullLimits::default().entries.saturating_sub(sum.entries),
        };
        let pulled = tokio::select! {
            pulled = transfer::pull(&session, source, &into, limits, options.timeout) => pulled,
            why = nodes.dead_while_probed(node, &session) => return Err(SshError::NotRunning(why).into()),
        };
        match pulled {
            Ok(pulled) => sum.add(pulled),
            Err(error) if error.is_about_one_source() => from.failures.push(failure(node, error)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn session(
    nodes: &Nodes,
    node: &NodeName,
    options: TransferOptions,
    pending: &Pending,
) -> Result<Arc<Session>, SshError> {
    let session = nodes.session_within(node, options.timeout).await?;
    pending.begin(node);
    Ok(session)
}

fn failure(node: &NodeName, error: TransferError) -> Failure {
    Failure {
        node: Some(node.clone()),
        ..Failure::new(Arc::new(error))
    }
}
