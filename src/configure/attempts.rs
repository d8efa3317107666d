//! One command that writes files on a node: attempted again after a lost connection, until the time of its steps is over.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::fault::StepFault;
use super::job::Configuration;
use super::source::Content;
use crate::base::failure::{UserFacing, explain};
use crate::base::name::NodeName;
use crate::base::patience::patience;
use crate::ssh::{ExecRequest, Input, Output, SshError};

/// The pause before a retry after a lost connection.
const PAUSE: Duration = Duration::from_secs(1);

/// The most bytes of each of its streams that are kept.
pub(super) const OUTPUT: usize = 1 << 20;

/// A node, and the time for all files of a wave there.
pub(super) struct Attempts<'a> {
    work: &'a Configuration<'a>,
    node: &'a NodeName,
    allowed: Duration,
    deadline: Instant,
}

/// The standard input of a command.
pub(super) enum Stdin<'a> {
    /// A script.
    Script(&'a str),
    /// The content of a file.
    Content(&'a Content),
}

impl<'a> Attempts<'a> {
    /// The time begins now.
    pub(super) fn new(work: &'a Configuration<'a>, node: &'a NodeName, allowed: Duration) -> Self {
        Self {
            work,
            node,
            allowed,
            deadline: Instant::now() + allowed,
        }
    }

    /// Runs a command as root to its end; its last argument becomes a word that is unique to each attempt. `step` and
    /// `what` are for errors.
    pub(super) async fn run(
        &self,
        command: &str,
        stdin: &Stdin<'_>,
        step: &str,
        what: &str,
    ) -> Result<Output, StepFault> {
        let mut last = None;
        crate::base::crash_point::point!("configure {step} before");
        let (output, unread) = loop {
            match timeout_at(self.deadline, self.once(command, stdin)).await {
                Ok(Ok(done)) => break done,
                Ok(Err(error @ SshError::Lost { .. })) => last = Some(explain(&error)),
                Err(_) | Ok(Err(SshError::CommandTimeout { .. })) => {
                    return Err(StepFault::Timeout {
                        step: step.to_owned(),
                        allowed: humantime::format_duration(self.allowed).to_string(),
                        command: what.to_owned(),
                        doing: last.map(|why| format!("\n  {why}")).unwrap_or_default(),
                        output: String::new(),
                    });
                }
                Ok(Err(error)) => {
                    return Err(StepFault::Ssh {
                        step: step.to_owned(),
                        cause: explain(&error),
                        kind: error.kind(),
                    });
                }
            }
            sleep(patience(PAUSE)).await;
        };
        crate::base::crash_point::point!("configure {step} after");
        match (unread, stdin) {
            // What the node misses then is only the consequence.
            (Some(error), Stdin::Content(content)) if !output.is_success() => Err(StepFault::Source {
                step: step.to_owned(),
                path: content
                    .path()
                    .unwrap_or("its content".as_ref())
                    .display()
                    .to_string(),
                cause: error.to_string(),
            }),
            _ => Ok(output),
        }
    }

    /// One attempt: its output, and why the content could not be read to its end.
    async fn once(&self, command: &str, stdin: &Stdin<'_>) -> Result<(Output, Option<io::Error>), SshError> {
        let nodes = self.work.nodes;
        let session = nodes.session(self.node).await?;
        let command = format!("{command} {}", Uuid::new_v4().simple());
        let request = ExecRequest {
            command: nodes.as_root(self.node, &command),
            timeout: Some(self.deadline.saturating_duration_since(Instant::now())),
            limit: OUTPUT,
            ..ExecRequest::default()
        };
        let (input, reading, waits) = match stdin {
            Stdin::Script(script) => {
                let waits = nodes.waits(self.node);
                (Input::Bytes(script.as_bytes().to_vec()), None, Some(waits))
            }
            // A node that is still receiving is not slow to answer.
            Stdin::Content(content) => {
                let (pieces, reading) = content.pieces();
                (Input::Pieces(pieces), Some(reading), None)
            }
        };
        let output = tokio::select! {
            output = session.exec_with(&request, input) => output?,
            why = nodes.dead_while_probed(self.node, &session) => return Err(SshError::NotRunning(why)),
        };
        drop(waits);
        let unread = match reading {
            Some(reading) => reading.await.ok().and_then(Result::err),
            None => None,
        };
        Ok((output, unread))
    }
}
