//! Follows a step to its end: over as many connections as needed, until its host reports the node dead or the
//! user's timeout expires. Output arrives once, complete and in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::connection::{Connection, signal_name};
use super::ended::{End, Lost, StepError};
use super::ending::{ANSWER, Ending, Limits};
use super::frame::Frame;
use super::measured::Measured;
use super::positions::Positions;
use super::way::{Gate, Sink, Way};
use super::{Step, guest, plain};
use crate::base::backoff::Pauses;
use crate::base::event::Stream;
use crate::base::patience::patience;
use crate::inventory::NotRunning;
use crate::ssh::{Ended, ExecEvent, ExecRequest, Session, SshError};

/// The pauses between attempts to reconnect.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Starts a step, or attaches to it again, and follows it to its end. Any error except [`StepError::Unconfirmed`] means
/// that nothing of the step runs on the node any more.
pub async fn follow(
    way: &Way<'_>,
    step: &Step,
    gate: Option<Gate<'_>>,
    sink: &mut dyn Sink,
) -> Result<End, StepError> {
    Follower::new(way, step, gate, sink).follow().await
}

/// Ends a step that an earlier command may have started. Never starts it.
pub(super) async fn end(way: &Way<'_>, step: &Step, sink: &mut dyn Sink) -> Result<End, StepError> {
    let mut follower = Follower::new(way, step, None, sink);
    follower.begin_to_end(Ending::Stopped);
    follower.follow().await
}

struct Follower<'a, 'b> {
    way: &'a Way<'b>,
    step: &'a Step,
    sink: &'a mut dyn Sink,
    waits: bool,
    gate: Option<Gate<'a>>,
    is_open: bool,
    positions: Positions,
    /// Boot ID of the node at its first answer.
    boot: Option<String>,
    /// Whether the node is known to have the step.
    known: bool,
    /// Whether something of the step may run on the node.
    may_run: bool,
    deadline: Instant,
    /// Whether the deadline is that of the running step.
    is_timed: bool,
    /// Whether the order to start was sent.
    sent: bool,
    /// Whether the node turned out to lack the program when we attached.
    lacks_program: bool,
    ending: Option<(Ending, Limits)>,
    report: Option<String>,
    measured: Option<Measured>,
    /// The last error of a connection.
    last: Option<String>,
}

/// How a connection ended.
enum Once {
    Ended(End),
    /// The step was ended, by us, by its own limit, or by an earlier command.
    Forced(StepError),
    /// To be retried over another connection.
    Lost(String),
    /// The node lacks the program, and nothing was started.
    Unequipped,
    /// The node lacks the program through which we would attach.
    Unreachable,
    /// The node cannot run the program.
    Unsupported,
}

/// What to react to.
enum Happened {
    Output(Option<ExecEvent>),
    Gate(bool),
    Time,
    Cancel,
    Dead(NotRunning),
}

impl<'a, 'b> Follower<'a, 'b> {
    fn new(way: &'a Way<'b>, step: &'a Step, gate: Option<Gate<'a>>, sink: &'a mut dyn Sink) -> Self {
        let waits = gate.is_some();
        Self {
            way,
            step,
            sink,
            waits,
            gate,
            is_open: !waits,
            positions: Positions::at(step.arrived.unwrap_or_default()),
            boot: None,
            known: step.arrived.is_some(),
            may_run: step.begun || step.arrived.is_some_and(|arrived| arrived != [0; 2]),
            deadline: Instant::now() + way.start_timeout,
            is_timed: false,
            sent: false,
            lacks_program: false,
            ending: None,
            report: None,
            measured: None,
            last: None,
        }
    }

    async fn follow(mut self) -> Result<End, StepError> {
        match self.run().await {
            Err(error) if self.may_run && !error.proves_the_end() => {
                Err(StepError::Unconfirmed(Box::new(error)))
            }
            ended => ended,
        }
    }

    async fn run(&mut self) -> Result<End, StepError> {
        let mut pauses = Pauses::new(patience(FIRST_PAUSE), patience(LONGEST_PAUSE), 150);
        let mut brings = 0;
        loop {
            let began = Instant::now();
            let Some(session) = self.session().await? else {
                self.pause(&mut pauses).await?;
                continue;
            };
            match self.once(&session).await {
                Ok(Once::Ended(end)) => return Ok(end),
                Ok(Once::Forced(error)) => return Err(error),
                Ok(Once::Lost(why)) => self.last = Some(why),
                Ok(Once::Unequipped) if brings < 2 => {
                    session.set_equipped(false);
                    brings += 1;
                    continue;
                }
                // Another version of the program may have started it.
                Ok(Once::Unreachable) if !self.lacks_program => {
                    session.set_equipped(false);
                    self.lacks_program = true;
                    continue;
                }
                Ok(Once::Unreachable) => return Err(StepError::Rebooted),
                Ok(Once::Unequipped | Once::Unsupported) => {
                    // A plain command ends with its connection.
                    self.may_run = false;
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
                if let Some((_, limits)) = &mut self.ending {
                    limits.renew();
                }
            }
            self.pause(&mut pauses).await?;
        }
    }

    /// The node's session; `None` if there is none yet.
    async fn session(&mut self) -> Result<Option<Arc<Session>>, StepError> {
        let limit = self.limit();
        let session = tokio::select! {
            // First, so that nothing is started over a session that is open already.
            biased;
            () = self.way.cancel.cancelled(), if self.may_interrupt() => {
                self.interrupted_without_session();
                return Ok(None);
            }
            session = timeout_at(limit, self.way.nodes.session(self.way.node)) => session,
        };
        match session {
            Ok(Ok(session)) => Ok(Some(session)),
            Ok(Err(SshError::NotRunning(why))) => Err(StepError::Dead(why)),
            // Wait for a broken path to return; once the step was sent, wait for its node in any case.
            Ok(Err(error))
                if matches!(error, SshError::Lost { .. }) || (self.sent && !error.is_refusal()) =>
            {
                self.last = Some(error.to_string());
                Ok(None)
            }
            Ok(Err(error)) => Err(StepError::Ssh(error)),
            Err(_) => Ok(None),
        }
    }

    /// Whether an interrupt makes a difference.
    fn may_interrupt(&self) -> bool {
        !matches!(self.ending, Some((Ending::Interrupted, _)))
    }

    fn interrupted_without_session(&mut self) {
        self.begin_to_end(Ending::Interrupted);
        if !self.may_run {
            self.ending = Some((Ending::Interrupted, Limits::none()));
        }
    }

    fn begin_to_end(&mut self, ending: Ending) {
        self.ending = Some((ending, Limits::of(ending, self.way.start_timeout)));
    }

    /// Until when to wait: the user's timeout, or that of the ending.
    fn limit(&self) -> Instant {
        self.ending.map_or(self.deadline, |(_, limits)| limits.last)
    }

    /// Waits before the next attempt.
    async fn pause(&mut self, pauses: &mut Pauses) -> Result<(), StepError> {
        self.check_time()?;
        let limit = self.limit();
        tokio::select! {
            () = sleep(pauses.next_with_jitter()) => {}
            () = sleep_until(limit) => {}
            () = self.way.cancel.cancelled(), if self.may_interrupt() => self.interrupted_without_session(),
            why = self.way.nodes.dead(self.way.node) => return Err(StepError::Dead(why)),
        }
        self.check_time()
    }

    /// An error once the time is over and the step cannot be ended over a connection.
    fn check_time(&mut self) -> Result<(), StepError> {
        if let Some((ending, limits)) = self.ending {
            return if limits.are_over() {
                Err(self.given_up(ending))
            } else {
                Ok(())
            };
        }
        if Instant::now() < self.deadline {
            return Ok(());
        }
        if !self.sent {
            return Err(StepError::NoLogin {
                after: self.way.start_timeout,
                last: self.last.take(),
            });
        }
        // It may have ended in time while we could not see it. If not, it still gets the order to end.
        self.begin_to_end(Ending::TimedOut);
        Ok(())
    }

    /// The error of a step that has ended for this reason.
    fn ended_by(&mut self, ending: Ending) -> StepError {
        match ending {
            Ending::TimedOut => StepError::TimedOut {
                after: self.step.timeout,
                doing: self.report.take(),
            },
            Ending::Interrupted => StepError::Interrupted,
            Ending::Barrier => StepError::Barrier,
            Ending::Stopped => StepError::Stopped,
            Ending::Before => StepError::EndedBefore,
        }
    }

    /// The error of a step whose end the node did not confirm.
    fn given_up(&mut self, ending: Ending) -> StepError {
        match ending {
            Ending::Stopped => StepError::NoAnswer {
                last: self.last.take(),
            },
            other => self.ended_by(other),
        }
    }

    /// Works over one connection.
    async fn once(&mut self, session: &Arc<Session>) -> Result<Once, StepError> {
        // A step that is to be ended must not be started first.
        let attaches = self.known || self.ending.is_some();
        let brings = !session.is_equipped() && (!attaches || self.lacks_program);
        if brings && guest::PROGRAM.is_empty() {
            return Ok(if attaches {
                Once::Unreachable
            } else {
                Once::Unsupported
            });
        }
        let line = if attaches {
            guest::attach(self.step, self.positions.arrived())
        } else {
            guest::run(self.step, self.waits)
        };
        let line = if brings { guest::bring_and(&line) } else { line };
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
        // A request that we give up may still start it.
        let may_have_run = self.may_run;
        self.may_run |= !attaches;
        let limit = self.limit();
        let opened = tokio::select! {
            opened = session.stream_with_input(&request, pieces) => opened,
            () = sleep_until(limit) => return Ok(Once::Lost("the node opened no channel".into())),
            why = self.way.nodes.dead(self.way.node) => return Err(StepError::Dead(why)),
            () = self.way.cancel.cancelled(), if self.may_interrupt() => {
                self.interrupted_without_session();
                return Ok(Once::Lost("interrupted".into()));
            }
        };
        let mut output = match opened {
            Ok(output) => output,
            Err(error @ SshError::Channel { .. }) => {
                self.may_run = may_have_run;
                return Ok(Once::Lost(error.to_string()));
            }
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
        let call = (attaches, brings);
        let mut connection = Connection::new(session.clone(), orders, call, may_have_run, waits);
        let dead = self.way.nodes.dead_while_probed(self.way.node, session);
        tokio::pin!(dead);
        loop {
            let limit = self.limit();
            let at_gate = connection.greeted && self.gate.is_some();
            let cancel = self.way.cancel;
            let happened = tokio::select! {
                event = output.recv() => Happened::Output(event),
                open = opening(&mut self.gate), if at_gate => Happened::Gate(open),
                () = sleep_until(limit) => Happened::Time,
                () = cancel.cancelled(), if self.may_interrupt() => Happened::Cancel,
                why = &mut dead => Happened::Dead(why),
            };
            match happened {
                Happened::Output(Some(event)) => {
                    if let Some(once) = self.on_event(&mut connection, event)? {
                        if matches!(once, Once::Ended(_) | Once::Forced(_)) {
                            // Lets the last order be sent. The channel's slot is free only when the node has closed
                            // the channel.
                            tokio::spawn(async move {
                                let rest = async { while output.recv().await.is_some() {} };
                                let _ = tokio::time::timeout(patience(ANSWER), rest).await;
                            });
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
                    Some((ending, _)) => return Err(self.given_up(ending)),
                    None => self.end(&connection, Ending::TimedOut),
                },
                Happened::Cancel => self.end(&connection, Ending::Interrupted),
                Happened::Dead(why) => return Err(StepError::Dead(why)),
            }
        }
    }

    fn open(&mut self, connection: &Connection) {
        self.runs(Duration::ZERO);
        connection.order(b'g', [0; 2]);
    }

    /// The step has started, in this command or an earlier one: it waits for no gate, and its time runs.
    fn runs(&mut self, ran: Duration) {
        self.gate = None;
        self.is_open = true;
        self.waits = false;
        // Only once: a node must not be able to extend its time.
        if !self.is_timed {
            self.is_timed = true;
            self.deadline = Instant::now() + self.step.timeout.saturating_sub(ran);
        }
        self.sink.started();
    }

    fn end(&mut self, connection: &Connection, ending: Ending) {
        self.begin_to_end(ending);
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
            ExecEvent::Ended(Ended::Exit(code)) => {
                if code != 0 {
                    // This connection started nothing.
                    self.may_run = connection.may_have_run;
                }
                self.refused(connection, code).map(Some)
            }
            ExecEvent::Ended(ended) => Err(connection.start_error(&ended.reason())),
            ExecEvent::TimedOut(_) => Ok(None),
        }
    }

    /// The program ended without a frame. 126 and 127: it is not executable or not there, perhaps because the node
    /// rebooted and lost it.
    fn refused(&mut self, connection: &Connection, code: u32) -> Result<Once, StepError> {
        if !matches!(code, 126 | 127) {
            return Err(connection.start_error(&Ended::Exit(code).reason()));
        }
        match (connection.attaches, self.ending) {
            (true, _) if self.may_run => Ok(Once::Unreachable),
            (true, Some((ending, _))) => Err(self.ended_by(ending)),
            (true, None) => Err(StepError::Gone),
            (false, _) if connection.brings => Ok(Once::Unsupported),
            (false, _) => Ok(Once::Unequipped),
        }
    }

    fn frame(&mut self, connection: &mut Connection, frame: Frame) -> Result<Option<Once>, StepError> {
        let is_first = matches!(frame, Frame::Hello { .. } | Frame::Gone { .. });
        if is_first == connection.greeted {
            let what = if is_first { "two greetings" } else { "no greeting" };
            return Err(StepError::Nonsense(what.into()));
        }
        match frame {
            Frame::Hello { boot, from, ran } => self.greeted(connection, boot, from, ran)?,
            Frame::Stdout(bytes) => self.take(connection, Stream::Stdout, &bytes)?,
            Frame::Stderr(bytes) => self.take(connection, Stream::Stderr, &bytes)?,
            Frame::Report(text) => self.report = Some(text),
            Frame::Measured(measured) => self.measured = Some(measured.only(&self.step.watch)),
            Frame::Gone { boot } => {
                self.may_run = false;
                return Err(match (&self.boot, self.ending) {
                    (Some(before), _) if *before != boot => StepError::Rebooted,
                    (None, Some((ending, _))) if self.step.arrived.is_none() => self.ended_by(ending),
                    (None, _) if self.step.begun && self.way.has_rebooted(&boot) => StepError::Rebooted,
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
                    lost: self.positions.lost(),
                    measured: self.measured.take(),
                };
                let forced = self.forced(limit).map(|ending| self.ended_by(ending));
                self.sink.ended(&end, forced.as_ref())?;
                self.may_run = false;
                connection.order(b'q', [0; 2]);
                return Ok(Some(match forced {
                    Some(error) => Once::Forced(error),
                    None => Once::Ended(end),
                }));
            }
        }
        Ok(None)
    }

    /// Why the step was ended; `None` if it ended by itself. Without a report there was nothing left to end.
    fn forced(&self, limit: bool) -> Option<Ending> {
        match self.ending {
            Some((ending, _)) if self.report.is_some() || self.waits => Some(ending),
            // An earlier command ended it before it started.
            None if self.waits => Some(Ending::Barrier),
            _ if limit => Some(Ending::TimedOut),
            None if self.report.is_some() => Some(Ending::Before),
            _ => None,
        }
    }

    fn greeted(
        &mut self,
        connection: &mut Connection,
        boot: String,
        from: [u64; 2],
        ran: Option<Duration>,
    ) -> Result<(), StepError> {
        connection.waits = None;
        connection.greeted = true;
        connection.session.set_equipped(true);
        self.known = true;
        self.may_run = true;
        match &self.boot {
            Some(before) if *before != boot => return Err(StepError::Rebooted),
            _ => self.boot = Some(boot),
        }
        if matches!(self.ending, Some((Ending::Stopped, _))) {
            // No output is wanted, but it must be confirmed: a supervisor whose memory is full does not end.
            self.positions.pass_over(from);
        }
        let resumed = self.positions.resume(from);
        connection.skip = resumed.again;
        let Lost { stdout, stderr } = resumed.lost;
        for (stream, lost) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            if lost > 0 {
                self.sink.lost(stream, lost)?;
            }
        }
        if self.ending.is_some() {
            connection.order(b'k', [0; 2]);
        }
        match ran {
            Some(ran) => self.runs(ran),
            // From here on the gate has its own timeout; this one is for a node that cannot be reached again.
            None if self.gate.is_some() => self.deadline = Instant::now() + 2 * self.way.start_timeout,
            None if self.is_open && self.ending.is_none() => connection.order(b'g', [0; 2]),
            None => {}
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
        let Some(arrived) = self.positions.after(index, new.len()) else {
            return Err(StepError::Nonsense("output beyond the last position".into()));
        };
        self.sink.take(stream, new)?;
        if let Some(positions) = self.positions.advance(index, arrived) {
            connection.order(b'a', positions);
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
