//! Limits how many nodes of a physical machine start something heavy at once. A hundred servers that start together
//! on a few CPUs all stall; so they take turns while their machine is short of CPU time. A turn ends after a few
//! seconds whatever the work does: steps may wait for each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::load::{Load, Report};
use super::way::Via;
use crate::base::counted::Counted;
use crate::base::patience::patience;

/// A machine is short of CPU time if something waited for a CPU in more than this share of the time.
const PRESSED: f64 = 0.9;

/// The longest turn.
const TURN: Duration = Duration::from_secs(5);

/// The default limit on nodes at once.
pub const FANOUT: usize = 64;

/// How often a machine's load is read while a node waits for a turn there.
const LOOK: Duration = Duration::from_secs(1);

/// Turns at once per CPU of a machine that is short of CPU time.
const PER_CPU: usize = 4;

/// One physical machine.
#[derive(Debug)]
struct Machine {
    /// The host that is queried; all hosts on the machine report the same.
    host: String,
    least: usize,
    window: AtomicUsize,
    taken: Mutex<usize>,
    waiting: AtomicUsize,
    looked_at: Mutex<bool>,
    freed: Notify,
}

/// A host, and its machine once it is known.
struct Host {
    via: Via,
    /// Its machine, once it has answered; `None` if it reports no load.
    machine: OnceLock<Option<Arc<Machine>>>,
    /// Stands for its machine until then: one with a single CPU, which is busy.
    unknown: Arc<Machine>,
    /// Whether the first question has ended.
    asked: OnceCell<()>,
}

/// The turns on all machines. Cheap to clone.
#[derive(Clone)]
pub(super) struct Turns(Arc<Inner>);

struct Inner {
    hosts: HashMap<String, Host>,
    machines: Mutex<HashMap<String, Arc<Machine>>>,
}

/// Permission to start something heavy on one node. Ends when it is dropped, or after a few seconds.
#[derive(Debug, Default)]
pub struct Turn {
    over: CancellationToken,
}

impl Turn {
    /// Is cancelled when the turn ends.
    pub(super) fn over(&self) -> CancellationToken {
        self.over.clone()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Turns {
    pub(super) fn new(hosts: impl IntoIterator<Item = (String, Via)>) -> Self {
        let hosts = hosts.into_iter().map(|(name, via)| {
            let host = Host {
                via,
                machine: OnceLock::new(),
                unknown: Machine::new(&name, 1),
                asked: OnceCell::new(),
            };
            (name, host)
        });
        Self(Arc::new(Inner {
            hosts: hosts.collect(),
            machines: Mutex::default(),
        }))
    }

    /// Waits for a turn on a host's machine. Returns at once if the host reports no load.
    pub(super) async fn turn(&self, host: &str) -> Turn {
        loop {
            let Some(machine) = self.machine(host).await else {
                return Turn::default();
            };
            let freed = machine.freed.notified();
            {
                let mut taken = machine.taken.lock().unwrap_or_else(PoisonError::into_inner);
                if *taken < machine.window.load(Ordering::Relaxed) {
                    *taken += 1;
                    return hold(machine.clone());
                }
            }
            let _waiting = Counted::on(&machine.waiting);
            self.look_at(&machine);
            freed.await;
        }
    }

    /// The machine of a host; `None` if the host reports no load.
    async fn machine(&self, name: &str) -> Option<Arc<Machine>> {
        let host = self.0.hosts.get(name)?;
        host.asked.get_or_init(|| self.ask(name, host)).await;
        match host.machine.get() {
            Some(known) => known.clone(),
            None => Some(host.unknown.clone()),
        }
    }

    /// Asks a host for its load, which shows on which machine it is. Without an answer that stays unknown.
    async fn ask(&self, name: &str, host: &Host) {
        let machine = match Load::ask(&host.via).await {
            Report::Silent => return,
            Report::Nothing => None,
            Report::Load(load) => {
                let mut machines = self.0.machines.lock().unwrap_or_else(PoisonError::into_inner);
                let machine = machines
                    .entry(load.boot_id)
                    .or_insert_with(|| Machine::new(name, load.cpus));
                Some(machine.clone())
            }
        };
        let _ = host.machine.set(machine);
    }

    /// Polls the load of the machine while a node waits for a turn there.
    fn look_at(&self, machine: &Arc<Machine>) {
        let mut looked_at = machine.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *looked_at, true) {
            return;
        }
        let (turns, machine) = (self.clone(), machine.clone());
        tokio::spawn(async move {
            match turns.0.hosts.get(&machine.host) {
                Some(host) if Arc::ptr_eq(&machine, &host.unknown) => turns.identify(&machine, host).await,
                Some(host) => poll(&machine, &host.via).await,
                None => {}
            }
            *machine.looked_at.lock().unwrap_or_else(PoisonError::into_inner) = false;
            // For nodes that started to wait after the last poll, and for those whose machine is known now.
            machine.freed.notify_waiters();
        });
    }

    /// Asks a host until its machine is known, while a node waits for a turn there.
    async fn identify(&self, machine: &Machine, host: &Host) {
        while machine.waiting.load(Ordering::Relaxed) > 0 {
            self.ask(&machine.host, host).await;
            if host.machine.get().is_some() {
                return;
            }
            sleep(LOOK).await;
        }
    }
}

/// Adapts the number of turns to the load of a machine, while a node waits for a turn there.
async fn poll(machine: &Machine, via: &Via) {
    let mut last: Option<(Instant, u64)> = None;
    while machine.waiting.load(Ordering::Relaxed) > 0 {
        let report = Load::ask(via).await;
        let now = Instant::now();
        let stalled = match &report {
            Report::Load(load) => load.stalled,
            Report::Nothing | Report::Silent => None,
        };
        match (last, stalled) {
            (Some((at, before)), Some(stalled)) => {
                let share = stalled.saturating_sub(before) as f64 / (now - at).as_micros().max(1) as f64;
                machine.turn_to(share);
            }
            (None, Some(_)) => {}
            (_, None) if matches!(report, Report::Silent) => machine.turn_to(1.0),
            // Without this counter, assume that the machine has CPU time to spare.
            (_, None) => machine.turn_to(0.0),
        }
        last = stalled.map(|stalled| (now, stalled));
        sleep(LOOK).await;
    }
}

impl Machine {
    fn new(host: &str, cpus: usize) -> Arc<Self> {
        let least = (cpus * PER_CPU).max(PER_CPU);
        Arc::new(Self {
            host: host.to_owned(),
            least,
            window: AtomicUsize::new(least),
            taken: Mutex::new(0),
            waiting: AtomicUsize::new(0),
            looked_at: Mutex::new(false),
            freed: Notify::new(),
        })
    }

    /// Allows more turns while CPU time is to spare, fewer while it is short.
    fn turn_to(&self, share: f64) {
        let before = self.window.load(Ordering::Relaxed);
        let after = if share > PRESSED {
            (before / 2).max(self.least)
        } else {
            before.saturating_mul(2).min(1 << 16)
        };
        self.window.store(after, Ordering::Relaxed);
        if after > before {
            self.freed.notify_waiters();
        }
    }
}

/// Begins a turn, which ends when it is dropped or when its time is over.
fn hold(machine: Arc<Machine>) -> Turn {
    let turn = Turn::default();
    let over = turn.over();
    tokio::spawn(async move {
        let _ = timeout(patience(TURN), over.cancelled()).await;
        over.cancel();
        *machine.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        machine.freed.notify_waiters();
    });
    turn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_of_hosts_on_one_machine_are_shared_end_by_themselves_and_grow_at_ease() {
        // Both are this machine.
        let turns = Turns::new(["a", "b"].map(|name| (name.to_owned(), Via::Direct)));
        let machine = turns.machine("a").await.unwrap();
        assert!(Arc::ptr_eq(&machine, &turns.machine("b").await.unwrap()));
        let mut held = Vec::new();
        for host in ["a", "b"].into_iter().cycle().take(machine.least) {
            held.push(turns.turn(host).await);
        }
        machine.turn_to(1.0);
        assert_eq!(machine.window.load(Ordering::Relaxed), machine.least);
        let brief = Duration::from_millis(50);
        assert!(timeout(brief, turns.turn("a")).await.is_err());
        machine.turn_to(0.1);
        assert!(timeout(brief, turns.turn("a")).await.is_ok());
        machine.turn_to(1.0);
        drop(held);
        assert!(timeout(TURN, turns.turn("b")).await.is_ok());
    }
}
