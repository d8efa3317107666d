//! `vcluster push`: sends files and directories to many nodes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::Context;
use super::common::Selection;
use super::output::waits;
use crate::base::exit::ExitCode;
use crate::base::text::{plural, sanitize};
use crate::base::waiting;
use crate::cluster::nodes::close;
use crate::cluster::transfer;
use crate::engine::EngineError;
use crate::report;
use crate::ssh::transfer::{Archive, changed_while_read};

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
    pub destination: OsString,
}

/// Entries that are named of those that were not sent.
const SHOWN: usize = 20;

/// Runs the verb.
pub async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (cluster, chosen) = args.selection.open()?;
    let (sources, destination) = (args.sources.clone(), args.destination.clone());
    // Packed once, before connecting: an unreadable source is an error before any node is changed.
    let packing = tokio::task::spawn_blocking(move || Archive::pack(&sources, &destination));
    let what = || Some("reading what to send".to_owned());
    let waits = waits(context);
    let archive = Arc::new(waiting::shown(&waits, what, packing).await??);
    for skipped in archive.skipped.lines(SHOWN) {
        report::message(&format!("warning: not sent: {}", sanitize(&skipped)));
    }
    if let Some(note) = changed_while_read(&archive.changed).filter(|_| !context.quiet) {
        report::message(&format!("note: {}", sanitize(&note)));
    }
    let nodes = args.selection.connect(&cluster, &chosen, &waits).await?;
    let options = args.selection.transfer();
    let work = transfer::push(&nodes, &chosen, &archive, options, &waits);
    let failures = context.cancel.run_until_cancelled(work).await;
    close(&nodes, &waits).await;
    EngineError::from_failures("failed to send", failures.ok_or(EngineError::Interrupted)?)?;
    if !context.quiet {
        report::message(&format!(
            "sent {} ({}) to {}",
            plural(archive.files(), "file"),
            bytesize::ByteSize::b(archive.size).display().iec(),
            plural(chosen.len(), "node")
        ));
    }
    Ok(match archive.skipped.count() {
        0 => ExitCode::Ok,
        _ => ExitCode::ApplyFailed,
    })
}
