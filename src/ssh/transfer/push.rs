//! Sends an archive to one node and verifies on the node that it arrived.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use super::super::pieces::pieces;
use super::super::request::ExecRequest;
use super::super::session::Session;
use super::names::{encoded, shown};
use super::pack::Archive;
use super::{TransferError, checked, exchange, listing};
use crate::base::shell::{quote, with_variables};

/// Bytes of the list of digests that are kept.
const LIST_LIMIT: usize = 256 << 20;

/// Names in an error.
const NAMES: usize = 10;

/// Sends it. Directories that exist keep their mode and owner. The time limit applies to the transfer and to the check
/// separately.
pub async fn push(
    session: &Session,
    archive: &Arc<Archive>,
    limit: Option<Duration>,
) -> Result<(), TransferError> {
    let script = concat!(include_str!("plain.sh"), include_str!("push.sh"));
    let file = archive.file.as_deref().map(there).unwrap_or_default();
    let variables = [("directory", there(&archive.directory)), ("file", file)];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let request = ExecRequest {
        command: format!("exec sh -c {}", quote(&with_variables(&variables, script))),
        timeout: limit,
        ..ExecRequest::default()
    };
    let source = archive.clone();
    let head = [source.directories.as_bytes(), b".\n"].concat();
    let (input, reading) =
        pieces(
            move |piece, at| match head.get(usize::try_from(at).unwrap_or(usize::MAX)..) {
                Some(rest) if !rest.is_empty() => {
                    let length = rest.len().min(piece.len());
                    piece[..length].copy_from_slice(&rest[..length]);
                    Ok(length)
                }
                _ => source.contents.read_at(piece, at - head.len() as u64),
            },
        );
    let events = session.stream_with_input(&request, input).await?;
    let (output, _) = exchange::follow(session, events, "tar", None).await?;
    // It explains the error of tar, to which the archive seems to end early.
    if let Ok(Err(error)) = reading.await {
        return Err(TransferError::local(&std::env::temp_dir(), error));
    }
    checked(session.name(), output)?;
    verify(session, archive, limit).await
}

/// A path for the script. A relative one is below the login user's home, and may begin with a hyphen.
fn there(path: &[u8]) -> String {
    let start = if path.starts_with(b"/") { "" } else { "./" };
    format!("{start}{}", encoded(path))
}

async fn verify(session: &Session, archive: &Archive, limit: Option<Duration>) -> Result<(), TransferError> {
    if archive.digests.is_empty() {
        return Ok(());
    }
    let mut list = Vec::new();
    for name in archive.digests.keys() {
        list.extend_from_slice(b".//");
        list.extend_from_slice(name);
        list.push(0);
    }
    let script = concat!(
        include_str!("plain.sh"),
        r#"plain "$directory"; cd -- "$name" && exec xargs -0 sha256sum"#
    );
    let directory = there(&archive.directory);
    let script = with_variables(&[("directory", directory.as_str())], script);
    let request = ExecRequest {
        command: format!("exec sh -c {}", quote(&script)),
        stdin: list,
        timeout: limit,
        limit: LIST_LIMIT,
        ..ExecRequest::default()
    };
    let output = exchange::run(session, &request, "sha256sum").await?;
    let theirs = listing::digests(&output.stdout);
    let differs = |(name, digest): &(&Vec<u8>, &String)| theirs.get(*name) != Some(*digest);
    let differing = archive.digests.iter().filter(differs);
    let mut names: Vec<String> = differing.map(|(name, _)| shown(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    if theirs.is_empty() {
        checked(session.name(), output)?;
    }
    names.sort();
    names.truncate(NAMES);
    Err(TransferError::Digest {
        node: session.name().to_owned(),
        names,
    })
}
