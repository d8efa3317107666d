//! Runs commands of a transfer, and reads the output of one while it arrives.

use std::io::{self, Read};

use tokio::sync::mpsc;

use super::super::error::SshError;
use super::super::request::{ExecEvent, ExecRequest, Output};
use super::super::session::Session;
use super::TransferError;

/// Bytes that may follow what was read; tar pads its last record.
const PADDING: usize = 1 << 20;

/// What `pull.sh` prints first: before it, the login shell may have printed something, as `.bashrc` does.
const BEGIN: &[u8] = b"vcluster-pull-begins\n";

/// Bytes of error output that are kept.
const ERRORS_KEPT: usize = 64 * 1024;

/// What was read of a command's output, and how the command ended.
pub(super) struct Exchanged<T> {
    pub(super) value: T,
    /// Without standard output.
    pub(super) output: Output,
    /// Whether much more came than was read.
    pub(super) has_surplus: bool,
}

/// Runs a command; `read` gets its standard output after the mark, on a blocking thread. `what` is its name for messages.
pub(super) async fn stream<T: Send + 'static>(
    session: &Session,
    request: &ExecRequest,
    what: &str,
    read: impl FnOnce(Pieces) -> T + Send + 'static,
) -> Result<Exchanged<T>, TransferError> {
    let events = session
        .stream(request)
        .await
        .map_err(|error| named(error, what))?;
    // The channel limits the data that waits for the disk.
    let (pieces, receiver) = mpsc::channel(8);
    let reading = tokio::task::spawn_blocking(move || {
        read(Pieces {
            receiver,
            rest: Vec::new(),
            at: 0,
            has_begun: false,
        })
    });
    let followed = follow(session, events, what, Some(pieces)).await;
    let value = reading
        .await
        .map_err(|error| SshError::Other(error.to_string()))?;
    let (output, behind) = followed?;
    Ok(Exchanged {
        value,
        output,
        has_surplus: behind > PADDING,
    })
}

/// Follows a command to its end. Returns its output without standard output, which goes to `pieces`, and how many bytes of
/// that nobody took.
pub(super) async fn follow(
    session: &Session,
    mut events: mpsc::Receiver<ExecEvent>,
    what: &str,
    pieces: Option<mpsc::Sender<Vec<u8>>>,
) -> Result<(Output, usize), SshError> {
    let mut output = Output::default();
    let mut behind = 0;
    while let Some(event) = events.recv().await {
        match event {
            ExecEvent::Stdout(data) => {
                let Some(pieces) = &pieces else { continue };
                let length = data.len();
                if pieces.send(data).await.is_err() {
                    // All was read, or it was rejected. A little padding may follow.
                    behind += length;
                    if behind > PADDING {
                        break;
                    }
                }
            }
            ExecEvent::Stderr(data) => {
                let room = ERRORS_KEPT.saturating_sub(output.stderr.len()).min(data.len());
                output.stderr.extend_from_slice(&data[..room]);
            }
            ExecEvent::Ended(ended) => output.ended = Some(ended),
            ExecEvent::TimedOut(after) => {
                return Err(SshError::CommandTimeout {
                    target: session.name().to_owned(),
                    command: what.to_owned(),
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
    Ok((output, behind))
}

/// Runs a command to its end. Keeps up to `request.limit` bytes of its output.
pub(super) async fn run(session: &Session, request: &ExecRequest, what: &str) -> Result<Output, SshError> {
    session.exec(request).await.map_err(|error| named(error, what))
}

/// The error with the name of the command in place of the script.
fn named(error: SshError, what: &str) -> SshError {
    match error {
        SshError::CommandTimeout {
            target,
            after,
            output,
            ..
        } => SshError::CommandTimeout {
            target,
            command: what.to_owned(),
            after,
            output,
        },
        other => other,
    }
}

/// Where the output of the script begins: after the mark.
pub(super) fn begin(output: &[u8]) -> Option<usize> {
    let at = output.windows(BEGIN.len()).position(|window| window == BEGIN)?;
    Some(at + BEGIN.len())
}

/// The received data after the mark, for a reader on a blocking thread.
pub(super) struct Pieces {
    receiver: mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
    at: usize,
    has_begun: bool,
}

impl Pieces {
    /// Skips what the login shell has printed. Without a mark there is no data: the command's error has the reason.
    fn begin(&mut self) {
        self.has_begun = true;
        let mut printed = Vec::new();
        while let Some(piece) = self.receiver.blocking_recv() {
            printed.extend(piece);
            if let Some(at) = begin(&printed) {
                (self.rest, self.at) = (printed, at);
                return;
            }
            if printed.len() > PADDING {
                self.receiver.close();
                return;
            }
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.has_begun {
            self.begin();
        }
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

    /// What is read of output that arrives in pieces of this size.
    fn read(output: &[u8], size: usize) -> Vec<u8> {
        let chunks: Vec<Vec<u8>> = output.chunks(size).map(<[u8]>::to_vec).collect();
        let (sender, receiver) = mpsc::channel(chunks.len().max(1));
        for chunk in chunks {
            sender.try_send(chunk).unwrap();
        }
        drop(sender);
        let mut pieces = Pieces {
            receiver,
            rest: Vec::new(),
            at: 0,
            has_begun: false,
        };
        let mut all = Vec::new();
        pieces.read_to_end(&mut all).unwrap();
        all
    }

    #[test]
    fn what_a_login_shell_prints_before_the_script_is_skipped() {
        for size in [1, 7, 1000] {
            for before in ["", "Welcome", "Welcome\nvcluster-\n"] {
                let data = [&b"data\n"[..], BEGIN].concat();
                let output = [before.as_bytes(), BEGIN, &data].concat();
                assert_eq!(read(&output, size), data);
            }
            assert_eq!(read(b"This account is not available.\n", size), b"");
        }
        let mark = std::str::from_utf8(BEGIN).unwrap();
        assert!(include_str!("pull.sh").contains(&format!("\necho {mark}")));
    }
}
