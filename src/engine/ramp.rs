//! How many guests may boot at once. Overload collapses: past a point every further boot makes all
//! of them slower, until none ends (see `docs/lab.md`). So boots take turns per physical machine,
//! fewer while the machine is short of CPU.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::counted::Counted;
use crate::name::HostName;

/// CPU pressure (`some avg10`, percent) above which a machine counts as short of CPU.
const PRESSED: f64 = 90.0;

/// One physical machine; hosts that share a kernel share it.
#[derive(Debug)]
struct Machine {
    /// Boots at once while it is at ease, and while it is short of CPU.
    at_ease: usize,
    pressed: usize,
    allowed: AtomicUsize,
    booting: Mutex<usize>,
    waiting: AtomicUsize,
    freed: Notify,
    /// The host that is asked for the pressure of the machine: all of them would say the same.
    speaker: HostName,
}

/// What decides how many guests boot at once on a host.
#[derive(Clone, Debug)]
pub(super) struct RampHost {
    /// The host.
    pub name: HostName,
    /// What tells machines apart: the kernel's boot id, or the host's name where that is unknown.
    pub machine: String,
    /// CPU threads of the machine.
    pub cpus: u32,
    /// Whether guests are emulated.
    pub emulated: bool,
}

/// The turns of all machines.
#[derive(Clone, Debug)]
pub(super) struct Ramp {
    machines: HashMap<HostName, Arc<Machine>>,
}

impl Ramp {
    /// Emulation keeps a whole CPU busy per booting guest, so two per CPU at most, and one and a half
    /// under pressure; with KVM a boot waits more than it computes. `limit` overrides both.
    pub(super) fn new(hosts: &[RampHost], limit: Option<usize>) -> Self {
        let mut by_machine: HashMap<&str, Arc<Machine>> = HashMap::new();
        let machines = hosts
            .iter()
            .map(|host| {
                let cpus = host.cpus.max(1) as usize;
                let (at_ease, pressed) = match limit {
                    Some(limit) => (limit.max(1), limit.max(1)),
                    None if host.emulated => ((cpus * 2).max(2), (cpus * 3 / 2).max(2)),
                    None => ((cpus * 4).max(4), cpus.max(2)),
                };
                let machine = by_machine.entry(&host.machine).or_insert_with(|| {
                    Arc::new(Machine {
                        at_ease,
                        pressed,
                        allowed: AtomicUsize::new(at_ease),
                        booting: Mutex::new(0),
                        waiting: AtomicUsize::new(0),
                        freed: Notify::new(),
                        speaker: host.name.clone(),
                    })
                });
                (host.name.clone(), Arc::clone(machine))
            })
            .collect();
        Self { machines }
    }

    /// Waits for a turn on a host's machine; the turn ends when the value is dropped.
    pub(super) async fn turn(&self, host: &HostName) -> Turn {
        let Some(machine) = self.machines.get(host) else {
            return Turn(None);
        };
        let _waiting = Counted::on(&machine.waiting);
        loop {
            let freed = machine.freed.notified();
            {
                let mut booting = machine
                    .booting
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                if *booting < machine.allowed.load(Ordering::Relaxed) {
                    *booting += 1;
                    return Turn(Some(Arc::clone(machine)));
                }
            }
            freed.await;
        }
    }

    /// Whether the CPU pressure of a host would decide anything now: it speaks for its machine, somebody waits for
    /// a turn there, and fewer turns are given under pressure.
    pub(super) fn needs_pressure(&self, host: &HostName) -> bool {
        self.machines.get(host).is_some_and(|machine| {
            machine.speaker == *host
                && machine.pressed < machine.at_ease
                && machine.waiting.load(Ordering::Relaxed) > 0
        })
    }

    /// Takes note of a host's CPU pressure.
    pub(super) fn pressure(&self, host: &HostName, some_avg10: f64) {
        if let Some(machine) = self.machines.get(host) {
            let allowed = if some_avg10 > PRESSED {
                machine.pressed
            } else {
                machine.at_ease
            };
            if machine.allowed.swap(allowed, Ordering::Relaxed) < allowed {
                machine.freed.notify_waiters();
            }
        }
    }
}

/// The right to boot one guest.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Machine>>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(machine) = &self.0 {
            *machine
                .booting
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) -= 1;
            machine.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, machine: &str) -> RampHost {
        RampHost {
            name: name.parse().unwrap(),
            machine: machine.into(),
            cpus: 2,
            emulated: true,
        }
    }

    async fn granted(ramp: &Ramp, host: &HostName) -> Vec<Turn> {
        let mut turns = Vec::new();
        while let Ok(turn) = tokio::time::timeout(std::time::Duration::from_millis(20), ramp.turn(host)).await
        {
            turns.push(turn);
            assert!(turns.len() < 100);
        }
        turns
    }

    #[tokio::test]
    async fn hosts_that_share_a_machine_share_its_turns() {
        let ramp = Ramp::new(&[host("a", "one"), host("b", "one"), host("c", "two")], None);
        let [a, b, c] = ["a", "b", "c"].map(|name| name.parse::<HostName>().unwrap());
        let held = granted(&ramp, &a).await;
        assert_eq!(held.len(), 4);
        assert_eq!(granted(&ramp, &b).await.len(), 0);
        assert_eq!(granted(&ramp, &c).await.len(), 4);
        drop(held);
        assert_eq!(granted(&ramp, &b).await.len(), 4);
    }

    #[tokio::test]
    async fn pressure_lowers_the_turns_and_its_end_raises_them() {
        let ramp = Ramp::new(&[host("a", "one")], None);
        let a: HostName = "a".parse().unwrap();
        ramp.pressure(&a, 99.0);
        assert_eq!(granted(&ramp, &a).await.len(), 3);
        ramp.pressure(&a, 10.0);
        assert_eq!(granted(&ramp, &a).await.len(), 4);
    }

    #[tokio::test]
    async fn pressure_is_of_interest_only_while_somebody_waits_for_a_turn() {
        let ramp = Ramp::new(&[host("a", "one")], None);
        let a: HostName = "a".parse().unwrap();
        let held = granted(&ramp, &a).await;
        // Whoever found no turn has been cancelled.
        assert!(!ramp.needs_pressure(&a));
        let waits = tokio::spawn({
            let (ramp, a) = (ramp.clone(), a.clone());
            async move { ramp.turn(&a).await }
        });
        while !ramp.needs_pressure(&a) {
            tokio::task::yield_now().await;
        }
        drop(held);
        drop(waits.await.unwrap());
        assert!(!ramp.needs_pressure(&a));
    }
}
