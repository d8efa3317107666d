//! Runs one command on a session channel, from opening to closing.
//!
//! A separate task drives each channel, because russh sends no CLOSE when a channel is dropped, which
//! would leak a slot of the remote side's `MaxSessions`: whatever happens to the caller, the task closes
//! the channel and then frees the slot.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Sig};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::any_shell::{self, Frame};
use super::backlog::Backlog;
use super::channel::{Inner, PATIENCE, session_channel};
use super::ended::{Ended, refusal};
use super::error::SshError;
use super::input::{Input, feed};
use super::request::{CommandShell, ExecEvent, ExecRequest, Output};
use crate::base::shell::{quote, with_variables};

/// After a command has ended: how long its open output may be silent before the remote side is asked.
const SILENCE: Duration = Duration::from_millis(500);

/// How long the output may stay open and silent after that answer (a daemon may have inherited it). Before it, silence
/// says nothing: the rest of the output may be on its way.
const GRACE: Duration = Duration::from_secs(2);

/// Bytes kept of each output stream if the request has no limit.
const DEFAULT_LIMIT: usize = 16 << 20;

/// Events that a reader can take at once; what it does not take stays in the backlog.
const EVENTS: usize = 64;

/// Time to close the channel of an abandoned command, for another channel to kill it, and to kill it.
const CLOSING: Duration = Duration::from_secs(2);
const KILL_PATIENCE: Duration = Duration::from_secs(4);
const KILLING: Duration = Duration::from_secs(5);

/// Runs a command and collects its output.
pub(super) async fn run(
    session: &Arc<Inner>,
    request: &ExecRequest,
    input: Input,
) -> Result<Output, SshError> {
    let mut events = start(session, request, input).await?;
    let limit = if request.limit == 0 {
        DEFAULT_LIMIT
    } else {
        request.limit
    };
    let mut output = Output::default();
    while let Some(event) = events.recv().await {
        match event {
            ExecEvent::Stdout(data) => output.truncated |= keep(&mut output.stdout, &data, limit),
            ExecEvent::Stderr(data) => output.truncated |= keep(&mut output.stderr, &data, limit),
            ExecEvent::Ended(ended) => output.ended = Some(ended),
            ExecEvent::TimedOut(after) => return Err(timed_out(session, &request.command, after, output)),
            ExecEvent::Lost(reason) => {
                return Err(SshError::Lost {
                    target: session.name.clone(),
                    reason,
                });
            }
        }
    }
    if output.ended.is_none() {
        return Err(session.lost("the command's channel was closed"));
    }
    Ok(output)
}

fn keep(kept: &mut Vec<u8>, data: &[u8], limit: usize) -> bool {
    let room = limit.saturating_sub(kept.len()).min(data.len());
    kept.extend_from_slice(&data[..room]);
    room < data.len()
}

fn timed_out(session: &Inner, command: &str, after: Duration, output: Output) -> SshError {
    let mut short: String = command
        .chars()
        .take(80)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if command.chars().nth(80).is_some() {
        short.push_str("...");
    }
    let target = session.name.clone();
    SshError::CommandTimeout {
        target,
        command: short,
        after,
        output: Box::new(output),
    }
}

/// Starts a command; returns once the request was sent.
pub(super) async fn start(
    session: &Arc<Inner>,
    request: &ExecRequest,
    input: Input,
) -> Result<mpsc::Receiver<ExecEvent>, SshError> {
    let (command, limit) = (request.command.as_str(), request.timeout);
    let marks = limit.is_some() || session.shared.one_at_a_time();
    let token = (marks && !request.detached).then(token);
    let (events, receiver) = mpsc::channel(EVENTS);
    let (opened, answer) = oneshot::channel();
    let mark = token.as_ref().map(|token| format!("VCLUSTER_EXEC={token}"));
    let (line, frame) = match (request.shell, mark) {
        (CommandShell::Sh, mark) => {
            let (line, frame) = any_shell::framed(command, mark.as_deref());
            (line, Some(frame))
        }
        (CommandShell::Login, Some(mark)) => (marked(command, &mark), None),
        (CommandShell::Login, None) => (command.to_owned(), None),
    };
    let job = RunningCommand {
        session: session.clone(),
        command: line,
        deadline: limit.map(|limit| (Instant::now() + limit, limit)),
        token,
        detached: request.detached,
        events,
    };
    tokio::spawn(job.drive(input, frame, opened));
    match answer.await {
        Ok(Ok(())) => Ok(receiver),
        Ok(Err(Refusal::Error(error))) => Err(error),
        Ok(Err(Refusal::Time(after))) => Err(timed_out(session, command, after, Output::default())),
        Err(_) => Err(session.lost("the task of the command ended")),
    }
}

fn token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// The command with a mark in its environment, which its children inherit. sshd and Dropbear set `SHELL`, and shells that
/// are not POSIX read no default for it.
fn marked(command: &str, mark: &str) -> String {
    format!(r#"exec env {mark} "$SHELL" -c {}"#, quote(command))
}

/// Kills all processes with the mark: TERM, then KILL.
fn reaper(token: &str) -> String {
    any_shell::line(&with_variables(&[("token", token)], include_str!("kill.sh")))
}

enum Refusal {
    Error(SshError),
    Time(Duration),
}

/// What is known of the output that may still come after the end of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Unknown,
    /// The remote side was asked. It answers after all that it has sent before.
    Asked,
    /// Nothing has come since its answer.
    Answered,
}

/// Why a channel is no longer followed.
enum Stop {
    /// The remote side closed the channel.
    Closed,
    /// The connection ended after the command, and before the end of its output.
    Cut,
    /// The command ended and its output stayed open but silent.
    Quiet,
    TimedOut(Duration),
    /// The receiver was dropped.
    Deserted,
}

struct RunningCommand {
    session: Arc<Inner>,
    command: String,
    token: Option<String>,
    detached: bool,
    deadline: Option<(Instant, Duration)>,
    events: mpsc::Sender<ExecEvent>,
}

impl RunningCommand {
    async fn drive(self, input: Input, frame: Option<Frame>, opened: oneshot::Sender<Result<(), Refusal>>) {
        let slot = tokio::select! {
            slot = self.session.slots.clone().acquire_owned() => slot,
            after = self.time_is_up() => {
                let _ = opened.send(Err(Refusal::Time(after)));
                return;
            }
            () = self.events.closed() => return,
        };
        // Never abandon the opening itself: a channel that opens later would never be closed.
        let opening = self.open();
        tokio::pin!(opening);
        let channel = tokio::select! {
            channel = &mut opening => channel,
            after = self.time_is_up() => {
                let _ = opened.send(Err(Refusal::Time(after)));
                if let Ok(channel) = opening.await {
                    let (_, write) = channel.split();
                    self.kill(&write).await;
                }
                return;
            }
        };
        let channel = match channel {
            Ok(channel) => channel,
            Err(error) => {
                let _ = opened.send(Err(Refusal::Error(error)));
                return;
            }
        };
        let _ = opened.send(Ok(()));
        self.follow(channel, input, frame).await;
        drop(slot);
    }

    async fn open(&self) -> Result<Channel<Msg>, SshError> {
        let patience = self
            .deadline
            .map_or(PATIENCE, |(at, _)| PATIENCE.min(at - Instant::now()));
        let channel = session_channel(&self.session, patience).await?;
        match channel.exec(true, self.command.as_bytes()).await {
            Ok(()) => Ok(channel),
            Err(error) => Err(self.session.lost(&error.to_string())),
        }
    }

    async fn follow(&self, channel: Channel<Msg>, input: Input, mut frame: Option<Frame>) {
        let (mut read, write) = channel.split();
        let mut ended: Option<ExecEvent> = None;
        let mut backlog = Backlog::default();
        let stop = {
            let feed = feed(&write, input);
            tokio::pin!(feed);
            let (mut sent, mut is_whole) = (false, false);
            let mut rest = Rest::Unknown;
            let mut answer: Option<BoxFuture<'_, ()>> = None;
            loop {
                let is_over = ended.is_some() && backlog.is_empty();
                let message = tokio::select! {
                    message = read.wait(), if backlog.has_room() => message,
                    permit = self.events.reserve(), if !backlog.is_empty() => {
                        if let (Ok(permit), Some(event)) = (permit, backlog.pop()) {
                            permit.send(event);
                        }
                        continue;
                    }
                    () = &mut feed, if !sent => { sent = true; continue; }
                    after = self.time_is_up() => break Stop::TimedOut(after),
                    () = self.events.closed() => break Stop::Deserted,
                    () = sleep(SILENCE), if is_over && rest == Rest::Unknown => {
                        rest = Rest::Asked;
                        answer = Some(Box::pin(self.answer()));
                        continue;
                    }
                    () = some(&mut answer), if rest == Rest::Asked => {
                        rest = Rest::Answered;
                        answer = None;
                        continue;
                    }
                    () = sleep(GRACE), if is_over && rest == Rest::Answered => break Stop::Quiet,
                };
                if rest == Rest::Answered {
                    rest = Rest::Unknown;
                }
                let event = match message {
                    None if ended.is_some() && !is_whole => break Stop::Cut,
                    None | Some(ChannelMsg::Close) => break Stop::Closed,
                    Some(ChannelMsg::Eof) => {
                        is_whole = true;
                        continue;
                    }
                    Some(ChannelMsg::Data { data }) => ExecEvent::Stdout(data.into()),
                    Some(ChannelMsg::ExtendedData { data, .. }) => ExecEvent::Stderr(data.into()),
                    // Data may follow the status, so the status is sent last.
                    Some(ChannelMsg::ExitStatus { exit_status }) => {
                        ended = Some(ExecEvent::Ended(Ended::Exit(exit_status)));
                        continue;
                    }
                    Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                        ended = Some(ExecEvent::Ended(Ended::Signal(name(&signal_name))));
                        continue;
                    }
                    Some(ChannelMsg::Failure) => {
                        ended = Some(ExecEvent::Lost(refusal(self.command.len())));
                        break Stop::Quiet;
                    }
                    Some(_) => continue,
                };
                let event = match &mut frame {
                    Some(frame) => frame.pass(event),
                    None => Some(event),
                };
                if let Some(event) = event {
                    backlog.push(event);
                    backlog.hand_over(&self.events);
                }
            }
        };
        // From here on, nothing that still arrives makes the connection wait.
        drop(read);
        if let Some(frame) = &mut frame {
            ended = ended.map(|ended| frame.end(ended));
            for event in frame.rest() {
                backlog.push(event);
            }
        }
        match stop {
            Stop::Closed | Stop::Cut | Stop::Quiet => {
                while let Some(event) = backlog.pop() {
                    let _ = self.events.send(event).await;
                }
            }
            // The reader may be what takes so long.
            Stop::TimedOut(_) => backlog.hand_over(&self.events),
            Stop::Deserted => {}
        }
        match stop {
            Stop::Closed => {
                let lost = || ExecEvent::Lost(self.reason());
                let _ = self.events.send(ended.unwrap_or_else(lost)).await;
            }
            Stop::Cut => {
                let reason = self.session.shared.reason();
                let reason = reason.unwrap_or_else(|| "it ended before all of the output had arrived".into());
                let _ = self.events.send(ExecEvent::Lost(reason)).await;
            }
            Stop::Quiet => {
                let _ = write.close().await;
                if let Some(event) = ended {
                    let _ = self.events.send(event).await;
                }
            }
            Stop::TimedOut(after) => {
                self.kill(&write).await;
                let _ = self.events.send(ExecEvent::TimedOut(after)).await;
            }
            Stop::Deserted => self.kill(&write).await,
        }
    }

    /// Returns once the remote side has answered, and so everything that it sent before has arrived.
    async fn answer(&self) {
        let asked = self.session.handle.send_ping().await;
        // Without an answer as well, if the connection has ended: the channel shows that.
        if asked.is_err() || self.session.handle.is_closed() {
            std::future::pending::<()>().await;
        }
    }

    async fn time_is_up(&self) -> Duration {
        match self.deadline {
            Some((at, after)) => {
                sleep_until(at).await;
                after
            }
            None => std::future::pending().await,
        }
    }

    fn reason(&self) -> String {
        let closed = self.session.shared.reason();
        closed.unwrap_or_else(|| "the remote side closed the channel without an exit status".into())
    }

    /// Closing a channel does not end its processes, and sshd accepts no signals for root: a separate
    /// command kills the processes with our mark. It needs no slot, because there are fewer slots than
    /// the remote side allows; the slot of the command is held until then.
    async fn kill(&self, write: &ChannelWriteHalf<Msg>) {
        let closing = async {
            // Only for commands without a mark: the signal could end a process while the kill command is
            // requested, which Dropbear does not handle.
            if self.token.is_none() && !self.detached {
                let _ = write.signal(Sig::TERM).await;
            }
            let _ = write.close().await;
        };
        if timeout(CLOSING, closing).await.is_err() || self.session.handle.is_closed() {
            return;
        }
        let Some(token) = &self.token else { return };
        let reaping = async {
            let mut channel = session_channel(&self.session, KILL_PATIENCE).await.ok()?;
            channel.exec(true, reaper(token)).await.ok()?;
            while !matches!(
                channel.wait().await,
                None | Some(ChannelMsg::Close | ChannelMsg::Failure)
            ) {}
            channel.close().await.ok()
        };
        let _ = timeout(KILLING, reaping).await;
    }
}

/// Waits for a future if there is one, else without end.
async fn some(future: &mut Option<BoxFuture<'_, ()>>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// A signal's name as in `kill -l`.
pub(super) fn name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(16)
            .collect(),
        known => format!("{known:?}"),
    }
}
