//! What a verb holds on hosts while it works on their nodes: nobody removes the cluster there meanwhile. A lock
//! ends with its connection, and when this process stood still; then it is taken again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::common::FANOUT;
use crate::engine::ClaimError;
use crate::host::{ConnectOptions, Held, Hold, HoldRequest, Standing};
use crate::name::{ClusterName, HostName};
use crate::patience::patience;
use crate::plan::Plan;
use crate::ssh::{Session, Via};

/// How often the locks are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Time to free a lock that was lost, at the end of a verb.
const FREEING: Duration = Duration::from_secs(10);

/// What is held and how.
struct Wanted {
    cluster: ClusterName,
    short_id: String,
    verb: String,
    how: Hold,
    options: ConnectOptions,
    ways: HashMap<HostName, Via>,
}

/// The locks; free again when this is dropped.
pub struct Holds {
    held: Arc<Mutex<HashMap<HostName, Held>>>,
    keeping: DropGuard,
    wanted: Arc<Wanted>,
}

impl Wanted {
    /// A host's session; `None` within for this machine.
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

    /// Frees what is left of a lock that was lost.
    async fn free(&self, host: &HostName, lost: Held) {
        if let Some(session) = self.session(host).await
            && let Err(error) =
                crate::host::free_lost(host, session, &self.options, &self.cluster, lost).await
        {
            tracing::debug!("{error}");
        }
    }

    async fn take(&self, host: &HostName) -> Option<(Standing, Option<Held>)> {
        let session = self.session(host).await?;
        let request = HoldRequest {
            cluster: &self.cluster,
            short_id: &self.short_id,
            verb: &self.verb,
            how: self.how,
            claim: None,
        };
        match crate::host::hold_by_session(host, session, &self.options, &request).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                // A host that cannot say whether it is held is passed over.
                tracing::debug!("{error}");
                None
            }
        }
    }
}

impl Holds {
    /// Takes the locks; a host where somebody else works on the cluster is an error.
    pub(super) async fn take(
        ways: &HashMap<HostName, Via>,
        plan: &Plan,
        options: &ConnectOptions,
        verb: &str,
        how: Hold,
    ) -> Result<Self, ClaimError> {
        let wanted = Arc::new(Wanted {
            cluster: plan.cluster.clone(),
            short_id: Plan::short_id(plan.cluster_id),
            verb: verb.to_owned(),
            how,
            options: *options,
            ways: ways.clone(),
        });
        let answers: Vec<_> = futures::stream::iter(ways.keys())
            .map(|host| {
                let wanted = &wanted;
                async move { (host, wanted.take(host).await) }
            })
            .buffer_unordered(FANOUT)
            .collect()
            .await;
        let mut held = HashMap::new();
        for (host, answer) in answers {
            match answer {
                Some((Standing::Busy { holder }, _)) => {
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

    /// Frees them and waits until they are free.
    pub async fn release(self) {
        drop(self.keeping);
        let held = std::mem::take(&mut *self.held.lock().await);
        let freeing = held.into_iter().map(|(host, held)| {
            let wanted = &self.wanted;
            async move {
                if held.is_lost() {
                    // Its connection may never come back.
                    let _ = tokio::time::timeout(FREEING, wanted.free(&host, held)).await;
                } else {
                    held.release().await;
                }
            }
        });
        futures::future::join_all(freeing).await;
    }
}

/// Takes locks again that were lost. What another command did meanwhile shows on the nodes.
async fn keep(wanted: Arc<Wanted>, held: Arc<Mutex<HashMap<HostName, Held>>>) {
    let hosts: Vec<HostName> = held.lock().await.keys().cloned().collect();
    loop {
        tokio::time::sleep(patience(LOOK)).await;
        let lost: Vec<&HostName> = {
            let held = held.lock().await;
            let is_lost = |host: &&HostName| held.get(*host).is_none_or(Held::is_lost);
            hosts.iter().filter(is_lost).collect()
        };
        for host in lost {
            // A host that is away is asked again; a lock is given up only for another one.
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
