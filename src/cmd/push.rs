//! `vcluster push`: sends files and directories to many nodes.

use std::path::PathBuf;
use std::sync::Arc;

use super::Context;
use super::common::Selection;
use super::output::waits;
use crate::base::exit::ExitCode;
use crate::base::failure::Failure;
use crate::base::text::plural;
use crate::base::waiting;
use crate::cluster::nodes::close;
use crate::engine::{EngineError, Pending};
use crate::report;
use crate::ssh::SshError;
use crate::ssh::transfer::{self, Archive, TransferError};

/// Send files and directories to many nodes
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// What to send
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    /// Destination: a directory, or for one file its new path
    #[arg(required = true, value_name = "DESTINATION")]
    pub destination: String,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (cluster, chosen) = args.selection.open()?;
    let (sources, destination) = (args.sources.clone(), args.destination.clone());
    // Packed once, before connecting: an unreadable source is an error before any node is changed.
    let packing = tokio::task::spawn_blocking(move || Archive::pack(&sources, &destination));
    let what = || Some("reading what to send".to_owned());
    let waits = waits(context);
    let archive = Arc::new(waiting::shown(&waits, what, packing).await??);
    let nodes = args.selection.connect(&cluster, &chosen, &waits).await?;
    // Those whose session is open; the others are reported while they are logged in to.
    let pending = &Pending::new("sending to", std::iter::empty::<&str>());
    let work = pending.each_of(
        &waits,
        args.selection.fanout,
        &chosen,
        |node| *node,
        |node| {
            let (nodes, archive) = (&nodes, &archive);
            async move {
                let session = nodes.session_within(node, args.selection.timeout).await;
                let pushed: Result<(), TransferError> = match session {
                    Ok(session) => {
                        pending.begin(node);
                        let _turn = nodes.turn(node).await;
                        tokio::select! {
                            pushed = transfer::push(&session, archive, args.selection.timeout) => pushed,
                            why = nodes.dead(node) => Err(SshError::Stopped(why).into()),
                        }
                    }
                    Err(error) => Err(error.into()),
                };
                let failed = |error: TransferError| Failure {
                    node: Some(node.clone()),
                    ..Failure::new(Arc::new(error))
                };
                pushed.err().map(failed)
            }
        },
    );
    let failures = context.cancel.run_until_cancelled(work).await;
    close(&nodes, &waits).await;
    let failures: Vec<Failure> = failures
        .ok_or(EngineError::Interrupted)?
        .into_iter()
        .flatten()
        .collect();
    EngineError::from_failures("failed to send", failures)?;
    if !context.quiet {
        report::talk(&format!(
            "sent {} ({}) to {}",
            plural(archive.files(), "file"),
            bytesize::ByteSize::b(archive.size).display().iec(),
            plural(chosen.len(), "node")
        ));
    }
    Ok(ExitCode::Ok)
}
