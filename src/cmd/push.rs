//! `vcluster push`: files and directories to many nodes.

use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;

use super::Context;
use super::common::Selection;
use crate::engine::{EngineError, Failure, explain};
use crate::exit::ExitCode;
use crate::report;
use crate::ssh::transfer::{self, Parcel};

/// Send files and directories to many nodes
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// What to send
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    /// Where to: a directory that gets the sources, or, for one file, its new path
    #[arg(required = true, value_name = "DESTINATION")]
    pub destination: String,
}

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (cluster, chosen) = args.selection.open(context)?;
    let (sources, destination) = (args.sources.clone(), args.destination.clone());
    // Packed once, before anyone is asked: a source that cannot be read stops it all.
    let parcel = Arc::new(tokio::task::spawn_blocking(move || Parcel::pack(&sources, &destination)).await??);
    let nodes = args.selection.connect(&cluster, &chosen).await?;
    let work = futures::stream::iter(&chosen)
        .map(|node| {
            let (nodes, parcel) = (&nodes, &parcel);
            async move {
                let pushed = match nodes.session_within(node, args.selection.timeout).await {
                    Ok(session) => {
                        let _turn = nodes.turn(node).await;
                        tokio::select! {
                            pushed = transfer::push(&session, parcel, args.selection.timeout) => {
                                pushed.map_err(|error| explain(&error))
                            }
                            why = nodes.dead(node) => Err(why),
                        }
                    }
                    Err(error) => Err(explain(&error)),
                };
                let failed = |error| Failure {
                    host: None,
                    node: Some(node.clone()),
                    error,
                    hint: None,
                };
                pushed.err().map(failed)
            }
        })
        .buffer_unordered(args.selection.fanout)
        .collect::<Vec<_>>();
    let failures = context.cancel.run_until_cancelled(work).await;
    nodes.close().await;
    let failures: Vec<Failure> = failures
        .ok_or(EngineError::Interrupted)?
        .into_iter()
        .flatten()
        .collect();
    EngineError::from_failures("failed to send", failures)?;
    if !context.quiet {
        report::talk(&format!(
            "sent {} ({}) to {}",
            report::plural(parcel.files(), "file"),
            bytesize::ByteSize::b(parcel.size).display().iec(),
            report::plural(chosen.len(), "node")
        ));
    }
    Ok(ExitCode::Ok)
}
