//! What the booting guests say and whether they still live: one console stream and one cheap
//! look at all domains per host, shared by everyone who waits there.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::fleet::Member;
use super::ramp::Ramp;
use crate::name::NodeName;
use crate::plan::Plan;
use crate::seed::{FAILED_MARKER, READY_MARKER};

/// How soon the domains of a host are looked at after a guest was started there.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// The longest pause between looks. Guests that die do so early, and a cloud image may boot for minutes.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// After so many looks in a row that failed, the host counts as lost.
const LOOKS: usize = 3;

type Signs = Mutex<HashMap<NodeName, watch::Sender<Sign>>>;

/// What is known of a booting guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sign {
    /// Instance id of the last READY line.
    pub ready: Option<String>,
    /// Why it said that it cannot come up.
    pub failed: Option<String>,
    /// It does not run (any more).
    pub dead: bool,
    /// Its host does not answer any more, and why.
    pub(super) lost: Option<String>,
    /// Nobody listens to its console any more: the login alone tells whether it is up.
    pub(super) deaf: bool,
    /// Whether the domain was started.
    started: bool,
}

/// The watch over the guests of one host. Ends when dropped.
pub(super) struct HostWatch {
    signs: Arc<Signs>,
    stop: CancellationToken,
    begun: Arc<Notify>,
}

impl Drop for HostWatch {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl HostWatch {
    /// Begins to watch a host.
    pub(super) async fn begin(
        member: &Member,
        plan: &Plan,
        ramp: &Ramp,
    ) -> Result<Self, crate::host::HostError> {
        // All of them from the start: what is told to everyone reaches those who follow later as well.
        let here = plan.nodes.iter().filter(|node| node.host == *member.host.name());
        let signs: Arc<Signs> = Arc::new(Mutex::new(
            here.map(|node| (node.name.clone(), watch::Sender::default()))
                .collect(),
        ));
        let stop = CancellationToken::new();
        let mut lines = member.host.watch_consoles(plan).await?;
        let (heard, stopped) = (Arc::clone(&signs), stop.clone());
        tokio::spawn(async move {
            while let Some(Some(line)) = stopped.run_until_cancelled(lines.recv()).await {
                hear(&heard, &line.node, &line.line);
            }
            each(&heard, |sign| sign.deaf = true);
        });
        let (seen, stopped) = (Arc::clone(&signs), stop.clone());
        let (host, ramp, cluster) = (member.host.clone(), ramp.clone(), plan.cluster.clone());
        let begun = Arc::new(Notify::new());
        let another = Arc::clone(&begun);
        tokio::spawn(async move {
            let mut failed = 0;
            let mut pause = FIRST_LOOK;
            let mut next = Instant::now() + pause;
            let mut pressure = tokio::time::interval(FIRST_LOOK);
            pressure.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    _ = pressure.tick() => {
                        if ramp.needs_pressure(host.name())
                            && let Ok(Some(pressure)) = host.cpu_pressure().await
                        {
                            ramp.pressure(host.name(), pressure);
                        }
                        continue;
                    }
                    () = another.notified() => {
                        pause = FIRST_LOOK;
                        next = next.min(Instant::now() + pause);
                        continue;
                    }
                    () = stopped.cancelled() => break,
                }
                // A guest that is started while the host answers may be missing in the answer.
                let judged = started(&seen);
                match host.active().await {
                    Ok(active) => {
                        failed = 0;
                        see(&seen, cluster.as_str(), &judged, &active);
                        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
                    }
                    // One look that fails says nothing about the guests.
                    Err(error) => {
                        failed += 1;
                        if failed >= LOOKS {
                            let why = super::failure::explain(&error);
                            each(&seen, |sign| sign.lost = Some(why.clone()));
                            return;
                        }
                        pause = FIRST_LOOK;
                    }
                }
                next = Instant::now() + pause;
            }
        });
        Ok(Self { signs, stop, begun })
    }

    /// Follows a node; to be called before it is started, so that nothing is missed.
    pub(super) fn follow(&self, node: &NodeName) -> watch::Receiver<Sign> {
        let mut signs = self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        signs
            .entry(node.clone())
            .or_insert_with(|| watch::Sender::new(Sign::default()))
            .subscribe()
    }

    /// Forgets what an earlier boot said; to be called right before the domain is started.
    pub(super) fn starting(&self, node: &NodeName) {
        let signs = self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = signs.get(node) {
            sender.send_modify(|sign| {
                sign.ready = None;
                sign.failed = None;
            });
        }
    }

    /// Says that the domain was started: from now on, not running means dead.
    pub(super) fn started(&self, node: &NodeName) {
        let signs = self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = signs.get(node) {
            sender.send_modify(|sign| sign.started = true);
        }
        self.begun.notify_one();
    }
}

/// The nodes whose domains were started.
fn started(signs: &Signs) -> HashSet<NodeName> {
    let signs = signs.lock().unwrap_or_else(PoisonError::into_inner);
    let started = signs.iter().filter(|(_, sender)| sender.borrow().started);
    started.map(|(node, _)| node.clone()).collect()
}

/// Tells everyone.
fn each(signs: &Signs, change: impl Fn(&mut Sign)) {
    let signs = signs.lock().unwrap_or_else(PoisonError::into_inner);
    for sender in signs.values() {
        sender.send_modify(&change);
    }
}

fn hear(signs: &Signs, node: &NodeName, line: &str) {
    let line = line.trim();
    // Other output may stand before the mark on the same line: a prompt, a kernel message.
    let after = |mark: &str| {
        line.find(mark)
            .map(|at| line[at + mark.len()..].trim().to_owned())
    };
    let (ready, failed) = (after(READY_MARKER), after(FAILED_MARKER));
    if ready.is_none() && failed.is_none() {
        return;
    }
    let mut signs = signs.lock().unwrap_or_else(PoisonError::into_inner);
    let sender = signs
        .entry(node.clone())
        .or_insert_with(|| watch::Sender::new(Sign::default()));
    sender.send_modify(|sign| {
        if ready.is_some() {
            sign.ready = ready;
        }
        if failed.is_some() {
            sign.failed = failed;
        }
    });
}

fn see(signs: &Signs, cluster: &str, judged: &HashSet<NodeName>, active: &HashSet<String>) {
    let signs = signs.lock().unwrap_or_else(PoisonError::into_inner);
    for (node, sender) in signs.iter() {
        sender.send_if_modified(|sign| {
            let dead = judged.contains(node) && !active.contains(&format!("{cluster}.{node}"));
            let changed = dead != sign.dead;
            sign.dead = dead;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_is_heard_behind_other_output() {
        let signs = Mutex::new(HashMap::new());
        let node: NodeName = "n001".parse().unwrap();
        hear(&signs, &node, "[    1.0] random: VCLUSTER-READY i-1\r");
        hear(&signs, &node, "something else");
        assert_eq!(
            signs.lock().unwrap()[&node].borrow().ready.as_deref(),
            Some("i-1")
        );
    }

    #[test]
    fn a_domain_that_is_off_is_dead_only_if_it_was_started_before_the_look() {
        let node: NodeName = "n001".parse().unwrap();
        let signs = Mutex::new(HashMap::from([(
            node.clone(),
            watch::Sender::new(Sign::default()),
        )]));
        let dead = || signs.lock().unwrap()[&node].borrow().dead;
        let before = started(&signs);
        signs.lock().unwrap()[&node].send_modify(|sign| sign.started = true);
        // The answer was on its way when the domain was started.
        see(&signs, "c", &before, &HashSet::new());
        assert!(!dead());
        see(
            &signs,
            "c",
            &started(&signs),
            &HashSet::from(["c.n001".to_owned()]),
        );
        assert!(!dead());
        see(&signs, "c", &started(&signs), &HashSet::new());
        assert!(dead());
    }
}
