//! Watches the consoles of booting guests and whether they still run: one console stream and one cheap query of all
//! domains per host, shared by all waits there.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::boot_slots::BootSlots;
use super::fleet::Member;
use crate::base::backoff::Pauses;
use crate::base::name::{ClusterName, NodeName};
use crate::inventory::domain_name;
use crate::plan::Plan;
use crate::seed::{FAILED_MARKER, READY_MARKER};

/// Time until the first query of a host's domains after a guest was started there.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// Maximum pause between queries. Guests that die do so early, and a cloud image may boot for minutes.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// After this many failed queries in a row, the host counts as lost.
const LOOKS: usize = 3;

/// What SeaBIOS and OVMF write when no disk can be booted.
const NOTHING_TO_BOOT: [&str; 2] = [
    "No bootable device.",
    "BdsDxe: No bootable option or device was found",
];

type BootSignals = Mutex<HashMap<NodeName, watch::Sender<BootSignal>>>;

/// The observed state of a booting guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BootSignal {
    /// What follows the mark on the last READY line: the instance id, then the boot id if the image reports it.
    pub ready: Option<String>,
    /// The boot failure that it reported.
    pub failed: Option<String>,
    /// Its firmware found nothing that it could boot.
    pub(super) nothing_to_boot: bool,
    /// It does not run, or no longer runs.
    pub dead: bool,
    /// Why its host no longer responds.
    pub(super) lost: Option<String>,
    /// Its console stream has ended: only the login shows whether it is up.
    pub(super) console_lost: bool,
    /// Whether the domain was started.
    started: bool,
}

/// The watch of the guests of one host. Ends when dropped.
pub(super) struct HostWatch {
    signals: Arc<BootSignals>,
    stop: CancellationToken,
    begun: Arc<Notify>,
}

impl Drop for HostWatch {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl HostWatch {
    /// Starts to watch a host.
    pub(super) async fn begin(
        member: &Member,
        plan: &Plan,
        slots: &BootSlots,
    ) -> Result<Self, crate::host::HostError> {
        // All nodes from the start, so that updates for all of them also reach later followers.
        let here = plan.nodes.iter().filter(|node| node.host == *member.host.name());
        let here: Vec<NodeName> = here.map(|node| node.name.clone()).collect();
        let signals: Arc<BootSignals> = Arc::new(Mutex::new(
            here.iter()
                .map(|node| (node.clone(), watch::Sender::default()))
                .collect(),
        ));
        let stop = CancellationToken::new();
        let mut lines = member.host.watch_consoles(&plan.cluster_ref(), here).await?;
        let (of_consoles, stopped) = (Arc::clone(&signals), stop.clone());
        tokio::spawn(async move {
            while let Some(Some(line)) = stopped.run_until_cancelled(lines.recv()).await {
                on_console_line(&of_consoles, &line.node, &line.line);
            }
            each(&of_consoles, |signal| signal.console_lost = true);
        });
        let (seen, stopped) = (Arc::clone(&signals), stop.clone());
        let (host, slots, cluster) = (member.host.clone(), slots.clone(), plan.cluster.clone());
        let begun = Arc::new(Notify::new());
        let another = Arc::clone(&begun);
        tokio::spawn(async move {
            let mut failed = 0;
            let mut pauses = Pauses::new(FIRST_LOOK, LONGEST_PAUSE, 125);
            let mut next = Instant::now() + pauses.next();
            let mut pressure = tokio::time::interval(FIRST_LOOK);
            pressure.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    _ = pressure.tick() => {
                        if slots.needs_pressure(host.name())
                            && let Ok(Some(pressure)) = host.cpu_pressure().await
                        {
                            slots.pressure(host.name(), pressure);
                        }
                        continue;
                    }
                    () = another.notified() => {
                        pauses.reset();
                        next = next.min(Instant::now() + pauses.next());
                        continue;
                    }
                    () = stopped.cancelled() => break,
                }
                // A guest that is started during the query may be missing in its result.
                let before = started(&seen);
                match host.active().await {
                    Ok(active) => {
                        failed = 0;
                        on_domains(&seen, &cluster, &before, &active);
                    }
                    // A single failed query is no evidence about the guests.
                    Err(error) => {
                        failed += 1;
                        if failed >= LOOKS {
                            let why = crate::base::failure::explain(&error);
                            each(&seen, |signal| signal.lost = Some(why.clone()));
                            return;
                        }
                        pauses.reset();
                    }
                }
                next = Instant::now() + pauses.next();
            }
        });
        Ok(Self { signals, stop, begun })
    }

    /// Follows a node; call it before the node is started, so that nothing is missed.
    pub(super) fn follow(&self, node: &NodeName) -> watch::Receiver<BootSignal> {
        let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        signals
            .entry(node.clone())
            .or_insert_with(|| watch::Sender::new(BootSignal::default()))
            .subscribe()
    }

    /// Clears the result of an earlier boot; call it right before the domain is started.
    pub(super) fn starting(&self, node: &NodeName) {
        let signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = signals.get(node) {
            sender.send_modify(|signal| {
                signal.ready = None;
                signal.failed = None;
                signal.nothing_to_boot = false;
            });
        }
    }

    /// Records that the domain was started: from now on, not running means dead.
    pub(super) fn started(&self, node: &NodeName) {
        let signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = signals.get(node) {
            sender.send_modify(|signal| signal.started = true);
        }
        self.begun.notify_one();
    }
}

/// The nodes whose domains were started.
fn started(signals: &BootSignals) -> HashSet<NodeName> {
    let signals = signals.lock().unwrap_or_else(PoisonError::into_inner);
    let started = signals.iter().filter(|(_, sender)| sender.borrow().started);
    started.map(|(node, _)| node.clone()).collect()
}

/// Updates all nodes.
fn each(signals: &BootSignals, change: impl Fn(&mut BootSignal)) {
    let signals = signals.lock().unwrap_or_else(PoisonError::into_inner);
    for sender in signals.values() {
        sender.send_modify(&change);
    }
}

fn on_console_line(signals: &BootSignals, node: &NodeName, line: &str) {
    let line = line.trim();
    // Other output may precede the marker on the same line: a prompt, a kernel message.
    let after = |mark: &str| {
        line.find(mark)
            .map(|at| line[at + mark.len()..].trim().to_owned())
    };
    let (ready, failed) = (after(READY_MARKER), after(FAILED_MARKER));
    let nothing_to_boot = NOTHING_TO_BOOT.iter().any(|words| line.contains(words));
    if ready.is_none() && failed.is_none() && !nothing_to_boot {
        return;
    }
    let mut signals = signals.lock().unwrap_or_else(PoisonError::into_inner);
    let sender = signals
        .entry(node.clone())
        .or_insert_with(|| watch::Sender::new(BootSignal::default()));
    sender.send_modify(|signal| {
        signal.nothing_to_boot |= nothing_to_boot;
        if ready.is_some() {
            signal.ready = ready;
        }
        if failed.is_some() {
            signal.failed = failed;
        }
    });
}

fn on_domains(
    signals: &BootSignals,
    cluster: &ClusterName,
    before: &HashSet<NodeName>,
    active: &HashSet<String>,
) {
    let signals = signals.lock().unwrap_or_else(PoisonError::into_inner);
    for (node, sender) in signals.iter() {
        sender.send_if_modified(|signal| {
            let dead = before.contains(node) && !active.contains(&domain_name(cluster, node));
            let changed = dead != signal.dead;
            signal.dead = dead;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_is_found_after_other_output() {
        let signals = Mutex::new(HashMap::new());
        let node: NodeName = "n001".parse().unwrap();
        on_console_line(&signals, &node, "[    1.0] random: VCLUSTER-READY i-1\r");
        on_console_line(&signals, &node, "something else");
        assert_eq!(
            signals.lock().unwrap()[&node].borrow().ready.as_deref(),
            Some("i-1")
        );
    }

    #[test]
    fn a_firmware_that_finds_nothing_to_boot_is_noticed_and_a_new_boot_forgets_it() {
        for line in [
            "No bootable device.  Retrying in 60 seconds.\r",
            "BdsDxe: No bootable option or device was found.",
        ] {
            let signals = Mutex::new(HashMap::new());
            let node: NodeName = "n001".parse().unwrap();
            on_console_line(&signals, &node, "Booting from Hard Disk...");
            assert!(signals.lock().unwrap().is_empty());
            on_console_line(&signals, &node, line);
            assert!(signals.lock().unwrap()[&node].borrow().nothing_to_boot, "{line}");
        }
    }

    #[test]
    fn a_domain_that_is_off_is_dead_only_if_it_was_started_before_the_look() {
        let cluster: ClusterName = "c".parse().unwrap();
        let node: NodeName = "n001".parse().unwrap();
        let signals = Mutex::new(HashMap::from([(
            node.clone(),
            watch::Sender::new(BootSignal::default()),
        )]));
        let dead = || signals.lock().unwrap()[&node].borrow().dead;
        let before = started(&signals);
        signals.lock().unwrap()[&node].send_modify(|signal| signal.started = true);
        // The query was already running when the domain was started.
        on_domains(&signals, &cluster, &before, &HashSet::new());
        assert!(!dead());
        on_domains(
            &signals,
            &cluster,
            &started(&signals),
            &HashSet::from(["c.n001".to_owned()]),
        );
        assert!(!dead());
        on_domains(&signals, &cluster, &started(&signals), &HashSet::new());
        assert!(dead());
    }
}
