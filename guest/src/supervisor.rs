//! The supervisor: keeps the step's output and exit code until the controller has them, and executes orders. The
//! protocol is in `wire.rs`.

use crate::channel::{Channel, Sending};
use crate::measure::measure;
use crate::processes::Processes;
use crate::ring::{CAPACITY, Ring};
use crate::say::{self, reported};
use crate::start::{become_command, score_of_self};
use crate::step::{Start, path};
use crate::sys::{self, Fd, NONE, READABLE, WRITABLE, Watch};
use crate::wire::{ORDER, OWNER, Order, REQUEST, TAKEN, positions};

/// How long silent output may stay open after the command has ended (inherited by a daemon).
const GRACE_MS: u64 = 2000;

/// Time from SIGTERM to SIGKILL, and between further SIGKILLs.
const INSIST_MS: u64 = 1000;
const AGAIN_MS: u64 = 200;

const PIECE: usize = 32 << 10;

/// Removes the files of a step.
pub(crate) fn clean(id: &[u8]) {
    sys::unlink(path(id, b"/socket").bytes());
    sys::remove_directory(path(id, b"").bytes());
}

/// A stage of ending a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Force {
    No,
    /// SIGTERM was sent; SIGKILL is due at this time.
    Asked(u64),
    Insisted(u64),
}

struct Supervisor<'a> {
    step: &'a Start<'a>,
    owner: [u8; OWNER],
    listener: Fd,
    children: Fd,
    pipes: [Fd; 2],
    rings: [Ring; 2],
    channel: Channel,
    /// A byte starts the waiting command; closing it without one ends the command.
    start: Fd,
    main: i32,
    /// When the command was started; `None` as long as it waits.
    began: Option<u64>,
    /// Wait status and time of the main process.
    ended: Option<(i32, u64)>,
    last_output: u64,
    force: Force,
    limited: bool,
    reported: bool,
    /// Whether no process of a step that was ended is left.
    all_gone: bool,
    /// Bytes read after that.
    drained: usize,
}

// One step per process, so this can be static; it is too large for a stack.
static mut PROCESSES: Processes = Processes::new();

fn processes() -> &'static mut Processes {
    let at = &raw mut PROCESSES;
    // SAFETY: one thread, and no two borrows at once: each is used within one statement.
    unsafe { &mut *at }
}

/// Runs the command and continues until the controller has everything. Never returns.
pub(crate) fn supervise(step: &Start, listener: Fd, holder: Fd) -> ! {
    sys::new_session();
    sys::close(2);
    let mut before = [0; 16];
    let score = sys::file(b"/proc/self/oom_score_adj\0", &mut before);
    score_of_self(b"-1000");
    sys::adopt_orphans();
    for signal in [sys::SIGHUP, sys::SIGINT, sys::SIGPIPE, sys::SIGTERM] {
        sys::ignore(signal, true);
    }
    sys::block_child_signal(true);
    let (Ok(children), Ok(out), Ok(err), Ok(go), Ok(first), Ok(second)) = (
        sys::child_signal(),
        sys::pipe(),
        sys::pipe(),
        sys::pipe(),
        Ring::new(),
        Ring::new(),
    ) else {
        clean(step.id);
        sys::exit(71)
    };
    let main = match sys::fork() {
        Ok(0) => become_command(step, go, [out.1, err.1], score),
        Ok(pid) => pid,
        Err(_) => {
            clean(step.id);
            sys::exit(71)
        }
    };
    sys::wipe(step.command);
    for fd in [out.1, err.1, go.0] {
        sys::close(fd);
    }
    for fd in [out.0, err.0, 0, 1] {
        sys::set_blocking(fd, false);
    }
    let now = sys::now();
    let mut supervisor = Supervisor {
        step,
        owner: [0; OWNER],
        listener,
        children,
        pipes: [out.0, err.0],
        rings: [first, second],
        channel: Channel::over(0, 1, holder),
        start: go.1,
        main,
        began: None,
        ended: None,
        last_output: now,
        force: Force::No,
        limited: false,
        reported: false,
        all_gone: false,
        drained: 0,
    };
    supervisor.set_owner(step.owner);
    if !step.waits {
        supervisor.let_start();
    }
    supervisor.work();
    clean(step.id);
    supervisor.channel.let_go();
    sys::exit(0)
}

impl Supervisor<'_> {
    fn set_owner(&mut self, owner: &[u8]) {
        self.owner = [0; OWNER];
        let length = owner.len().min(OWNER);
        self.owner[..length].copy_from_slice(&owner[..length]);
    }

    fn let_start(&mut self) {
        if self.start != NONE {
            if self.step.measures {
                measure().begin(&self.step.watched);
            }
            let _ = sys::write(self.start, b".");
            sys::close(self.start);
            self.start = NONE;
            self.began = Some(sys::now());
        }
    }

    /// Whether what is used counts: from the start of the command to its end.
    fn measures(&self) -> bool {
        self.step.measures && self.began.is_some() && self.ended.is_none()
    }

    fn is_over(&self) -> bool {
        self.ended.is_some() && self.pipes == [NONE; 2] && (self.force == Force::No || self.all_gone)
    }

    /// Whether the command has ended and nothing can write any more, although a pipe may not be read to its end yet.
    fn is_complete(&self) -> bool {
        let ends = |pipe: &Fd| *pipe == NONE || sys::has_no_writer(*pipe);
        self.ended.is_some() && self.pipes.iter().all(ends)
    }

    /// Whether a pipe is not read because its ring is full. Then a pause in the output is no silence of the step.
    fn is_blocked(&self) -> bool {
        (0..2).any(|index| self.pipes[index] != NONE && !self.rings[index].has_room())
    }

    fn work(&mut self) {
        loop {
            let was_blocked = self.is_blocked();
            let mut watches = [
                watch(self.children, READABLE),
                watch(self.listener, READABLE),
                watch(
                    if self.rings[0].has_room() {
                        self.pipes[0]
                    } else {
                        NONE
                    },
                    READABLE,
                ),
                watch(
                    if self.rings[1].has_room() {
                        self.pipes[1]
                    } else {
                        NONE
                    },
                    READABLE,
                ),
                watch(self.channel.input, READABLE),
                watch(
                    self.channel.output,
                    if self.has_something_to_say() { WRITABLE } else { 0 },
                ),
            ];
            sys::poll(&mut watches, self.patience());
            let [children, listener, out, err, input, output] = watches.map(|watch| watch.found);
            if children != 0 {
                self.reap();
            }
            for (index, found) in [out, err].into_iter().enumerate() {
                if found != 0 {
                    self.take_in(index);
                }
            }
            if input != 0 && self.receive() {
                return;
            }
            if self.channel.is_there() && output & WRITABLE != 0 {
                self.say();
            } else if self.channel.is_there() && output & sys::BROKEN != 0 {
                self.channel.let_go();
            }
            if listener != 0 && self.answer() {
                return;
            }
            if was_blocked {
                self.last_output = sys::now();
            }
            self.on_time();
        }
    }

    /// Milliseconds until something is due; -1 if nothing is.
    fn patience(&self) -> i64 {
        let now = sys::now();
        let mut due = u64::MAX;
        if let Some(at) = self.grace_ends() {
            due = due.min(at);
        }
        match self.force {
            Force::Asked(at) | Force::Insisted(at) if !self.all_gone => due = due.min(at),
            _ => {}
        }
        for at in [self.limit_at(), measure().due()].into_iter().flatten() {
            due = due.min(at);
        }
        if due == u64::MAX {
            -1
        } else {
            due.saturating_sub(now) as i64
        }
    }

    /// When the output of a command that has ended is closed if it stays silent.
    fn grace_ends(&self) -> Option<u64> {
        let waits = self.ended.is_some() && self.pipes != [NONE; 2] && !self.is_blocked();
        waits.then(|| self.last_output + GRACE_MS)
    }

    /// When the step is ended without an order. Never once it is complete: what it left in the background may stay.
    fn limit_at(&self) -> Option<u64> {
        let began = self.began?;
        let runs = self.step.limit > 0 && self.force == Force::No && !self.is_complete();
        runs.then(|| began + self.step.limit)
    }

    fn on_time(&mut self) {
        measure().on_time(&self.step.watched);
        if self.limit_at().is_some_and(|at| sys::now() >= at) {
            self.limited = self.end();
        }
        let now = sys::now();
        // The last read is for what was written since `poll`.
        if self.grace_ends().is_some_and(|at| now >= at) && self.take_in(0) + self.take_in(1) == 0 {
            self.close_pipes();
        }
        match self.force {
            Force::Asked(at) | Force::Insisted(at) if now >= at && !self.all_gone => {
                if processes().look() == 0 && self.ended.is_some() {
                    self.all_gone = true;
                } else {
                    self.signal(sys::SIGKILL);
                    self.force = Force::Insisted(now + AGAIN_MS);
                }
            }
            _ => {}
        }
        if self.all_gone {
            self.drain();
        }
    }

    /// Sends a signal to all processes that were just listed, and to the command even if the table had no room for it.
    fn signal(&self, signal: i32) {
        processes().signal(signal);
        if self.ended.is_none() && !processes().has(self.main) {
            sys::kill(self.main, signal);
        }
    }

    /// Reads what the pipes still hold, as far as there is room, and closes those that are empty: no process of the
    /// step is left that could write. A process of another service may hold a pipe; it must not keep the step open.
    fn drain(&mut self) {
        for index in 0..2 {
            loop {
                let count = self.take_in(index);
                self.drained += count;
                if count == 0 {
                    break;
                }
            }
            if self.rings[index].has_room() || self.drained > CAPACITY {
                sys::close(self.pipes[index]);
                self.pipes[index] = NONE;
            }
        }
    }

    fn close_pipes(&mut self) {
        for pipe in &mut self.pipes {
            sys::close(*pipe);
            *pipe = NONE;
        }
    }

    fn reap(&mut self) {
        let mut bytes = [0; 128];
        let _ = sys::read(self.children, &mut bytes);
        while let Some(pid) = sys::ended_child() {
            let now = sys::now();
            let measures = self.measures();
            if measures {
                measure().child_ends(&self.step.watched, pid);
            }
            let Some(status) = sys::reap(pid) else { break };
            if pid == self.main {
                self.ended = Some((status, now));
                self.last_output = now;
                if measures {
                    measure().end(&self.step.watched);
                }
            }
        }
        // Detect the end of the last one now, not only when SIGKILL is due.
        if let Force::Asked(_) | Force::Insisted(_) = self.force
            && processes().look() == 0
        {
            self.force = Force::Insisted(0);
        }
    }

    /// Reads once from a pipe: other descriptors wait as well. Returns the number of bytes; 0 if there is nothing, no
    /// room, or no pipe any more.
    fn take_in(&mut self, index: usize) -> usize {
        while self.pipes[index] != NONE && self.rings[index].has_room() {
            match self.rings[index].fill(self.pipes[index]) {
                Ok(0) => {
                    sys::close(self.pipes[index]);
                    self.pipes[index] = NONE;
                }
                Ok(count) => {
                    self.last_output = sys::now();
                    return count;
                }
                Err(sys::EINTR) => {}
                Err(_) => return 0,
            }
        }
        0
    }

    /// Sends SIGTERM to the step, after recording what it does. Returns whether there was anything to end. That the
    /// command itself has ended makes no difference: what it left in the background and still writes is ended as well.
    fn end(&mut self) -> bool {
        if self.force != Force::No || self.is_complete() {
            return false;
        }
        let found = processes().look() > 0;
        if found && self.began.is_some() {
            self.reported = true;
            reported().clear();
            if self.ended.is_some() {
                reported().push(b"the command itself has ended; the processes that it left:\n");
            }
            processes().describe(reported());
        }
        // A command that still waits for its start ends with the pipe.
        sys::close(self.start);
        self.start = NONE;
        self.signal(sys::SIGTERM);
        self.force = if found || self.ended.is_none() {
            Force::Asked(sys::now() + INSIST_MS)
        } else {
            Force::Insisted(0)
        };
        found
    }

    /// Executes all pending orders, so that the final one is handled before another command's request. Returns whether
    /// there was a final one.
    fn receive(&mut self) -> bool {
        while let Some(order) = self.channel.receive() {
            if self.execute(&order) {
                return true;
            }
        }
        false
    }

    fn execute(&mut self, order: &[u8; ORDER]) -> bool {
        match order[0] {
            b'a' => {
                let [out, err] = positions(&order[1..]);
                self.rings[0].confirm(out);
                self.rings[1].confirm(err);
            }
            b'g' => self.let_start(),
            b'k' => {
                self.end();
            }
            b'q' => return self.is_over(),
            _ => self.channel.let_go(),
        }
        false
    }

    /// Answers a request on the socket. Returns whether the supervisor must exit.
    fn answer(&mut self) -> bool {
        let Ok(socket) = sys::accept(self.listener) else {
            return false;
        };
        let mut bytes = [0; REQUEST];
        // Only root can connect, and sends one message at once.
        let (count, fds) = if sys::readable(socket, 2000) {
            sys::receive(socket, &mut bytes)
        } else {
            (0, [NONE; sys::PASSED])
        };
        let mut over = false;
        let mut taken = false;
        if count == REQUEST && bytes[0] == Order::End as u8 {
            // The requester waits until the socket is closed, which happens when this process exits.
            self.channel.let_go();
            self.end();
            while !self.is_over() {
                self.wait_for_end();
            }
            over = true;
        } else if count == REQUEST && bytes[0] == Order::Attach as u8 && fds[0] != NONE {
            let other = bytes[17..] != self.owner;
            if other && self.is_over() {
                over = true;
            } else {
                let [out, err] = positions(&bytes[1..17]);
                self.set_owner(&bytes[17..]);
                self.attach(fds, out, err);
                let _ = sys::write(socket, &[TAKEN]);
                taken = true;
            }
        }
        if !taken {
            for fd in fds {
                sys::close(fd);
            }
        }
        if over {
            // Before the socket is closed: the requester then creates the directory again.
            clean(self.step.id);
        }
        sys::close(socket);
        over
    }

    fn wait_for_end(&mut self) {
        let mut watches = [
            watch(self.children, READABLE),
            watch(self.pipes[0], READABLE),
            watch(self.pipes[1], READABLE),
        ];
        let patience = self.patience();
        sys::poll(&mut watches, if patience < 0 { 1000 } else { patience.min(1000) });
        self.reap();
        for index in 0..2 {
            // No controller will request it.
            self.rings[index].resume(u64::MAX);
            self.take_in(index);
        }
        self.on_time();
    }

    fn attach(&mut self, fds: [Fd; sys::PASSED], out: u64, err: u64) {
        self.channel.let_go();
        self.rings[0].resume(out);
        self.rings[1].resume(err);
        sys::set_blocking(fds[0], false);
        sys::set_blocking(fds[1], false);
        self.channel = Channel::over(fds[0], fds[1], fds[2]);
    }

    fn has_something_to_say(&self) -> bool {
        let channel = &self.channel;
        channel.is_there()
            && (channel.sending.is_some()
                || !channel.greeted
                || !self.rings[0].is_sent()
                || !self.rings[1].is_sent()
                || (self.is_over() && !channel.sent_end))
    }

    fn say(&mut self) {
        while let Some(frame) = self.channel.sending.take().or_else(|| self.next_frame()) {
            if !self.channel.send(frame) {
                return;
            }
        }
    }

    fn next_frame(&mut self) -> Option<Sending> {
        if !self.channel.greeted {
            self.channel.greeted = true;
            let until = self.ended.map_or_else(sys::now, |(_, at)| at);
            let ran = self.began.map(|began| until.saturating_sub(began));
            return Some(say::hello(&self.rings, ran));
        }
        for (index, kind) in [(0, b'o'), (1, b'e')] {
            let payload = self.rings[index].next(PIECE);
            if !payload.is_empty() {
                self.rings[index].sent += payload.len() as u64;
                return Some(Sending::new(kind, payload));
            }
        }
        if !self.is_over() {
            return None;
        }
        if self.reported && !self.channel.sent_report {
            self.channel.sent_report = true;
            return Some(Sending::new(b'r', reported().bytes()));
        }
        let measured = measure().text();
        if !measured.is_empty() && !self.channel.sent_measure {
            self.channel.sent_measure = true;
            return Some(Sending::new(b'm', measured));
        }
        if self.channel.sent_end {
            return None;
        }
        self.channel.sent_end = true;
        let (status, at) = self.ended?;
        let milliseconds = at.saturating_sub(self.began.unwrap_or(at));
        Some(say::end(status, milliseconds, self.limited))
    }
}

fn watch(fd: Fd, wanted: i16) -> Watch {
    Watch { fd, wanted, found: 0 }
}
