//! `vcluster pull`: fetches files and directories from many nodes, into a directory per node.

use std::path::PathBuf;
use std::sync::Arc;

use super::Context;
use super::common::Selection;
use super::output::waits;
use crate::base::exit::ExitCode;
use crate::base::failure::Failure;
use crate::base::name::NodeName;
use crate::base::text::{plural, sanitize};
use crate::cluster::nodes::close;
use crate::engine::{EngineError, Pending};
use crate::report;
use crate::ssh::transfer::{self, PullLimits, Pulled, TransferError};
use crate::ssh::{Nodes, SshError};

/// Fetch files and directories from many nodes into DESTINATION/NODE/
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Maximum size per node
    #[arg(long, value_name = "SIZE", default_value = "8GiB")]
    pub limit: bytesize::ByteSize,
    /// What to fetch: absolute paths, or relative to the login directory
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Local directory; one directory per node is created in it
    #[arg(required = true, value_name = "DESTINATION")]
    pub destination: PathBuf,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (cluster, chosen) = args.selection.open()?;
    let waits = waits(context);
    let nodes = args.selection.connect(&cluster, &chosen, &waits).await?;
    // Those whose session is open; the others are reported while they are logged in to.
    let pending = &Pending::new("fetching from", std::iter::empty::<&str>());
    let work = pending.each_of(
        &waits,
        args.selection.fanout,
        &chosen,
        |node| *node,
        |node| from_node(node, &nodes, &args, pending),
    );
    let results = context.cancel.run_until_cancelled(work).await;
    close(&nodes, &waits).await;
    let mut failures = Vec::new();
    let mut sum = Pulled::default();
    for (node, result) in chosen.iter().zip(results.ok_or(EngineError::Interrupted)?) {
        match result {
            Ok(pulled) => {
                sum.files += pulled.files;
                sum.bytes += pulled.bytes;
                for skipped in pulled.skipped {
                    report::talk(&format!("warning: {node}: skipped {}", sanitize(&skipped)));
                }
            }
            Err(error) => failures.push(Failure {
                node: Some(node.clone()),
                ..Failure::new(Arc::new(error))
            }),
        }
    }
    EngineError::from_failures("failed to fetch", failures)?;
    if !context.quiet {
        report::talk(&format!(
            "fetched {} ({}) from {}",
            plural(sum.files, "file"),
            bytesize::ByteSize::b(sum.bytes).display().iec(),
            plural(chosen.len(), "node")
        ));
    }
    Ok(ExitCode::Ok)
}

async fn from_node(
    node: &NodeName,
    nodes: &Nodes,
    args: &Args,
    pending: &Pending,
) -> Result<Pulled, TransferError> {
    let session = nodes.session_within(node, args.selection.timeout).await?;
    pending.begin(node);
    let _turn = nodes.turn(node).await;
    let into = args.destination.join(node.as_str());
    let mut sum = Pulled::default();
    for source in &args.sources {
        let left = args.limit.as_u64().saturating_sub(sum.bytes);
        let limits = PullLimits {
            bytes: left,
            entries: PullLimits::default().entries.saturating_sub(sum.entries),
        };
        let pulled = tokio::select! {
            pulled = transfer::pull(&session, source, &into, limits, true, args.selection.timeout) => pulled?,
            why = nodes.dead(node) => return Err(SshError::Stopped(why).into()),
        };
        sum.files += pulled.files;
        sum.entries += pulled.entries;
        sum.bytes += pulled.bytes;
        sum.skipped.extend(pulled.skipped);
    }
    Ok(sum)
}
