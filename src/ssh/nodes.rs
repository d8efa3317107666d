//! The sessions of a cluster's nodes: opened when first wanted, one per node, kept for the whole command.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};

use super::error::SshError;
use super::node::{Backoff, login_with_backoff};
use super::quote;
use super::session::{NodeTarget, Session};
use crate::name::NodeName;

/// The most logins under way at once. A login is mostly the node's work; more would only queue there.
const LOGINS_AT_ONCE: usize = 128;

/// Tries of a login that fails in passing, as when a host's sshd is short of something.
const PATIENCE: Duration = Duration::from_secs(20);

struct Entry {
    via: Option<Arc<Session>>,
    target: NodeTarget,
    session: Mutex<Option<Arc<Session>>>,
}

/// The nodes' sessions.
pub struct Nodes {
    entries: HashMap<NodeName, Entry>,
    logins: Semaphore,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            logins: Semaphore::new(LOGINS_AT_ONCE),
        }
    }
}

impl Nodes {
    /// No nodes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node, reached through a host's session or directly.
    pub fn add(&mut self, node: NodeName, via: Option<Arc<Session>>, target: NodeTarget) {
        self.entries.insert(
            node,
            Entry {
                via,
                target,
                session: Mutex::new(None),
            },
        );
    }

    /// The session of a node; logs in if there is none, or if it has ended.
    pub async fn session(&self, node: &NodeName) -> Result<Arc<Session>, SshError> {
        let entry = self.entry(node)?;
        let mut held = entry.session.lock().await;
        if let Some(session) = held.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let _turn = self.logins.acquire().await;
        let session = match Session::connect_node(entry.via.as_deref(), &entry.target).await {
            Err(error) if error.is_transient() => {
                let backoff = Backoff {
                    deadline: PATIENCE,
                    ..Backoff::default()
                };
                login_with_backoff(entry.via.as_deref(), &entry.target, backoff, || None).await?
            }
            other => other?,
        };
        let session = Arc::new(session);
        *held = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Logs in to a node that is still booting: tries until the deadline, or until `stop` says why not to.
    pub async fn login(
        &self,
        node: &NodeName,
        deadline: Duration,
        stop: &(dyn Fn() -> Option<String> + Sync),
    ) -> Result<Arc<Session>, SshError> {
        let entry = self.entry(node)?;
        let mut held = entry.session.lock().await;
        let backoff = Backoff {
            deadline,
            ..Backoff::default()
        };
        let session = login_with_backoff(entry.via.as_deref(), &entry.target, backoff, stop).await?;
        let session = Arc::new(session);
        *held = Some(Arc::clone(&session));
        Ok(session)
    }

    /// A command line that runs as root on a node, whoever logs in.
    pub fn as_root(&self, node: &NodeName, command: &str) -> String {
        match self.entries.get(node) {
            Some(entry) if entry.target.user != "root" => format!("sudo -n {command}"),
            _ => command.to_owned(),
        }
    }

    /// A command line as the user gave it, in a shell of the login user.
    pub fn shell(command: &str) -> String {
        format!("sh -c {}", quote(command))
    }

    /// Ends all sessions.
    pub async fn close(&self) {
        let sessions = futures::future::join_all(
            self.entries
                .values()
                .map(|entry| async { entry.session.lock().await.take() }),
        )
        .await;
        futures::future::join_all(sessions.iter().flatten().map(|session| session.close())).await;
    }

    fn entry(&self, node: &NodeName) -> Result<&Entry, SshError> {
        self.entries
            .get(node)
            .ok_or_else(|| SshError::Stopped(format!("no session is planned for `{node}`")))
    }
}
