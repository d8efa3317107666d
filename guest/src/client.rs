//! The process that the controller starts over SSH: it starts or finds the supervisor, hands it the channel to the
//! controller, and stays while that is used, because the SSH server closes the channel when this process ends.

use crate::processes::Entries;
use crate::step::{PARENT, STEPS, Start, path};
use crate::supervisor;
use crate::sys::{self, Arguments, Fd};
use crate::text::{Text, read_number};
use crate::watched::Names;
use crate::wire::{self, Order};

/// How long to wait for a step that is being started or ended.
const PATIENCE_MS: u64 = 15_000;

const LONGEST_ID: usize = 64;

fn id(arguments: Arguments) -> Option<&'static [u8]> {
    let id = arguments.get(2)?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    (!id.is_empty() && id.len() <= LONGEST_ID && id.iter().all(plain)).then_some(id)
}

/// `run ID OWNER LIMIT_MS FLAGS watch=[NAME,...] COMMAND`: starts the step, or attaches to it if it exists.
pub(crate) fn run(arguments: Arguments, environment: *const *const u8) -> Option<i32> {
    let id = id(arguments)?;
    let owner = arguments.get(3)?;
    let limit = read_number(arguments.get(4)?)?;
    let flags = arguments.get(5)?;
    let watched = Names::read(arguments.get(6)?)?;
    // As the command: a search for a process by its command line must not find this one.
    sys::wipe(arguments.pointer(6));
    arguments.get(7)?;
    let _ = sys::make_directory(PARENT, 0o755);
    let _ = sys::make_directory(STEPS, 0o700);
    if flags.contains(&b'c') {
        end_others(id);
    }
    let until = sys::now() + PATIENCE_MS;
    loop {
        match sys::make_directory(path(id, b"").bytes(), 0o700) {
            Ok(()) => {
                return Some(start(&Start {
                    id,
                    owner,
                    limit,
                    waits: flags.contains(&b'b'),
                    // Configuration is not measured.
                    measures: !flags.contains(&b'c'),
                    watched,
                    command: arguments.pointer(7),
                    environment,
                }));
            }
            Err(sys::EEXIST) => {}
            Err(_) => {
                let _ = sys::write_all(2, b"cannot create a directory below /run/vcluster\n");
                return Some(73);
            }
        }
        match hand_over(id, owner, [0, 0]) {
            Outcome::Served => return Some(0),
            // It is being started, or has ended and belongs to an earlier command.
            Outcome::Refused | Outcome::Nobody if sys::now() < until => sys::pause(20),
            Outcome::Refused | Outcome::Nobody => {
                supervisor::clean(id);
                let _ = sys::write_all(2, b"the supervisor of this step no longer runs\n");
                return Some(69);
            }
        }
    }
}

/// `attach ID OWNER OUT ERR`: continues the output from these positions.
pub(crate) fn attach(arguments: Arguments) -> Option<i32> {
    let (id, owner) = (id(arguments)?, arguments.get(3)?);
    let positions = [read_number(arguments.get(4)?)?, read_number(arguments.get(5)?)?];
    Some(match hand_over(id, owner, positions) {
        Outcome::Served => 0,
        Outcome::Refused | Outcome::Nobody => {
            let mut hello = Text::<256>::new();
            wire::boot_id(&mut hello);
            let _ = wire::frame(b'g', hello.bytes());
            0
        }
    })
}

enum Outcome {
    /// It took over the channel and has released it again.
    Served,
    /// It has ended and no longer accepts a channel.
    Refused,
    Nobody,
}

/// Hands our input and output to the supervisor, and waits until it releases them.
fn hand_over(id: &[u8], owner: &[u8], positions: [u64; 2]) -> Outcome {
    let Ok(socket) = sys::connect(path(id, b"/socket").bytes()) else {
        return Outcome::Nobody;
    };
    let Ok((held, holder)) = sys::pipe() else {
        return Outcome::Nobody;
    };
    let request = wire::request(Order::Attach, positions, owner);
    let sent = sys::send(socket, &request, [0, 1, holder]).is_ok();
    sys::close(holder);
    let mut answer = [0];
    let taken = sent && sys::read(socket, &mut answer) == Ok(1) && answer[0] == wire::TAKEN;
    sys::close(socket);
    if !taken {
        return Outcome::Refused;
    }
    stay(held);
    Outcome::Served
}

/// Closes our copies of the controller's channel and waits until the supervisor has closed its own.
fn stay(held: Fd) {
    sys::close(0);
    sys::close(1);
    sys::close(2);
    let mut byte = [0];
    while sys::read(held, &mut byte) == Err(sys::EINTR) {}
}

fn start(step: &Start) -> i32 {
    let Ok(listener) = sys::listen(path(step.id, b"/socket").bytes()) else {
        supervisor::clean(step.id);
        let _ = sys::write_all(2, b"cannot listen below /run/vcluster\n");
        return 73;
    };
    let Ok((held, holder)) = sys::pipe() else {
        supervisor::clean(step.id);
        return 71;
    };
    match sys::fork() {
        Ok(0) => {
            sys::close(held);
            supervisor::supervise(step, listener, holder)
        }
        Ok(_) => {
            sys::wipe(step.command);
            sys::close(listener);
            sys::close(holder);
            stay(held);
            0
        }
        Err(_) => {
            supervisor::clean(step.id);
            let _ = sys::write_all(2, b"cannot start a process\n");
            71
        }
    }
}

/// Ends other configuration steps: their controller was killed, and two must not run on a node at the same time.
fn end_others(own: &[u8]) {
    let Ok(directory) = sys::open(STEPS, sys::READ_ONLY | sys::DIRECTORY) else {
        return;
    };
    let mut entries = Entries::new();
    while let Some(name) = entries.next(directory) {
        if !name.starts_with(b"c-") || name == own || name.len() > LONGEST_ID {
            continue;
        }
        let mut other = Text::<LONGEST_ID>::new();
        other.push(name);
        end(other.bytes());
    }
    sys::close(directory);
}

fn end(id: &[u8]) {
    if let Ok(socket) = sys::connect(path(id, b"/socket").bytes()) {
        let request = wire::request(Order::End, [0, 0], b"");
        if sys::send(socket, &request, [0, 1, 2]).is_ok() {
            // The supervisor closes the socket when it exits.
            sys::readable(socket, PATIENCE_MS as i64);
        }
        sys::close(socket);
    }
    supervisor::clean(id);
}
