//! The connected hosts of a command, and operations on all of them at once.

use std::future::Future;
use std::sync::Arc;

use futures::StreamExt;

use super::pending::Pending;
use super::stage;
use crate::base::event::{Event, Events, HostStage};
use crate::base::failure::Failure;
use crate::base::name::HostName;
use crate::host::{Access, Backend};
use crate::inventory::{HostEndpoint, ObservedHost};
use crate::ssh::{HostWay, Via};

/// Maximum number of hosts in parallel.
pub(crate) const HOSTS_AT_ONCE: usize = 64;

/// A host with its connection.
#[derive(Clone)]
pub struct Member {
    /// How it is reached.
    pub endpoint: HostEndpoint,
    /// The connection.
    pub host: Arc<dyn Backend>,
}

/// The connected hosts.
#[derive(Clone, Default)]
pub struct Fleet {
    members: Vec<Member>,
}

impl Member {
    /// The connection to the nodes of this host: over its session, or over a new one if that is lost.
    pub fn way(&self) -> Via {
        let Some(session) = self.host.session() else {
            return Via::Direct;
        };
        match crate::host::ssh_target(&self.endpoint) {
            Ok(Some(mut target)) => {
                target.timeout = self.host.connect_timeout();
                Via::Host(HostWay::new(session, target))
            }
            _ => Via::Host(HostWay::fixed(session)),
        }
    }
}

impl Fleet {
    /// Connects to all hosts at once; returns the fleet and the failures.
    pub async fn connect(hosts: &[HostEndpoint], access: &Access, events: &Events) -> (Self, Vec<Failure>) {
        let results = on_all(
            hosts.to_vec(),
            |host| &host.name,
            HostStage::Connect,
            events,
            |endpoint| async move {
                let host = access.connect(&endpoint).await?;
                Ok((false, Member { endpoint, host }))
            },
        )
        .await;
        let mut failures = Vec::new();
        let mut members = Vec::new();
        for (name, result) in results {
            match result {
                Ok(member) => members.push(member),
                Err(error) => failures.push(Failure::of_host(name, error).at(HostStage::Connect)),
            }
        }
        (Self { members }, failures)
    }

    /// The members, in the order of the topology.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The part of the fleet with these names, over the same connections.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&HostName) -> bool) -> Self {
        let members = self.members.iter().filter(|member| keep(&member.endpoint.name));
        Self {
            members: members.cloned().collect(),
        }
    }

    /// A member by name.
    pub fn get(&self, name: &HostName) -> Option<&Member> {
        self.members.iter().find(|member| member.endpoint.name == *name)
    }

    /// Adds the members of another fleet; a host in both is replaced by the other's.
    pub async fn join(&mut self, other: Self) {
        self.retain(|name| other.get(name).is_none()).await;
        self.members.extend(other.members);
    }

    /// Keeps only the named hosts; the others are closed.
    pub async fn retain(&mut self, keep: impl Fn(&HostName) -> bool) {
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.members)
            .into_iter()
            .partition(|member| keep(&member.endpoint.name));
        self.members = kept;
        futures::stream::iter(gone)
            .for_each_concurrent(HOSTS_AT_ONCE, |member| async move { member.host.close().await })
            .await;
    }

    /// Runs one stage on all hosts at once and returns the results in order.
    pub async fn stage<T, F>(
        &self,
        stage: HostStage,
        events: &Events,
        work: impl Fn(Member) -> F,
    ) -> Vec<(HostName, Result<T, crate::host::HostError>)>
    where
        F: Future<Output = Result<(bool, T), crate::host::HostError>>,
    {
        on_all(
            self.members.clone(),
            |member| &member.endpoint.name,
            stage,
            events,
            work,
        )
        .await
    }

    /// Observes all hosts at once.
    pub async fn observe(&self, events: &Events) -> (Vec<ObservedHost>, Vec<Failure>) {
        let results = self
            .stage(HostStage::Probe, events, |member| async move {
                Ok((false, member.host.observe().await?))
            })
            .await;
        split(HostStage::Probe, results)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        futures::stream::iter(&self.members)
            .for_each_concurrent(HOSTS_AT_ONCE, |member| async move { member.host.close().await })
            .await;
    }
}

/// Separates the results of a stage, in order, from failures.
pub(super) fn split<T>(
    stage: HostStage,
    results: Vec<(HostName, Result<T, crate::host::HostError>)>,
) -> (Vec<T>, Vec<Failure>) {
    let mut good = Vec::new();
    let mut failures = Vec::new();
    for (name, result) in results {
        match result {
            Ok(value) => good.push(value),
            Err(error) => failures.push(Failure::of_host(name, error).at(stage)),
        }
    }
    (good, failures)
}

async fn on_all<I, T, F>(
    items: Vec<I>,
    name: impl Fn(&I) -> &HostName,
    stage: HostStage,
    events: &Events,
    work: impl Fn(I) -> F,
) -> Vec<(HostName, Result<T, crate::host::HostError>)>
where
    F: Future<Output = Result<(bool, T), crate::host::HostError>>,
{
    let what = match stage {
        HostStage::Connect => "connecting to",
        _ => "an answer from",
    };
    // Commands that show no stages wait in these two only; of the others, reporters show the progress.
    let is_named = matches!(stage, HostStage::Connect | HostStage::Probe);
    let pending = Pending::new(what, items.iter().filter(|_| is_named).map(&name));
    pending
        .each_of(events, HOSTS_AT_ONCE, items, &name, |item| {
            let host = name(&item).clone();
            let future = work(item);
            async move {
                let emit = |progress| {
                    events.emit(Event::Host {
                        host: host.clone(),
                        stage,
                        progress,
                    });
                };
                let result = stage::run(emit, |error| stage::failed(error, None), future).await;
                (host, result)
            }
        })
        .await
}
