//! Whether nodes still run, by the word of their hosts: the only thing but the user's time that ends the wait for
//! one. A host is asked once somebody has waited for a few seconds, and only as long as somebody does.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::fleet::Fleet;
use crate::host::{ConnectOptions, Host, HostError};
use crate::name::HostName;
use crate::patience::patience;
use crate::plan::Plan;
use crate::ssh::Evidence;
use crate::topology;

/// Most waits are over before a host needs to be asked.
const FIRST: Duration = Duration::from_secs(3);

/// The pauses between questions: short at first, because what dies mostly does so early.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(10);

/// The pause while nobody waits.
const IDLE: Duration = Duration::from_secs(1);

/// Domains that do not run, with what is known of them.
type Dead = BTreeMap<String, String>;

/// How to ask a host.
enum Source {
    Connected(Host),
    /// Connected to when it is needed.
    Later(Box<topology::Host>, ConnectOptions),
}

struct Watched {
    source: Arc<Source>,
    domains: Vec<String>,
    dead: OnceLock<watch::Sender<Dead>>,
}

/// The hosts that are asked.
pub struct Deaths {
    /// Host and domain of every node.
    nodes: HashMap<String, (HostName, String)>,
    hosts: HashMap<HostName, Watched>,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Deaths {
    /// Asks over connections that are open.
    pub fn over(fleet: &Fleet, plan: &Plan) -> Arc<Self> {
        let sources = fleet.members().iter();
        Self::new(
            sources.map(|member| (member.config.name.clone(), Source::Connected(member.host.clone()))),
            plan,
        )
    }

    /// Connects to hosts when they need to be asked.
    pub fn by_need(
        hosts: impl Iterator<Item = topology::Host>,
        options: &ConnectOptions,
        plan: &Plan,
    ) -> Arc<Self> {
        Self::new(
            hosts.map(|host| (host.name.clone(), Source::Later(Box::new(host), *options))),
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
            let work = ask(watched.source.clone(), watched.domains.clone(), sender.clone());
            tokio::spawn(self.stop.clone().run_until_cancelled_owned(work));
            sender
        });
        Some(sender.subscribe())
    }
}

impl Evidence for Deaths {
    fn dead<'a>(&'a self, node: &'a str) -> BoxFuture<'a, String> {
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

/// Asks a host again and again. One that does not answer says nothing about its guests.
async fn ask(source: Arc<Source>, domains: Vec<String>, dead: watch::Sender<Dead>) {
    let mut connected = None;
    let mut pause = SHORTEST;
    loop {
        if dead.receiver_count() == 0 {
            pause = SHORTEST;
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
        sleep(patience(pause)).await;
        pause = (pause * 5 / 4).min(LONGEST);
    }
}

async fn look(source: &Source, connected: &mut Option<Host>, domains: &[String]) -> Result<Dead, HostError> {
    let host = match (source, &*connected) {
        (Source::Connected(host), _) | (_, Some(host)) => host.clone(),
        (Source::Later(host, options), None) => connected.insert(Host::connect(host, options).await?).clone(),
    };
    host.not_running(domains).await
}
