//! The nodes' sessions during one command: opened when first needed, kept, reopened when lost.
//! Limits concurrent logins; does not depend on what runs over the sessions.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::SshError;
use super::load::Load;
use super::node::{LoginRetry, login_with_retry};
use super::request::NodeTarget;
use super::session::Session;
use super::slow::{self, Waiting, Waits};
use super::turns::{Turn, Turns};
use super::way::Via;
use crate::base::backoff::Pauses;
use crate::base::patience::patience;
use crate::inventory::NotRunning;

/// Concurrent logins to nodes through one host.
const LOGINS_PER_HOST: usize = 8;

/// Concurrent logins in total. They take no [`Turn`]s: each node has its own share of the CPUs, so serialising logins
/// does not make them faster. `exec` on 150 busy nodes takes the same time with turns as without.
const LOGINS: usize = 64;

/// A node that refuses connections at once, for this long, has no SSH server: it is not just slow.
const REFUSALS: Duration = Duration::from_secs(30);

/// A refusal arrives within this time; a slower failure means that the node did not respond.
const AT_ONCE: Duration = Duration::from_secs(2);

/// How often a node with a silent command is probed.
const PROBE_INTERVAL: Duration = Duration::from_mins(1);

/// How long a login keeps others of the same host from theirs.
const PERMIT_TIME: Duration = Duration::from_secs(30);

/// How a node is reached.
#[derive(Clone)]
pub struct Reach {
    /// The node.
    pub target: NodeTarget,
    /// The path to it.
    pub via: Via,
    /// Name of the host, by which logins are limited.
    pub host: String,
}

impl Reach {
    /// The host's session, if the path goes through one.
    async fn way(&self) -> Result<Option<Arc<Session>>, SshError> {
        match &self.via {
            Via::Direct => Ok(None),
            Via::Host(way) => way.session().await.map(Some),
            Via::Lost(reason) => Err(SshError::Unreachable {
                host: self.host.clone(),
                reason: reason.clone(),
            }),
        }
    }
}

/// Reports that a node is dead, as seen by its host; a lack of responses is not enough.
pub trait Evidence: Send + Sync {
    /// Returns once there is evidence that a node no longer runs, with the reason.
    fn dead<'a>(&'a self, node: &'a str) -> BoxFuture<'a, NotRunning>;
}

struct Entry {
    reach: Reach,
    session: Mutex<Option<Arc<Session>>>,
    /// Cancelled when the node's last turn has ended.
    turn_over: std::sync::Mutex<Option<CancellationToken>>,
}

impl Entry {
    fn has_turn(&self) -> bool {
        let over = self.turn_over.lock().unwrap_or_else(PoisonError::into_inner);
        over.as_ref().is_some_and(|over| !over.is_cancelled())
    }
}

/// The nodes' sessions. Cheap to clone.
#[derive(Clone)]
pub struct Nodes {
    inner: Arc<Inner>,
}

struct Inner {
    entries: HashMap<String, Entry>,
    per_host: HashMap<String, Semaphore>,
    overall: Semaphore,
    turns: Turns,
    waiting: Waiting,
    /// Logins with all their attempts.
    logins: Waiting,
    evidence: OnceLock<Arc<dyn Evidence>>,
    /// The boots in which the nodes were configured.
    boots: OnceLock<HashMap<String, String>>,
    kept: std::sync::Mutex<Vec<DropGuard>>,
}

/// Nodes that have not responded for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowNodes {
    /// Each with its waiting time.
    pub nodes: Vec<(String, Duration)>,
    /// Their hosts; `None` for one that does not report its load.
    pub hosts: Vec<(String, Option<Load>)>,
}

impl Nodes {
    /// Takes the nodes; connects to none yet.
    pub fn new(reaches: impl IntoIterator<Item = Reach>) -> Self {
        let mut entries = HashMap::new();
        let mut per_host = HashMap::new();
        let mut vias = HashMap::new();
        for reach in reaches {
            per_host
                .entry(reach.host.clone())
                .or_insert_with(|| Semaphore::new(LOGINS_PER_HOST));
            vias.insert(reach.host.clone(), reach.via.clone());
            entries.insert(
                reach.target.name.clone(),
                Entry {
                    reach,
                    session: Mutex::new(None),
                    turn_over: std::sync::Mutex::default(),
                },
            );
        }
        Self {
            inner: Arc::new(Inner {
                entries,
                per_host,
                overall: Semaphore::new(LOGINS),
                turns: Turns::new(vias),
                waiting: Waiting::default(),
                logins: Waiting::default(),
                evidence: OnceLock::new(),
                boots: OnceLock::new(),
                kept: std::sync::Mutex::default(),
            }),
        }
    }

    /// Sets the source of evidence that a node is dead; without one, nodes are waited for as long as the caller waits.
    #[must_use]
    pub fn with_evidence(self, evidence: Arc<dyn Evidence>) -> Self {
        let _ = self.inner.evidence.set(evidence);
        self
    }

    /// Sets the boots in which nodes were configured, by name.
    #[must_use]
    pub fn with_boots(self, boots: HashMap<String, String>) -> Self {
        let _ = self.inner.boots.set(boots);
        self
    }

    /// The boot in which a node was configured, if known.
    pub fn boot(&self, node: impl AsRef<str>) -> Option<&str> {
        self.inner.boots.get()?.get(node.as_ref()).map(String::as_str)
    }

    /// Names of the nodes, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inner.entries.keys().map(String::as_str)
    }

    /// The session of a node, opened if there is none. Waits for a slow node, but not for one whose host reports it
    /// dead, nor for one that refuses connections for half a minute.
    pub async fn session(&self, node: impl AsRef<str>) -> Result<Arc<Session>, SshError> {
        self.session_or_refusal(node.as_ref(), REFUSALS).await
    }

    async fn session_or_refusal(&self, node: &str, refusals: Duration) -> Result<Arc<Session>, SshError> {
        let entry = self.entry(node)?;
        let open = async {
            let mut kept = entry.session.lock().await;
            if let Some(session) = kept.as_ref().filter(|session| !session.is_closed()) {
                return Ok(session.clone());
            }
            let session = Arc::new(self.login(&entry.reach, refusals).await?);
            *kept = Some(session.clone());
            Ok(session)
        };
        tokio::select! {
            session = open => session,
            why = self.dead(node) => Err(SshError::NotRunning(why)),
        }
    }

    /// Like [`Self::session`], within the user's time limit.
    pub async fn session_within(
        &self,
        node: impl AsRef<str>,
        allowed: Option<Duration>,
    ) -> Result<Arc<Session>, SshError> {
        let Some(allowed) = allowed else {
            return self.session(node).await;
        };
        let node = node.as_ref();
        let session = tokio::time::timeout(allowed, self.session_or_refusal(node, allowed)).await;
        session.unwrap_or_else(|_| {
            Err(SshError::Timeout {
                target: node.to_owned(),
                after: allowed,
            })
        })
    }

    /// Keeps something until the sessions are closed.
    pub fn keep(&self, guard: DropGuard) {
        let mut kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(guard);
    }

    /// Returns once there is evidence that a node is dead, with the reason.
    pub async fn dead(&self, node: impl AsRef<str>) -> NotRunning {
        match self.inner.evidence.get() {
            Some(evidence) => evidence.dead(node.as_ref()).await,
            None => std::future::pending().await,
        }
    }

    /// Probes a node with an open session from time to time, so that it is seen to be slow, and so that one that was
    /// reset refuses the old connection. The answer decides nothing.
    async fn probe(&self, node: impl AsRef<str>, session: &Session) -> Infallible {
        loop {
            tokio::time::sleep(patience(PROBE_INTERVAL)).await;
            let _waits = self.waits(&node);
            if session.ping().await.is_err() {
                // What runs over the session ends as well, with the reason.
                return std::future::pending().await;
            }
        }
    }

    /// Like [`Self::dead`], for a node with an open session, which is probed meanwhile.
    pub async fn dead_while_probed(&self, node: impl AsRef<str>, session: &Session) -> NotRunning {
        tokio::select! {
            why = self.dead(&node) => why,
            never = self.probe(&node, session) => match never {},
        }
    }

    /// Waits for a turn to start something heavy on a node: see [`Turn`]. A node that has one continues with it: the
    /// transfer after a short step is part of its turn.
    pub async fn turn(&self, node: impl AsRef<str>) -> Option<Turn> {
        let entry = self.inner.entries.get(node.as_ref())?;
        if entry.has_turn() {
            return Some(Turn::default());
        }
        let turn = self.inner.turns.turn(&entry.reach.host).await;
        *entry.turn_over.lock().unwrap_or_else(PoisonError::into_inner) = Some(turn.over());
        Some(turn)
    }

    /// Like [`Self::turn`]; `None` once the user interrupts.
    pub async fn turn_unless(&self, node: impl AsRef<str>, cancel: &CancellationToken) -> Option<Turn> {
        cancel.run_until_cancelled(self.turn(node)).await.flatten()
    }

    /// Records that a response of a node is being waited for.
    pub fn waits(&self, node: impl AsRef<str>) -> Waits {
        self.inner.waiting.begin(node.as_ref())
    }

    /// How long a response of a node has been waited for, and its host's load; `None` if it is not waited for, or for
    /// less than `least`.
    pub async fn waited_for(
        &self,
        node: impl AsRef<str>,
        least: Duration,
    ) -> Option<(Duration, Option<Load>)> {
        let node = node.as_ref();
        let waiting = self.inner.waiting.longer_than(Duration::ZERO).into_iter();
        // A login may take several attempts, of which only the current one is an answer that is waited for.
        let waiting = waiting.chain(self.logins(Duration::ZERO));
        let waited = waiting
            .filter(|(name, _)| name == node)
            .map(|(_, waited)| waited)
            .max()
            .filter(|waited| *waited >= least)?;
        Some((waited, Load::of(&self.inner.entries.get(node)?.reach.via).await))
    }

    /// The nodes whose login has taken at least this long, with its attempts so far; without the queue before it.
    pub fn logins(&self, time: Duration) -> Vec<(String, Duration)> {
        self.inner.logins.longer_than(time)
    }

    /// The nodes that are slow right now, and the load of their hosts.
    pub async fn slow(&self) -> Option<SlowNodes> {
        let nodes = self.inner.waiting.longer_than(patience(slow::SLOW));
        if nodes.is_empty() {
            return None;
        }
        let mut hosts: Vec<&Reach> = nodes
            .iter()
            .filter_map(|(node, _)| Some(&self.inner.entries.get(node)?.reach))
            .collect();
        hosts.sort_by(|a, b| a.host.cmp(&b.host));
        hosts.dedup_by(|a, b| a.host == b.host);
        let asked = hosts
            .into_iter()
            .map(|reach| async move { (reach.host.clone(), Load::of(&reach.via).await) });
        let hosts = futures::future::join_all(asked).await;
        Some(SlowNodes { nodes, hosts })
    }

    /// Logs in to a node that is still booting: retries until the deadline, or until `stop` returns a reason to stop.
    pub async fn await_login(
        &self,
        node: impl AsRef<str>,
        deadline: Duration,
        stop: &(dyn Fn() -> Option<String> + Sync),
    ) -> Result<Arc<Session>, SshError> {
        let entry = self.entry(node.as_ref())?;
        let mut kept = entry.session.lock().await;
        let retry = LoginRetry {
            deadline,
            ..LoginRetry::default()
        };
        let way = entry.reach.way().await?;
        let session = Arc::new(login_with_retry(way.as_deref(), &entry.reach.target, retry, stop).await?);
        *kept = Some(session.clone());
        Ok(session)
    }

    /// A command line that runs as root on a node, whatever the login user.
    pub fn as_root(&self, node: impl AsRef<str>, command: &str) -> String {
        match self.inner.entries.get(node.as_ref()) {
            Some(entry) if entry.reach.target.user != "root" => format!("sudo -n {command}"),
            _ => command.to_owned(),
        }
    }

    fn entry(&self, node: &str) -> Result<&Entry, SshError> {
        let unknown = || SshError::Other(format!("no node `{}` in this cluster", node.escape_debug()));
        self.inner.entries.get(node).ok_or_else(unknown)
    }

    async fn login(&self, reach: &Reach, refusals: Duration) -> Result<Session, SshError> {
        let refusals = patience(REFUSALS)
            .min(refusals)
            .min(reach.target.timeout.unwrap_or(REFUSALS));
        let broken = |error: tokio::sync::AcquireError| SshError::Other(error.to_string());
        let mut login: Option<Waits> = None;
        let mut refused: Option<Instant> = None;
        let mut pauses = Pauses::new(Duration::from_millis(200), Duration::from_secs(2), 200);
        loop {
            let (error, began) = {
                let permit = match self.inner.per_host.get(&reach.host) {
                    Some(slots) => Some(slots.acquire().await.map_err(broken)?),
                    None => None,
                };
                let mut permits = Some((permit, self.inner.overall.acquire().await.map_err(broken)?));
                // The time starts with the permit: it does not include the queue.
                let began = Instant::now();
                login.get_or_insert_with(|| self.inner.logins.begin(&reach.target.name));
                let _waits = self.inner.waiting.begin(&reach.target.name);
                let via = reach.way().await?;
                let connected = {
                    // Boxed: it is part of the future of each node.
                    let mut connecting = Box::pin(Session::connect_node(via.as_deref(), &reach.target));
                    tokio::select! {
                        connected = &mut connecting => connected,
                        // A node that hangs must not keep others from their login.
                        () = tokio::time::sleep(patience(PERMIT_TIME)) => {
                            drop(permits.take());
                            connecting.await
                        }
                    }
                };
                match connected {
                    Ok(session) => return Ok(session),
                    Err(error) => match via.filter(|via| via.is_closed()) {
                        // The path was lost, whatever that looks like on the way to the node.
                        Some(via) if !error.is_refusal() => return Err(via.lost()),
                        Some(_) => return Err(error),
                        None => (error, began),
                    },
                }
            };
            if !error.is_transient() || matches!(error, SshError::Timeout { .. }) {
                return Err(error);
            }
            let pause = pauses.next_with_jitter();
            if began.elapsed() > AT_ONCE {
                refused = None;
            } else if refused.get_or_insert(began).elapsed() + pause >= refusals {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Ends all sessions, after abandoned commands on the nodes have been killed.
    pub async fn close(&self) {
        self.inner
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let ending = self.inner.entries.values().map(|entry| async {
            // A session that is being opened ends with its caller.
            let Ok(mut kept) = entry.session.try_lock() else {
                return;
            };
            if let Some(session) = kept.take() {
                if !session.is_closed() {
                    session.settle().await;
                }
                session.close().await;
            }
        });
        futures::future::join_all(ending).await;
    }
}
