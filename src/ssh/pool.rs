//! The nodes' sessions for the time of one command: opened when first needed, kept, opened again when lost.
//! Bounds how many logins go on at once; knows nothing of what runs over the sessions.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::SshError;
use super::node::{Backoff, jitter, login_with_backoff};
use super::session::{NodeTarget, Session};
use super::slow::{self, Waiting, Waits};
use super::turns::{Load, Turn, Turns};
use super::way::HostWay;
use crate::patience::patience;

/// Logins to nodes under way at once through one host.
const LOGINS_PER_HOST: usize = 8;

/// Logins under way at once in all. They take no [`Turn`]s besides: each node has its own share of the CPUs, so logins
/// that wait for each other are together no faster. `exec` on 150 nodes that all compute takes as long with as without.
const LOGINS: usize = 64;

/// A node that refuses logins for so long, and does so at once, has no SSH server: it is not merely slow.
const REFUSALS: Duration = Duration::from_secs(30);

/// A refusal comes from a kernel that answers. What took longer was silence.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The way to a node.
#[derive(Clone)]
pub enum Via {
    /// Its address has a route from here.
    Direct,
    /// Through its host.
    Host(Arc<HostWay>),
    /// Its host could not be reached, and why: the node fails, the others do not.
    Lost(String),
}

/// How a node is reached.
#[derive(Clone)]
pub struct Reach {
    /// The node.
    pub target: NodeTarget,
    /// The way there.
    pub via: Via,
    /// Name of the host, by which logins are bounded.
    pub host: String,
}

impl Reach {
    /// The host's session, where the way leads through one.
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

/// Says that a node is dead: its host does, not its silence.
pub trait Evidence: Send + Sync {
    /// Returns once there is evidence that a node does not run any more, with what it is.
    fn dead<'a>(&'a self, node: &'a str) -> BoxFuture<'a, String>;
}

struct Entry {
    reach: Reach,
    session: Mutex<Option<Arc<Session>>>,
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
    evidence: OnceLock<Arc<dyn Evidence>>,
    kept: std::sync::Mutex<Vec<DropGuard>>,
}

/// Nodes that were asked something and have not answered for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowNodes {
    /// Each with how long it has been waited for.
    pub nodes: Vec<(String, Duration)>,
    /// Their hosts; `None` for one that does not say how busy it is.
    pub hosts: Vec<(String, Option<Load>)>,
}

impl Nodes {
    /// Takes the nodes; connects to none of them yet.
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
                evidence: OnceLock::new(),
                kept: std::sync::Mutex::default(),
            }),
        }
    }

    /// Takes who says that a node is dead; without, nodes are waited for as long as the caller does.
    #[must_use]
    pub fn with_evidence(self, evidence: Arc<dyn Evidence>) -> Self {
        let _ = self.inner.evidence.set(evidence);
        self
    }

    /// Names of the nodes, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inner.entries.keys().map(String::as_str)
    }

    /// The session of a node, opened if there is none. A node that is slow is waited for; one that is dead by the
    /// word of its host is not, nor one that refuses for half a minute.
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
            why = self.dead(node) => Err(SshError::Stopped(why)),
        }
    }

    /// As [`Self::session`], within the time that a user gave.
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

    /// Returns once there is evidence that a node is dead, with what it is.
    pub async fn dead(&self, node: impl AsRef<str>) -> String {
        match self.inner.evidence.get() {
            Some(evidence) => evidence.dead(node.as_ref()).await,
            None => std::future::pending().await,
        }
    }

    /// Waits for a turn to begin something heavy on a node: see [`Turn`].
    pub async fn turn(&self, node: impl AsRef<str>) -> Option<Turn> {
        let entry = self.inner.entries.get(node.as_ref())?;
        Some(self.inner.turns.turn(&entry.reach.host).await)
    }

    /// As [`Self::turn`]; `None` once the user interrupts.
    pub async fn turn_unless(&self, node: impl AsRef<str>, cancel: &CancellationToken) -> Option<Turn> {
        cancel.run_until_cancelled(self.turn(node)).await.flatten()
    }

    /// Notes that an answer of a node is waited for.
    pub fn waits(&self, node: impl AsRef<str>) -> Waits {
        self.inner.waiting.begin(node.as_ref())
    }

    /// For how long an answer of a node has been waited for, and how busy its host is; `None` if none is.
    pub async fn waited_for(&self, node: impl AsRef<str>) -> Option<(Duration, Option<Load>)> {
        let node = node.as_ref();
        let waiting = self.inner.waiting.longer_than(Duration::ZERO);
        let (_, waited) = waiting.into_iter().find(|(name, _)| name == node)?;
        Some((waited, Load::of(&self.inner.entries.get(node)?.reach.via).await))
    }

    /// The nodes that are slow right now, and how busy their hosts are.
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

    /// Logs in to a node that is still booting: tries until the deadline, or until `stop` says why not to.
    pub async fn await_login(
        &self,
        node: impl AsRef<str>,
        deadline: Duration,
        stop: &(dyn Fn() -> Option<String> + Sync),
    ) -> Result<Arc<Session>, SshError> {
        let entry = self.entry(node.as_ref())?;
        let mut kept = entry.session.lock().await;
        let backoff = Backoff {
            deadline,
            ..Backoff::default()
        };
        let way = entry.reach.way().await?;
        let session = Arc::new(login_with_backoff(way.as_deref(), &entry.reach.target, backoff, stop).await?);
        *kept = Some(session.clone());
        Ok(session)
    }

    /// A command line that runs as root on a node, whoever logs in there.
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
        let mut refused: Option<Instant> = None;
        let mut pause = Duration::from_millis(200);
        loop {
            let (error, began) = {
                let _turn = match self.inner.per_host.get(&reach.host) {
                    Some(gate) => Some(gate.acquire().await.map_err(broken)?),
                    None => None,
                };
                let _turn_of_all = self.inner.overall.acquire().await.map_err(broken)?;
                // The time counts from our turn on: a queue of a thousand nodes is not the node's fault.
                let began = Instant::now();
                let _waits = self.inner.waiting.begin(&reach.target.name);
                let via = reach.way().await?;
                match Session::connect_node(via.as_deref(), &reach.target).await {
                    Ok(session) => return Ok(session),
                    Err(error) if via.is_some_and(|via| via.is_closed()) => return Err(error),
                    Err(error) => (error, began),
                }
            };
            if !error.is_transient() || matches!(error, SshError::Timeout { .. }) {
                return Err(error);
            }
            if began.elapsed() > AT_ONCE {
                refused = None;
            } else if refused.get_or_insert(began).elapsed() + pause >= refusals {
                return Err(error);
            }
            tokio::time::sleep(jitter(pause)).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Ends all sessions, after what was given up on the nodes has been killed.
    pub async fn close(&self) {
        self.inner
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let ending = self.inner.entries.values().map(|entry| async {
            // One that is being opened at this moment ends with its caller.
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
