//! Fetches a file or directory of one node.

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::error::SshError;
use super::super::request::{ExecEvent, ExecRequest, Output};
use super::super::session::Session;
use super::unpack::{self, PullLimits, UnpackError, Unpacked};
use super::{TransferError, checked};
use crate::base::shell::quote;

/// Bytes that may follow the end of an archive; tar pads its last record.
const PADDING: usize = 1 << 20;

/// The result of a transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Regular files.
    pub files: usize,
    /// All entries of the archive: files, directories, links, skipped entries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What was skipped, and why.
    pub skipped: Vec<String>,
}

/// Fetches `path` of the node into the local directory `into` (created if missing), under its own name.
/// Compares the digests with the node's unless `verify` is false (for files that are being written).
pub async fn pull(
    session: &Session,
    path: &str,
    into: &Path,
    limits: PullLimits,
    verify: bool,
    limit: Option<Duration>,
) -> Result<Pulled, TransferError> {
    let (directory, name) = split(path).ok_or_else(|| TransferError::Source {
        path: path.into(),
        message: "not the path of a file or directory".into(),
    })?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(unpack::DIRECTORY_MODE)
        .create(into)
        .map_err(|error| TransferError::local(into, error))?;
    let (directory, name) = (quote(directory), quote(&format!("./{name}")));
    let command = format!("cd -- {directory} && exec tar -cf - {name}");
    let request = ExecRequest {
        command,
        timeout: limit,
        ..ExecRequest::default()
    };
    let unpacked = transfer(session, &request, into, limits).await?;
    if verify {
        compare(
            session,
            &format!("cd -- {directory} && find {name} -type f -exec sha256sum {{}} +"),
            &unpacked,
            limit,
        )
        .await?;
    }
    Ok(Pulled {
        files: unpacked.digests.len(),
        entries: unpacked.entries,
        bytes: unpacked.bytes,
        skipped: unpacked.skipped,
    })
}

/// Directory and name of a path; `None` for `/`, `..` and similar.
fn split(path: &str) -> Option<(&str, &str)> {
    let path = if path.len() > 1 {
        path.trim_end_matches('/')
    } else {
        path
    };
    let (directory, name) = match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => (".", path),
    };
    let usable = !matches!(name, "" | "." | "..") && !path.contains(['\0', '\n']);
    usable.then_some((directory, name))
}

async fn transfer(
    session: &Session,
    request: &ExecRequest,
    into: &Path,
    limits: PullLimits,
) -> Result<Unpacked, TransferError> {
    let mut events = session.stream(request).await?;
    // The channel limits the data that waits for the disk.
    let (pieces, receiver) = mpsc::channel(8);
    let target = into.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || {
        let stream = Pieces {
            receiver,
            rest: Vec::new(),
            at: 0,
        };
        unpack::unpack(stream, &target, &limits)
    });
    let node = session.name();
    let mut output = Output::default();
    let (mut broken, mut behind) = (None, 0);
    while let Some(event) = events.recv().await {
        match event {
            ExecEvent::Stdout(data) => {
                let length = data.len();
                if pieces.send(data).await.is_err() {
                    // The archive has ended or was rejected. A little padding may follow its end.
                    behind += length;
                    if behind > PADDING {
                        break;
                    }
                }
            }
            ExecEvent::Stderr(data) if output.stderr.len() < 64 * 1024 => output.stderr.extend(data),
            ExecEvent::Stderr(_) => {}
            ExecEvent::Ended(ended) => output.ended = Some(ended),
            ExecEvent::TimedOut(after) => {
                broken = Some(SshError::CommandTimeout {
                    target: node.to_owned(),
                    command: request.command.clone(),
                    after,
                    output: Box::default(),
                });
            }
            ExecEvent::Lost(reason) => {
                broken = Some(SshError::Lost {
                    target: node.to_owned(),
                    reason,
                });
            }
        }
    }
    drop(pieces);
    drop(events);
    let unpacked = unpacking
        .await
        .map_err(|error| SshError::Other(error.to_string()))?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    match unpacked {
        Err(UnpackError::Refused { entry, reason }) => Err(TransferError::Refused {
            node: node.to_owned(),
            entry,
            reason,
        }),
        Err(UnpackError::Local { path, source }) => Err(TransferError::Local { path, source }),
        // If the stream was cut short, tar's error has the reason.
        Err(UnpackError::Stream(error)) => {
            Err(checked(node, output)
                .err()
                .unwrap_or_else(|| TransferError::Remote {
                    node: node.to_owned(),
                    message: error.to_string(),
                }))
        }
        Ok(_) if behind > PADDING => Err(TransferError::Refused {
            node: node.to_owned(),
            entry: "data".into(),
            reason: "it follows the end of the archive".into(),
        }),
        Ok(unpacked) => {
            checked(node, output)?;
            Ok(unpacked)
        }
    }
}

async fn compare(
    session: &Session,
    command: &str,
    unpacked: &Unpacked,
    limit: Option<Duration>,
) -> Result<(), TransferError> {
    let node = session.name();
    let request = ExecRequest {
        command: command.to_owned(),
        timeout: limit,
        limit: 256 << 20,
        ..ExecRequest::default()
    };
    let output = checked(node, session.exec(&request).await?)?;
    let theirs: HashMap<String, String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(parse_digest)
        .collect();
    let differs = |(name, digest): &(&String, &String)| theirs.get(*name) != Some(*digest);
    let mut names: Vec<String> = unpacked
        .digests
        .iter()
        .filter(differs)
        .map(|(name, _)| name.escape_debug().to_string())
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    names.sort();
    names.truncate(10);
    Err(TransferError::Digest {
        node: node.to_owned(),
        names,
    })
}

/// A line of sha256sum; a leading backslash means that the name is escaped.
pub(crate) fn parse_digest(line: &str) -> Option<(String, String)> {
    let (escaped, line) = match line.strip_prefix('\\') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (digest, name) = line.split_once("  ").or_else(|| line.split_once(" *"))?;
    let name = if escaped {
        name.replace("\\\\", "\0")
            .replace("\\n", "\n")
            .replace("\\r", "\r")
            .replace('\0', "\\")
    } else {
        name.to_owned()
    };
    Some((unpack::plain(&name), digest.to_owned()))
}

/// The received data, for a reader on a blocking thread.
struct Pieces {
    receiver: mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.rest.len() {
            match self.receiver.blocking_recv() {
                Some(piece) => (self.rest, self.at) = (piece, 0),
                None => return Ok(0),
            }
        }
        let count = buf.len().min(self.rest.len() - self.at);
        buf[..count].copy_from_slice(&self.rest[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_where_tar_can_start() {
        assert_eq!(split("/var/log/"), Some(("/var", "log")));
        assert_eq!(split("/etc"), Some(("/", "etc")));
        assert_eq!(split("a"), Some((".", "a")));
        for bad in ["/", "", ".", "..", "/a/..", "a\nb"] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn lines_of_sha256sum_are_read_with_their_escapes() {
        assert_eq!(parse_digest("ab  ./x y"), Some(("x y".into(), "ab".into())));
        assert_eq!(
            parse_digest("\\ab  ./x\\ny\\\\n"),
            Some(("x\ny\\n".into(), "ab".into()))
        );
    }
}
