//! The nodes' sessions for the time of one command: opened when first needed, kept, opened anew when lost.
//! Bounds how many logins go on at once; knows nothing of what runs over the sessions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::error::SshError;
use super::node::{Backoff, jitter, login_with_backoff};
use super::session::{NodeTarget, Session};

/// Logins to nodes under way at once through one host.
const LOGINS_PER_HOST: usize = 8;

/// Logins under way at once in all.
const LOGINS: usize = 64;

/// The way to a node.
#[derive(Clone)]
pub enum Via {
    /// Its address has a route from here.
    Direct,
    /// Through its host.
    Host(Arc<Session>),
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
    fn way(&self) -> Result<Option<&Session>, SshError> {
        match &self.via {
            Via::Direct => Ok(None),
            Via::Host(session) => Ok(Some(session)),
            Via::Lost(reason) => Err(SshError::Lost {
                target: format!("its host {}", self.host),
                reason: reason.clone(),
            }),
        }
    }
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
}

impl Nodes {
    /// Takes the nodes; connects to none of them yet.
    pub fn new(reaches: impl IntoIterator<Item = Reach>) -> Self {
        let mut entries = HashMap::new();
        let mut per_host = HashMap::new();
        for reach in reaches {
            per_host
                .entry(reach.host.clone())
                .or_insert_with(|| Semaphore::new(LOGINS_PER_HOST));
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
            }),
        }
    }

    /// Names of the nodes, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inner.entries.keys().map(String::as_str)
    }

    /// The session of a node, opened if there is none. Refusals that look as if they pass are borne for
    /// as long as the node's own timeout.
    pub async fn session(&self, node: impl AsRef<str>) -> Result<Arc<Session>, SshError> {
        let entry = self.entry(node.as_ref())?;
        let mut kept = entry.session.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| !session.is_closed()) {
            return Ok(session.clone());
        }
        let session = Arc::new(self.login(&entry.reach).await?);
        *kept = Some(session.clone());
        Ok(session)
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
        let session =
            Arc::new(login_with_backoff(entry.reach.way()?, &entry.reach.target, backoff, stop).await?);
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

    async fn login(&self, reach: &Reach) -> Result<Session, SshError> {
        let via = reach.way()?;
        let broken = |error: tokio::sync::AcquireError| SshError::Other(error.to_string());
        // The time counts from our turn on: a queue of a thousand nodes is not the node's fault.
        let mut end = None;
        let mut pause = Duration::from_millis(200);
        loop {
            let error = {
                let _turn = match self.inner.per_host.get(&reach.host) {
                    Some(gate) => Some(gate.acquire().await.map_err(broken)?),
                    None => None,
                };
                let _turn_of_all = self.inner.overall.acquire().await.map_err(broken)?;
                end.get_or_insert_with(|| Instant::now() + reach.target.timeout);
                match Session::connect_node(via, &reach.target).await {
                    Ok(session) => return Ok(session),
                    Err(error) => error,
                }
            };
            let late = end.is_some_and(|end| Instant::now() + pause >= end);
            let passes = error.is_transient() && !matches!(error, SshError::Timeout { .. });
            if late || !passes || via.is_some_and(Session::is_closed) {
                return Err(error);
            }
            tokio::time::sleep(jitter(pause)).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Ends all sessions, after what was given up on the nodes has been killed.
    pub async fn close(&self) {
        let ending = self.inner.entries.values().map(|entry| async {
            if let Some(session) = entry.session.lock().await.take() {
                if !session.is_closed() {
                    session.settle().await;
                }
                session.close().await;
            }
        });
        futures::future::join_all(ending).await;
    }
}
