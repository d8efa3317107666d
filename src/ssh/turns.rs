//! Limits how many nodes of a physical machine start something heavy at once. A hundred servers that start together
//! on a few CPUs all stall; so they take turns while their machine is short of CPU time. A turn ends after a few
//! seconds whatever the work does: steps may wait for each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::request::ExecRequest;
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

/// Time for a host to report its load.
const ANSWER: Duration = Duration::from_secs(10);

/// Turns at once per CPU of a machine that is short of CPU time.
const PER_CPU: usize = 4;

/// Boot id, CPU pressure, load and CPUs of a machine.
const SCRIPT: &str = "cat /proc/sys/kernel/random/boot_id; cat /proc/loadavg; grep -c '^cpu[0-9]' /proc/stat; \
                      cat /proc/pressure/cpu 2>/dev/null; true";

/// The load of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Identifies the machine: simulated hosts share one.
    pub boot_id: String,
    /// Load average of the last minute.
    pub average: f64,
    /// CPU threads.
    pub cpus: usize,
    /// Microseconds in which something waited for a CPU, since boot, if the kernel counts them.
    pub(crate) stalled: Option<u64>,
}

impl Load {
    /// Whether the load average exceeds the number of CPUs: responses may be slow.
    pub fn is_busy(&self) -> bool {
        self.average > self.cpus as f64
    }

    /// Parses the script's output.
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let boot_id = lines.next()?.trim().to_owned();
        let average = lines.next()?.split(' ').next()?.parse().ok()?;
        let cpus = lines.next()?.trim().parse().ok()?;
        let some = lines.find(|line| line.starts_with("some "));
        let stalled = some.and_then(|line| line.split("total=").nth(1)?.trim().parse().ok());
        (!boot_id.is_empty()).then_some(Self {
            boot_id,
            average,
            cpus,
            stalled,
        })
    }

    /// Reads the load of a host.
    pub(super) async fn of(via: &Via) -> Option<Self> {
        let text = match via {
            Via::Lost(_) => return None,
            Via::Direct => {
                let mut command = tokio::process::Command::new("sh");
                let output = command.args(["-c", SCRIPT]).kill_on_drop(true).output();
                String::from_utf8_lossy(&timeout(ANSWER, output).await.ok()?.ok()?.stdout).into_owned()
            }
            Via::Host(way) => {
                let request = ExecRequest {
                    command: SCRIPT.to_owned(),
                    timeout: Some(ANSWER),
                    limit: 4 << 10,
                    ..ExecRequest::default()
                };
                let output = async { way.session().await.ok()?.exec(&request).await.ok() };
                String::from_utf8_lossy(&timeout(ANSWER, output).await.ok()??.stdout).into_owned()
            }
        };
        Self::read(&text)
    }
}

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

/// The turns on all machines. Cheap to clone.
#[derive(Clone)]
pub(super) struct Turns(Arc<Inner>);

/// The path to a host, and its machine once known; `None` if it reports no load.
type Host = (Via, OnceCell<Option<Arc<Machine>>>);

struct Inner {
    hosts: HashMap<String, Host>,
    machines: Mutex<HashMap<String, Arc<Machine>>>,
}

/// Permission to start something heavy on one node. Ends when it is dropped, or after a few seconds.
#[derive(Debug)]
pub struct Turn {
    _over: Option<oneshot::Sender<()>>,
}

impl Turns {
    pub(super) fn new(hosts: impl IntoIterator<Item = (String, Via)>) -> Self {
        let hosts = hosts
            .into_iter()
            .map(|(name, via)| (name, (via, OnceCell::new())))
            .collect();
        Self(Arc::new(Inner {
            hosts,
            machines: Mutex::default(),
        }))
    }

    /// Waits for a turn on a host's machine. Returns at once if the host reports no load.
    pub(super) async fn turn(&self, host: &str) -> Turn {
        let Some(machine) = self.machine(host).await else {
            return Turn { _over: None };
        };
        loop {
            let freed = machine.freed.notified();
            {
                let mut taken = machine.taken.lock().unwrap_or_else(PoisonError::into_inner);
                if *taken < machine.window.load(Ordering::Relaxed) {
                    *taken += 1;
                    return Turn {
                        _over: Some(hold(machine.clone())),
                    };
                }
            }
            let _waiting = Counted::on(&machine.waiting);
            self.look_at(&machine);
            freed.await;
        }
    }

    async fn machine(&self, host: &str) -> Option<Arc<Machine>> {
        let (via, known) = self.0.hosts.get(host)?;
        let machine = known.get_or_init(|| async {
            let load = Load::of(via).await?;
            let mut machines = self.0.machines.lock().unwrap_or_else(PoisonError::into_inner);
            let machine = machines.entry(load.boot_id.clone()).or_insert_with(|| {
                let least = (load.cpus * PER_CPU).max(PER_CPU);
                Arc::new(Machine {
                    host: host.to_owned(),
                    least,
                    window: AtomicUsize::new(least),
                    taken: Mutex::new(0),
                    waiting: AtomicUsize::new(0),
                    looked_at: Mutex::new(false),
                    freed: Notify::new(),
                })
            });
            Some(machine.clone())
        });
        machine.await.clone()
    }

    /// Polls the load of the machine while a node waits for a turn there.
    fn look_at(&self, machine: &Arc<Machine>) {
        let mut looked_at = machine.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *looked_at, true) {
            return;
        }
        let (turns, machine) = (self.clone(), machine.clone());
        tokio::spawn(async move {
            let mut last: Option<(Instant, u64)> = None;
            while machine.waiting.load(Ordering::Relaxed) > 0 {
                let via = turns.0.hosts.get(&machine.host).map(|(via, _)| via);
                let load = match via {
                    Some(via) => Load::of(via).await,
                    None => None,
                };
                let now = Instant::now();
                let stalled = load.and_then(|load| load.stalled);
                if let (Some((at, before)), Some(stalled)) = (last, stalled) {
                    let share = stalled.saturating_sub(before) as f64 / (now - at).as_micros().max(1) as f64;
                    machine.turn_to(share);
                } else if stalled.is_none() {
                    // Without this counter, assume that the machine has CPU time to spare.
                    machine.turn_to(0.0);
                }
                last = stalled.map(|stalled| (now, stalled));
                sleep(LOOK).await;
            }
            *machine.looked_at.lock().unwrap_or_else(PoisonError::into_inner) = false;
            // For nodes that started to wait after the last poll.
            machine.freed.notify_waiters();
        });
    }
}

impl Machine {
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

/// Holds a turn until it is dropped or its time is over.
fn hold(machine: Arc<Machine>) -> oneshot::Sender<()> {
    let (sender, over) = oneshot::channel();
    tokio::spawn(async move {
        let _ = timeout(patience(TURN), over).await;
        *machine.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        machine.freed.notify_waiters();
    });
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_of_a_machine_is_parsed_with_and_without_pressure() {
        let text = "0badcafe\n276.10 200.0 99.9 150/999 12345\n2\nsome avg10=99.00 avg60=1.0 avg300=0.1 total=123\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        let load = Load::read(text).unwrap();
        assert_eq!((load.cpus, load.stalled), (2, Some(123)));
        assert!((load.average - 276.1).abs() < 0.01);
        assert_eq!(Load::read("id\n0.5 0 0\n8\n").unwrap().stalled, None);
        assert_eq!(Load::read("\n0.5 0 0\n8\n"), None);
        assert_eq!(Load::read("command not found"), None);
    }

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
