//! Sends an archive to one node and verifies on the node that it arrived.

use std::fmt::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::error::SshError;
use super::super::request::{ExecEvent, ExecRequest, Output};
use super::super::session::Session;
use super::pack::Archive;
use super::{TransferError, checked};
use crate::base::shell::quote;

/// Bytes read from the archive at a time.
const PIECE: usize = 128 * 1024;

/// Sends it. The time limit applies to the transfer and to the check separately.
pub async fn push(
    session: &Session,
    archive: &Arc<Archive>,
    limit: Option<Duration>,
) -> Result<(), TransferError> {
    let directory = quote(&archive.directory);
    let mut command = String::from("set -e; ");
    if let Some(file) = &archive.file {
        let refusal = quote(&format!(
            "{file} is a directory there: end the destination with / to send into it"
        ));
        let _ = write!(
            command,
            "if [ -d {} ]; then echo {refusal} >&2; exit 1; fi; ",
            quote(file)
        );
    }
    // A relative directory is below the login user's home. The archive's owner (0) is not kept.
    let _ = write!(
        command,
        "mkdir -p -- {directory}; cd -- {directory}; exec tar -xpof -"
    );
    let (sender, input) = mpsc::channel(4);
    let source = archive.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut at = 0;
        loop {
            let mut piece = vec![0; PIECE];
            let read = source.contents.read_at(&mut piece, at)?;
            piece.truncate(read);
            at += read as u64;
            // If the node stops reading, its exit status has the reason.
            if read == 0 || sender.blocking_send(piece).is_err() {
                return std::io::Result::Ok(());
            }
        }
    });
    let request = ExecRequest {
        command,
        timeout: limit,
        ..ExecRequest::default()
    };
    let events = session.stream_with_input(&request, input).await?;
    checked(session.name(), collect(session, &request, events).await?)?;
    if let Ok(Err(error)) = reading.await {
        return Err(TransferError::local(&std::env::temp_dir(), error));
    }
    verify(session, archive, limit).await
}

async fn collect(
    session: &Session,
    request: &ExecRequest,
    mut events: mpsc::Receiver<ExecEvent>,
) -> Result<Output, SshError> {
    let mut output = Output::default();
    while let Some(event) = events.recv().await {
        match event {
            ExecEvent::Stderr(data) if output.stderr.len() < 64 * 1024 => output.stderr.extend(data),
            ExecEvent::Stdout(_) | ExecEvent::Stderr(_) => {}
            ExecEvent::Ended(ended) => output.ended = Some(ended),
            ExecEvent::TimedOut(after) => {
                return Err(SshError::CommandTimeout {
                    target: session.name().to_owned(),
                    command: request.command.clone(),
                    after,
                    output: Box::new(output),
                });
            }
            ExecEvent::Lost(reason) => {
                return Err(SshError::Lost {
                    target: session.name().to_owned(),
                    reason,
                });
            }
        }
    }
    Ok(output)
}

async fn verify(session: &Session, archive: &Archive, limit: Option<Duration>) -> Result<(), TransferError> {
    if archive.digests.is_empty() {
        return Ok(());
    }
    let mut list = String::new();
    for (name, digest) in &archive.digests {
        let _ = writeln!(list, "{digest}  {name}");
    }
    let command = format!(
        "cd -- {} && LC_ALL=C sha256sum -c 2>/dev/null",
        quote(&archive.directory)
    );
    let request = ExecRequest {
        command,
        stdin: list.into_bytes(),
        timeout: limit,
        limit: 64 << 20,
        ..ExecRequest::default()
    };
    let output = session.exec(&request).await?;
    if output.is_success() {
        return Ok(());
    }
    let checks = String::from_utf8_lossy(&output.stdout);
    let bad = checks.lines().filter(|line| !line.ends_with(": OK"));
    let names: Vec<String> = bad.take(10).map(|line| line.escape_debug().to_string()).collect();
    if names.is_empty() {
        checked(session.name(), output)?;
    }
    Err(TransferError::Digest {
        node: session.name().to_owned(),
        names,
    })
}
