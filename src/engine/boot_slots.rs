//! Limits how many guests boot at once. Under overload every further boot slows down all others until none finishes
//! (see `docs/lab.md`), so boots wait for slots per physical machine, fewer while the machine is short of CPU.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::base::counted::Counted;
use crate::base::name::HostName;
use crate::plan::BootLimits;

/// CPU pressure (`some avg10`, percent) above which a machine counts as short of CPU.
const PRESSED: f64 = 90.0;

/// One physical machine; hosts that share a kernel share it.
#[derive(Debug)]
struct Machine {
    /// Boots at once while it is not short of CPU, and while it is.
    at_ease: usize,
    pressed: usize,
    allowed: AtomicUsize,
    booting: Mutex<usize>,
    waiting: AtomicUsize,
    freed: Notify,
    /// The host that reports the pressure of the machine: all its hosts report the same.
    reporter: HostName,
}

/// The boot limits of a host.
#[derive(Clone, Debug)]
pub(super) struct BootHost {
    /// The host.
    pub name: HostName,
    /// Identifies the machine: the kernel's boot id, or the host's name if that is unknown.
    pub machine: String,
    /// How many guests may boot at once there.
    pub limits: BootLimits,
}

/// The slots of all machines.
#[derive(Clone, Debug)]
pub(super) struct BootSlots {
    machines: HashMap<HostName, Arc<Machine>>,
}

impl BootSlots {
    /// The slots of these hosts. The lowest limits of the hosts on a machine are for the machine as a whole.
    pub(super) fn new(hosts: &[BootHost]) -> Self {
        let mut limits: HashMap<&str, BootLimits> = HashMap::new();
        for host in hosts {
            let shared = limits.entry(&host.machine).or_insert(host.limits);
            *shared = shared.shared_with(host.limits);
        }
        let mut by_machine: HashMap<&str, Arc<Machine>> = HashMap::new();
        let machines = hosts
            .iter()
            .map(|host| {
                let BootLimits { at_ease, pressed } = limits[host.machine.as_str()];
                let machine = by_machine.entry(&host.machine).or_insert_with(|| {
                    Arc::new(Machine {
                        at_ease,
                        pressed,
                        allowed: AtomicUsize::new(at_ease),
                        booting: Mutex::new(0),
                        waiting: AtomicUsize::new(0),
                        freed: Notify::new(),
                        reporter: host.name.clone(),
                    })
                });
                (host.name.clone(), Arc::clone(machine))
            })
            .collect();
        Self { machines }
    }

    /// Waits for a slot on a host's machine; dropping it frees it. `None`: the host is not among those of the slots.
    pub(super) async fn slot(&self, host: &HostName) -> Option<BootSlot> {
        let machine = self.machines.get(host)?;
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
                    return Some(BootSlot(Arc::clone(machine)));
                }
            }
            freed.await;
        }
    }

    /// Whether the CPU pressure of a host matters now: it reports for its machine, a boot waits for a slot there, and
    /// pressure reduces the number of slots.
    pub(super) fn needs_pressure(&self, host: &HostName) -> bool {
        self.machines.get(host).is_some_and(|machine| {
            machine.reporter == *host
                && machine.pressed < machine.at_ease
                && machine.waiting.load(Ordering::Relaxed) > 0
        })
    }

    /// Updates a host's CPU pressure.
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
pub(super) struct BootSlot(Arc<Machine>);

impl Drop for BootSlot {
    fn drop(&mut self) {
        let machine = &self.0;
        *machine
            .booting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) -= 1;
        machine.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, machine: &str) -> BootHost {
        BootHost {
            name: name.parse().unwrap(),
            machine: machine.into(),
            limits: BootLimits {
                at_ease: 4,
                pressed: 3,
            },
        }
    }

    async fn granted(slots: &BootSlots, host: &HostName) -> Vec<BootSlot> {
        let mut granted = Vec::new();
        let time = std::time::Duration::from_millis(20);
        while let Ok(slot) = tokio::time::timeout(time, slots.slot(host)).await {
            granted.push(slot.unwrap());
            assert!(granted.len() < 100);
        }
        granted
    }

    #[tokio::test]
    async fn hosts_that_share_a_machine_share_its_slots() {
        let slots = BootSlots::new(&[host("a", "one"), host("b", "one"), host("c", "two")]);
        let [a, b, c] = ["a", "b", "c"].map(|name| name.parse::<HostName>().unwrap());
        let held = granted(&slots, &a).await;
        assert_eq!(held.len(), 4);
        assert_eq!(granted(&slots, &b).await.len(), 0);
        assert_eq!(granted(&slots, &c).await.len(), 4);
        drop(held);
        assert_eq!(granted(&slots, &b).await.len(), 4);
    }

    #[tokio::test]
    async fn the_lower_limit_of_two_hosts_on_a_machine_is_for_both_and_another_host_has_no_slots() {
        let mut low = host("b", "one");
        low.limits.at_ease = 2;
        let slots = BootSlots::new(&[host("a", "one"), low]);
        let [a, c] = ["a", "c"].map(|name| name.parse::<HostName>().unwrap());
        assert_eq!(granted(&slots, &a).await.len(), 2);
        assert!(slots.slot(&c).await.is_none());
    }

    #[tokio::test]
    async fn pressure_lowers_the_slots_and_its_end_raises_them() {
        let slots = BootSlots::new(&[host("a", "one")]);
        let a: HostName = "a".parse().unwrap();
        slots.pressure(&a, 99.0);
        assert_eq!(granted(&slots, &a).await.len(), 3);
        slots.pressure(&a, 10.0);
        assert_eq!(granted(&slots, &a).await.len(), 4);
    }

    #[tokio::test]
    async fn pressure_matters_only_while_a_boot_waits_for_a_slot() {
        let slots = BootSlots::new(&[host("a", "one")]);
        let a: HostName = "a".parse().unwrap();
        let held = granted(&slots, &a).await;
        // The attempt that got no slot has been cancelled.
        assert!(!slots.needs_pressure(&a));
        let waits = tokio::spawn({
            let (slots, a) = (slots.clone(), a.clone());
            async move { slots.slot(&a).await }
        });
        while !slots.needs_pressure(&a) {
            tokio::task::yield_now().await;
        }
        drop(held);
        drop(waits.await.unwrap());
        assert!(!slots.needs_pressure(&a));
    }
}
