//! The locks of a verb on hosts while it works on their nodes, so that no other command removes the cluster. A lock
//! expires with its connection, and when this process is suspended; then it is taken again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::base::event::Events;
use crate::base::name::HostName;
use crate::base::patience::patience;
use crate::engine::{ClaimError, HOSTS_AT_ONCE, Pending};
use crate::host::{Conditions, ConnectOptions, HostLock, LockMode, LockRequest, LockState};
use crate::inventory::ClusterRef;
use crate::plan::Plan;
use crate::ssh::{Session, Via};

/// Interval between checks of the locks.
const LOOK: Duration = Duration::from_secs(5);

/// Time to free a lost lock at the end of a verb.
const FREEING: Duration = Duration::from_secs(10);

/// What to lock, and how.
struct Wanted {
    cluster: ClusterRef,
    verb: String,
    how: LockMode,
    options: ConnectOptions,
    ways: HashMap<HostName, Via>,
}

/// The locks; released on drop.
pub struct ClusterLocks {
    held: Arc<Mutex<HashMap<HostName, HostLock>>>,
    keeping: DropGuard,
    wanted: Arc<Wanted>,
}

impl Wanted {
    /// A host's session; `Some(None)` for this machine.
    async fn session(&self, host: &HostName) -> Option<Option<Arc<Session>>> {
        match self.ways.get(host)? {
            Via::Lost(_) => None,
            Via::Direct => Some(None),
            Via::Host(way) => match way.session().await {
                Ok(session) => Some(Some(session)),
                Err(error) => {
                    tracing::debug!("{error}");
                    None
                }
            },
        }
    }

    /// Frees the remains of a lost lock.
    async fn free(&self, host: &HostName, lost: HostLock) {
        if let Some(session) = self.session(host).await
            && let Err(error) = crate::host::free_lost(host, session, &self.options, lost).await
        {
            tracing::debug!("{error}");
        }
    }

    async fn take(&self, host: &HostName) -> Option<(LockState, Option<HostLock>)> {
        let session = self.session(host).await?;
        let request = LockRequest {
            cluster: &self.cluster,
            verb: &self.verb,
            how: self.how,
            claim: None,
        };
        match crate::host::hold_by_session(host, session, &self.options, &request).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                // A host whose lock state is unknown is skipped.
                tracing::debug!("{error}");
                None
            }
        }
    }
}

impl ClusterLocks {
    /// Takes the locks; a host where another command holds the cluster is an error.
    pub(crate) async fn take(
        ways: &HashMap<HostName, Via>,
        plan: &Plan,
        options: &ConnectOptions,
        verb: &str,
        how: LockMode,
        events: &Events,
    ) -> Result<Self, ClaimError> {
        let wanted = Arc::new(Wanted {
            cluster: plan.cluster_ref(),
            verb: verb.to_owned(),
            how,
            options: *options,
            ways: ways.clone(),
        });
        let what = format!("the lock of cluster `{}` on", plan.cluster);
        let answers = Pending::each(
            events,
            what,
            HOSTS_AT_ONCE,
            ways.keys(),
            |host| *host,
            |host| wanted.take(host),
        )
        .await;
        let mut held = HashMap::new();
        for (host, answer) in ways.keys().zip(answers) {
            match answer {
                Some((LockState::Busy { holder }, _)) => {
                    return Err(ClaimError::Busy {
                        cluster: plan.cluster.clone(),
                        hosts: host.to_string(),
                        holder,
                    });
                }
                Some((_, Some(lock))) => {
                    held.insert(host.clone(), lock);
                }
                _ => {}
            }
        }
        let held = Arc::new(Mutex::new(held));
        let stop = CancellationToken::new();
        let keeping = stop.clone().drop_guard();
        tokio::spawn(stop.run_until_cancelled_owned(keep(wanted.clone(), held.clone())));
        Ok(Self {
            held,
            keeping,
            wanted,
        })
    }

    /// The hosts whose locks were to be taken.
    pub(super) fn hosts(&self) -> Vec<HostName> {
        let mut hosts: Vec<HostName> = self.wanted.ways.keys().cloned().collect();
        hosts.sort();
        hosts
    }

    /// What measurements on a host depend on, over the same connection; `None` if it cannot be reached or does not
    /// answer. `domains` are those of our guests there.
    pub(super) async fn conditions(&self, host: &HostName, domains: &[&str]) -> Option<Conditions> {
        let session = self.wanted.session(host).await?;
        let options = &self.wanted.options;
        match crate::host::conditions_by_session(host, session, options, domains).await {
            Ok(conditions) => Some(conditions),
            Err(error) => {
                tracing::debug!("{error}");
                None
            }
        }
    }

    /// Releases the locks and waits until they are free.
    pub async fn release(self, events: &Events) {
        drop(self.keeping);
        let held = std::mem::take(&mut *self.held.lock().await);
        let what = format!("releasing the lock of cluster `{}` on", self.wanted.cluster.name);
        let wanted = &self.wanted;
        Pending::each(
            events,
            what,
            held.len(),
            held,
            |(host, _)| host,
            |(host, held)| async move {
                if held.is_lost() {
                    // Its connection may never come back.
                    let _ = tokio::time::timeout(FREEING, wanted.free(&host, held)).await;
                } else {
                    held.release().await;
                }
            },
        )
        .await;
    }
}

/// Takes lost locks again. Changes by another command in the meantime become visible on the nodes.
async fn keep(wanted: Arc<Wanted>, held: Arc<Mutex<HashMap<HostName, HostLock>>>) {
    let hosts: Vec<HostName> = held.lock().await.keys().cloned().collect();
    loop {
        tokio::time::sleep(patience(LOOK)).await;
        let lost: Vec<&HostName> = {
            let held = held.lock().await;
            let is_lost = |host: &&HostName| held.get(*host).is_none_or(HostLock::is_lost);
            hosts.iter().filter(is_lost).collect()
        };
        for host in lost {
            // An unreachable host is tried again later; a lost lock is freed only to take a new one.
            if wanted.session(host).await.is_none() {
                continue;
            }
            if let Some(lock) = held.lock().await.remove(host) {
                wanted.free(host, lock).await;
            }
            if let Some((_, Some(lock))) = wanted.take(host).await {
                held.lock().await.insert(host.clone(), lock);
            }
        }
    }
}
