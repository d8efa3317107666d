//! Follows a step to its end: over as many connections as needed, until its host reports the node dead or the
//! user's timeout expires. Output arrives once, complete and in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::connection::{Connection, probe, signal_name};
use super::ended::{End, Lost, StepError};
use super::frame::Frame;
use super::way::{Gate, Sink, Way};
use super::{Step, guest, plain};
use crate::base::backoff::Pauses;
use crate::base::event::Stream;
use crate::base::patience::patience;
use crate::ssh::{Ended, ExecEvent, ExecRequest, Session, SshError};

/// Output that may be unconfirmed, in bytes. Less than the supervisor's buffer, so that it never waits for us.
const CONFIRM: u64 = 256 << 10;

/// The pauses between attempts to reconnect.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long a node may take to end a step and to report what it was doing.
const ENDING: Duration = Duration::from_secs(10);

/// Starts a step, or attaches to it again, and follows it to its end.
pub async fn follow(
    way: &Way<'_>,
    step: &Step,
    gate: Option<Gate<'_>>,
    sink: &mut dyn Sink,
) -> Result<End, StepError> {
    let waits = gate.is_some();
    let mut follower = Follower {
        way,
        step,
        sink,
        waits,
        gate,
        is_open: !waits,
        arrived: step.arrived.unwrap_or_default(),
        confirmed: step.arrived.unwrap_or_default(),
        lost: Lost::default(),
        boot: None,
        known: step.arrived.is_some(),
        deadline: Instant::now() + way.start_timeout,
        sent: false,
        ending: None,
        report: None,
    };
    follower.run().await
}

/// Why a step is being ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    TimedOut,
    Interrupted,
    Barrier,
}

struct Follower<'a, 'b> {
    way: &'a Way<'b>,
    step: &'a Step,
    sink: &'a mut dyn Sink,
    waits: bool,
    gate: Option<Gate<'a>>,
    is_open: bool,
    /// Positions up to which output arrived, and up to which it was confirmed.
    arrived: [u64; 2],
    confirmed: [u64; 2],
    lost: Lost,
    /// Boot ID of the node at its first answer.
    boot: Option<String>,
    /// Whether the node is known to have the step.
    known: bool,
    deadline: Instant,
    /// Whether the order to start was sent.
    sent: bool,
    ending: Option<(Ending, Instant)>,
    report: Option<String>,
}

/// How a connection ended.
enum Once {
    Ended(End),
    /// The step was ended by us or by its own limit.
    Forced(Ending),
    /// To be retried over another connection.
    Lost(String),
    /// The node lacks the program.
    Unequipped,
    /// The node cannot run the program.
    Unsupported,
}

/// What to react to.
enum Happened {
    Output(Option<ExecEvent>),
    Gate(bool),
    Time,
    Cancel,
    Dead(String),
}

impl Follower<'_, '_> {
    async fn run(&mut self) -> Result<End, StepError> {
        let mut pauses = Pauses::new(patience(FIRST_PAUSE), patience(LONGEST_PAUSE), 150);
        let mut last = None;
        let mut brings = 0;
        loop {
            let began = Instant::now();
            let Some(session) = self.session(&mut last).await? else {
                self.pause(&mut pauses, last.as_deref()).await?;
                continue;
            };
            match self.once(&session).await {
                Ok(Once::Ended(end)) => return Ok(end),
                Ok(Once::Forced(ending)) => return Err(self.ended_by(ending)),
                Ok(Once::Lost(why)) => last = Some(why),
                Ok(Once::Unequipped) if brings < 2 => {
                    session.set_equipped(false);
                    brings += 1;
                    continue;
                }
                Ok(Once::Unequipped | Once::Unsupported) => {
                    let (gate, is_open) = (self.gate.take(), self.is_open);
                    return plain::run(self.way, self.step, &session, gate, is_open, &mut *self.sink).await;
                }
                Err(error) => {
                    if matches!(error, StepError::Dead(_) | StepError::Rebooted) {
                        session.cut();
                    }
                    return Err(error);
                }
            }
            if began.elapsed() > patience(LONGEST_PAUSE) {
                pauses.reset();
            }
            self.pause(&mut pauses, last.as_deref()).await?;
        }
    }

    /// The node's session; `None` if there is none yet.
    async fn session(&mut self, last: &mut Option<String>) -> Result<Option<Arc<Session>>, StepError> {
        let limit = self.limit();
        let session = tokio::select! {
            session = timeout_at(limit, self.way.nodes.session(self.way.node)) => session,
            () = self.way.cancel.cancelled(), if self.ending.is_none() => {
                self.interrupted_without_session();
                return Ok(None);
            }
        };
        match session {
            Ok(Ok(session)) => Ok(Some(session)),
            Ok(Err(SshError::Stopped(why))) => Err(StepError::Dead(why)),
            // Wait for a broken path to return; once the step was sent, wait for its node in any case.
            Ok(Err(error))
                if matches!(error, SshError::Lost { .. }) || (self.sent && !error.is_refusal()) =>
            {
                *last = Some(error.to_string());
                Ok(None)
            }
            Ok(Err(error)) => Err(StepError::Ssh(error)),
            Err(_) => Ok(None),
        }
    }

    fn interrupted_without_session(&mut self) {
        // Nothing runs there if no order to start was sent.
        let time = if self.sent {
            patience(ENDING)
        } else {
            Duration::ZERO
        };
        self.ending = Some((Ending::Interrupted, Instant::now() + time));
    }

    /// Until when to wait: the user's timeout, or that of the ending.
    fn limit(&self) -> Instant {
        self.ending.map_or(self.deadline, |(_, until)| until)
    }

    /// Waits before the next attempt.
    async fn pause(&mut self, pauses: &mut Pauses, last: Option<&str>) -> Result<(), StepError> {
        self.judge_time(last)?;
        let limit = self.limit();
        tokio::select! {
            () = sleep(pauses.next_with_jitter()) => {}
            () = sleep_until(limit) => {}
            () = self.way.cancel.cancelled(), if self.ending.is_none() => self.interrupted_without_session(),
            why = self.way.nodes.dead(self.way.node) => return Err(StepError::Dead(why)),
        }
        self.judge_time(last)
    }

    /// An error once the time is over and the step cannot be ended over a connection.
    fn judge_time(&mut self, last: Option<&str>) -> Result<(), StepError> {
        let now = Instant::now();
        if let Some((ending, until)) = self.ending {
            return if now >= until {
                Err(self.ended_by(ending))
            } else {
                Ok(())
            };
        }
        if now < self.deadline {
            return Ok(());
        }
        if !self.sent {
            return Err(StepError::NoLogin {
                after: self.way.start_timeout,
                last: last.map(str::to_owned),
            });
        }
        // If the node can be reached again within this time, it still gets the order to end the step.
        self.ending = Some((Ending::TimedOut, now + patience(ENDING)));
        Ok(())
    }

    fn ended_by(&mut self, ending: Ending) -> StepError {
        match ending {
            Ending::TimedOut => StepError::TimedOut {
                after: self.step.timeout,
                doing: self.report.take(),
            },
            Ending::Interrupted => StepError::Interrupted,
            Ending::Barrier => StepError::Barrier,
        }
    }

    /// Works over one connection.
    async fn once(&mut self, session: &Arc<Session>) -> Result<Once, StepError> {
        // A step that is to be ended must not be started first.
        let attaches = self.known || self.ending.is_some();
        let brings = !attaches && !session.is_equipped();
        if brings && guest::PROGRAM.is_empty() {
            return Ok(Once::Unsupported);
        }
        let line = match (attaches, brings) {
            (true, _) => guest::attach(self.step, self.arrived),
            (false, true) => guest::bring_and_run(self.step, self.waits),
            (false, false) => guest::run(self.step, self.waits),
        };
        let request = ExecRequest {
            command: format!("exec {}", self.way.nodes.as_root(self.way.node, &line)),
            detached: true,
            ..ExecRequest::default()
        };
        let (orders, pieces) = mpsc::channel(64);
        let waits = self.way.nodes.waits(self.way.node);
        if brings {
            let _ = orders.send(guest::PROGRAM.to_vec()).await;
        }
        let limit = self.limit();
        let opened = tokio::select! {
            opened = session.stream_with_input(&request, pieces) => opened,
            () = sleep_until(limit) => return Ok(Once::Lost("the node opened no channel".into())),
            why = self.way.nodes.dead(self.way.node) => return Err(StepError::Dead(why)),
            () = self.way.cancel.cancelled(), if self.ending.is_none() => {
                self.interrupted_without_session();
                return Ok(Once::Lost("interrupted".into()));
            }
        };
        let mut output = match opened {
            Ok(output) => output,
            Err(error) if error.is_transient() => return Ok(Once::Lost(error.to_string())),
            Err(error) => return Err(StepError::Ssh(error)),
        };
        if !self.sent {
            self.sent = true;
            // The timeout covers only the step: the time of the login does not count.
            if !self.waits {
                self.deadline = Instant::now() + self.step.timeout;
            }
        }
        let mut connection = Connection::new(session.clone(), orders, brings, waits);
        let probe = probe(self.way, session);
        tokio::pin!(probe);
        let dead = self.way.nodes.dead(self.way.node);
        tokio::pin!(dead);
        loop {
            let limit = self.limit();
            let at_gate = connection.greeted && self.gate.is_some();
            let cancel = self.way.cancel;
            let happened = tokio::select! {
                event = output.recv() => Happened::Output(event),
                open = opening(&mut self.gate), if at_gate => Happened::Gate(open),
                () = sleep_until(limit) => Happened::Time,
                () = cancel.cancelled(), if self.ending.is_none() => Happened::Cancel,
                why = &mut dead => Happened::Dead(why),
                () = &mut probe => continue,
            };
            match happened {
                Happened::Output(Some(event)) => {
                    if let Some(once) = self.on_event(&mut connection, event)? {
                        if matches!(once, Once::Ended(_) | Once::Forced(_)) {
                            // Lets the last order be sent. The channel's slot is free only when the node has closed
                            // the channel.
                            tokio::spawn(async move { while output.recv().await.is_some() {} });
                        }
                        return Ok(once);
                    }
                }
                Happened::Output(None) => return Ok(Once::Lost("the connection ended".into())),
                Happened::Gate(open) => {
                    self.gate = None;
                    if open {
                        self.open(&connection);
                    } else {
                        self.end(&connection, Ending::Barrier);
                    }
                }
                Happened::Time => match self.ending {
                    Some((ending, _)) => return Err(self.ended_by(ending)),
                    None => self.end(&connection, Ending::TimedOut),
                },
                Happened::Cancel => self.end(&connection, Ending::Interrupted),
                Happened::Dead(why) => return Err(StepError::Dead(why)),
            }
        }
    }

    fn open(&mut self, connection: &Connection) {
        self.is_open = true;
        self.waits = false;
        self.deadline = Instant::now() + self.step.timeout;
        connection.order(b'g', [0; 2]);
    }

    fn end(&mut self, connection: &Connection, ending: Ending) {
        self.ending = Some((ending, Instant::now() + patience(ENDING)));
        // A supervisor that has not greeted yet gets the order when it does: an earlier one may not reach it.
        if connection.greeted {
            connection.order(b'k', [0; 2]);
        }
    }

    fn on_event(&mut self, connection: &mut Connection, event: ExecEvent) -> Result<Option<Once>, StepError> {
        match event {
            ExecEvent::Stdout(bytes) => {
                let frames = connection.frames.push(&bytes);
                let frames = frames.map_err(|error| StepError::Nonsense(error.to_string()))?;
                for frame in frames {
                    if let Some(once) = self.frame(connection, frame)? {
                        return Ok(Some(once));
                    }
                }
                Ok(None)
            }
            ExecEvent::Stderr(bytes) => {
                connection.keep_errors(&bytes);
                Ok(None)
            }
            ExecEvent::Lost(why) => Ok(Some(Once::Lost(why))),
            ExecEvent::Ended(_) if connection.greeted => {
                Ok(Some(Once::Lost("another command follows the step".into())))
            }
            ExecEvent::Ended(Ended::Exit(126 | 127)) if connection.brings => Ok(Some(Once::Unsupported)),
            // Not executable or not there: the node rebooted and lost it.
            ExecEvent::Ended(Ended::Exit(126 | 127)) if !self.known && self.ending.is_none() => {
                Ok(Some(Once::Unequipped))
            }
            ExecEvent::Ended(Ended::Exit(126 | 127)) => Err(match self.ending {
                Some((ending, _)) if self.boot.is_none() && self.step.arrived.is_none() => {
                    self.ended_by(ending)
                }
                _ => StepError::Rebooted,
            }),
            ExecEvent::Ended(ended) => Err(connection.start_error(&ended.reason())),
            ExecEvent::TimedOut(_) => Ok(None),
        }
    }

    fn frame(&mut self, connection: &mut Connection, frame: Frame) -> Result<Option<Once>, StepError> {
        match frame {
            Frame::Hello { boot, from, waits } => self.greeted(connection, boot, from, waits)?,
            Frame::Stdout(bytes) => self.take(connection, Stream::Stdout, &bytes)?,
            Frame::Stderr(bytes) => self.take(connection, Stream::Stderr, &bytes)?,
            Frame::Report(text) => self.report = Some(text),
            Frame::Gone { boot } => {
                return Err(match (&self.boot, self.ending) {
                    (Some(before), _) if *before != boot => StepError::Rebooted,
                    (None, Some((ending, _))) if self.step.arrived.is_none() => self.ended_by(ending),
                    _ => StepError::Gone,
                });
            }
            Frame::End {
                code,
                milliseconds,
                limit,
            } => {
                let end = End {
                    ended: match code {
                        Ok(code) => Ended::Exit(code),
                        Err(number) => Ended::Signal(signal_name(number)),
                    },
                    took: Duration::from_millis(milliseconds),
                    lost: self.lost,
                };
                // Without a report there was nothing left to end: the step had ended on its own.
                let forced = self
                    .ending
                    .map(|(ending, _)| ending)
                    .filter(|_| self.report.is_some() || self.waits);
                let forced = forced.or(limit.then_some(Ending::TimedOut));
                if forced.is_none() {
                    self.sink.ended(&end)?;
                }
                connection.order(b'q', [0; 2]);
                return Ok(Some(match forced {
                    Some(ending) => Once::Forced(ending),
                    None => Once::Ended(end),
                }));
            }
        }
        Ok(None)
    }

    fn greeted(
        &mut self,
        connection: &mut Connection,
        boot: String,
        from: [u64; 2],
        waits: bool,
    ) -> Result<(), StepError> {
        connection.waits = None;
        connection.greeted = true;
        connection.session.set_equipped(true);
        self.known = true;
        match &self.boot {
            Some(before) if *before != boot => return Err(StepError::Rebooted),
            _ => self.boot = Some(boot),
        }
        for (index, from) in from.into_iter().enumerate() {
            let arrived = &mut self.arrived[index];
            let lost = from.saturating_sub(*arrived);
            connection.skip[index] = arrived.saturating_sub(from);
            *arrived += lost;
            match index {
                0 => self.lost.stdout += lost,
                _ => self.lost.stderr += lost,
            }
        }
        if self.ending.is_some() {
            connection.order(b'k', [0; 2]);
        }
        if self.gate.is_some() && waits {
            // From here on the gate has its own timeout; this one is for a node that cannot be reached again.
            self.deadline = Instant::now() + 2 * self.way.start_timeout;
        }
        if !waits {
            self.waits = false;
        } else if self.is_open {
            connection.order(b'g', [0; 2]);
        }
        Ok(())
    }

    fn take(&mut self, connection: &mut Connection, stream: Stream, bytes: &[u8]) -> Result<(), StepError> {
        let index = usize::from(stream == Stream::Stderr);
        let known = usize::try_from(connection.skip[index])
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        connection.skip[index] -= known as u64;
        let new = &bytes[known..];
        self.sink.take(stream, new)?;
        self.arrived[index] += new.len() as u64;
        if self.arrived[index] - self.confirmed[index] >= CONFIRM {
            self.confirmed = self.arrived;
            connection.order(b'a', self.arrived);
        }
        Ok(())
    }
}

async fn opening(gate: &mut Option<Gate<'_>>) -> bool {
    match gate {
        Some(gate) => gate.await,
        None => std::future::pending().await,
    }
}
