//! Whether nodes still run, as reported by their hosts: besides the user's timeout, this alone ends the wait for a
//! node. A host is queried only after a wait of a few seconds, and only as long as the wait lasts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::fleet::Fleet;
use crate::base::backoff::Pauses;
use crate::base::name::HostName;
use crate::base::patience::patience;
use crate::host::{Access, Backend, HostError};
use crate::inventory::{HostEndpoint, NotRunning};
use crate::plan::Plan;
use crate::ssh::Evidence;

/// Most waits are over before a host needs to be queried.
const FIRST: Duration = Duration::from_secs(3);

/// The pauses between queries: short at first, because most nodes that die do so early.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(10);

/// The pause while nothing waits.
const IDLE: Duration = Duration::from_secs(1);

/// Domains that do not run, with the reason.
type Dead = BTreeMap<String, NotRunning>;

/// How to query a host.
enum Source {
    Connected(Arc<dyn Backend>),
    /// Connected on first use.
    Later(Box<HostEndpoint>, Access),
}

struct Watched {
    source: Arc<Source>,
    domains: Vec<String>,
    dead: OnceLock<watch::Sender<Dead>>,
}

/// The hosts to query.
pub struct Deaths {
    /// Host and domain of every node.
    nodes: HashMap<String, (HostName, String)>,
    hosts: HashMap<HostName, Watched>,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Deaths {
    /// Queries over open connections.
    pub fn over(fleet: &Fleet, plan: &Plan) -> Arc<Self> {
        let sources = fleet.members().iter();
        Self::new(
            sources.map(|member| {
                (
                    member.endpoint.name.clone(),
                    Source::Connected(member.host.clone()),
                )
            }),
            plan,
        )
    }

    /// Connects to hosts when they need to be queried.
    pub fn by_need(hosts: impl Iterator<Item = HostEndpoint>, access: &Access, plan: &Plan) -> Arc<Self> {
        Self::new(
            hosts.map(|host| (host.name.clone(), Source::Later(Box::new(host), access.clone()))),
            plan,
        )
    }

    fn new(sources: impl Iterator<Item = (HostName, Source)>, plan: &Plan) -> Arc<Self> {
        let hosts = sources.map(|(name, source)| {
            let here = plan.nodes.iter().filter(|node| node.host == name);
            let domains = here.map(|node| node.domain.clone()).collect();
            let watched = Watched {
                source: Arc::new(source),
                domains,
                dead: OnceLock::new(),
            };
            (name, watched)
        });
        let nodes = plan.nodes.iter();
        let stop = CancellationToken::new();
        Arc::new(Self {
            hosts: hosts.collect(),
            nodes: nodes
                .map(|node| (node.name.to_string(), (node.host.clone(), node.domain.clone())))
                .collect(),
            _guard: stop.clone().drop_guard(),
            stop,
        })
    }

    fn watch(&self, host: &HostName) -> Option<watch::Receiver<Dead>> {
        let watched = self.hosts.get(host)?;
        let sender = watched.dead.get_or_init(|| {
            let sender = watch::Sender::new(Dead::new());
            let work = watch_domains(watched.source.clone(), watched.domains.clone(), sender.clone());
            tokio::spawn(self.stop.clone().run_until_cancelled_owned(work));
            sender
        });
        Some(sender.subscribe())
    }
}

impl Evidence for Deaths {
    fn dead<'a>(&'a self, node: &'a str) -> BoxFuture<'a, NotRunning> {
        async move {
            sleep(patience(FIRST)).await;
            let known = self.nodes.get(node);
            let Some((mut dead, domain)) = known.and_then(|(host, domain)| Some((self.watch(host)?, domain)))
            else {
                return std::future::pending().await;
            };
            loop {
                if let Some(why) = dead.borrow_and_update().get(domain) {
                    return why.clone();
                }
                if dead.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        }
        .boxed()
    }
}

/// Queries a host repeatedly. A host that does not respond is no evidence about its guests.
async fn watch_domains(source: Arc<Source>, domains: Vec<String>, dead: watch::Sender<Dead>) {
    let mut connected = None;
    let mut pauses = Pauses::new(patience(SHORTEST), patience(LONGEST), 125);
    loop {
        if dead.receiver_count() == 0 {
            pauses.reset();
            sleep(patience(IDLE)).await;
            continue;
        }
        match look(&source, &mut connected, &domains).await {
            Ok(found) => {
                dead.send_if_modified(|known| {
                    let changed = *known != found;
                    *known = found;
                    changed
                });
            }
            Err(error) => {
                tracing::debug!("{error}");
                connected = None;
            }
        }
        sleep(pauses.next()).await;
    }
}

async fn look(
    source: &Source,
    connected: &mut Option<Arc<dyn Backend>>,
    domains: &[String],
) -> Result<Dead, HostError> {
    let host = match (source, &*connected) {
        (Source::Connected(host), _) | (_, Some(host)) => host.clone(),
        (Source::Later(host, access), None) => connected.insert(access.connect(host).await?).clone(),
    };
    host.not_running(domains).await
}
