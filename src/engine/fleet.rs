//! The hosts of a command, connected: what is done to all of them at once.

use std::future::Future;
use std::time::Instant;

use futures::StreamExt;

use super::event::{Event, Events, HostStage, Progress};
use super::failure::{Failure, explain};
use crate::host::{ConnectOptions, Host, ObservedHost};
use crate::name::HostName;
use crate::ssh::{HostWay, Via};
use crate::topology;

/// The most hosts that are worked on at once.
const HOSTS_AT_ONCE: usize = 64;

/// A host of the topology with its connection.
#[derive(Clone)]
pub struct Member {
    /// What the topology says of it.
    pub config: topology::Host,
    /// The connection.
    pub host: Host,
}

/// The connected hosts.
#[derive(Clone, Default)]
pub struct Fleet {
    members: Vec<Member>,
}

impl Member {
    /// The way to the nodes of this host; over its session, and over another one should that be lost.
    pub fn way(&self) -> Via {
        let Some(session) = self.host.session() else {
            return Via::Direct;
        };
        match crate::host::ssh_target(&self.config) {
            Ok(Some(mut target)) => {
                target.timeout = self.host.connect_timeout();
                Via::Host(HostWay::new(session, target))
            }
            _ => Via::Host(HostWay::fixed(session)),
        }
    }
}

impl Fleet {
    /// Connects to all hosts at once; the ones that fail are returned beside the fleet.
    pub async fn connect(
        hosts: &[topology::Host],
        options: &ConnectOptions,
        events: &Events,
    ) -> (Self, Vec<Failure>) {
        let results = on_all(
            hosts.to_vec(),
            |host| host.name.clone(),
            HostStage::Connect,
            events,
            |config| async move {
                let host = Host::connect(&config, options).await?;
                Ok((false, Member { config, host }))
            },
        )
        .await;
        let mut failures = Vec::new();
        let mut members = Vec::new();
        for (name, result) in results {
            match result {
                Ok(member) => members.push(member),
                Err(error) => failures.push(Failure::of_host(name, error)),
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
        let members = self.members.iter().filter(|member| keep(&member.config.name));
        Self {
            members: members.cloned().collect(),
        }
    }

    /// A member by name.
    pub fn get(&self, name: &HostName) -> Option<&Member> {
        self.members.iter().find(|member| member.config.name == *name)
    }

    /// Takes the members of another fleet over; a host that both have is the other's from now on.
    pub async fn join(&mut self, other: Self) {
        self.retain(|name| other.get(name).is_none()).await;
        self.members.extend(other.members);
    }

    /// Keeps only the named hosts; the others are closed.
    pub async fn retain(&mut self, keep: impl Fn(&HostName) -> bool) {
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.members)
            .into_iter()
            .partition(|member| keep(&member.config.name));
        self.members = kept;
        futures::stream::iter(gone)
            .for_each_concurrent(HOSTS_AT_ONCE, |member| async move { member.host.close().await })
            .await;
    }

    /// Does one stage on all hosts at once and returns what each gave, in order.
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
            |member| member.config.name.clone(),
            stage,
            events,
            work,
        )
        .await
    }

    /// Looks at all hosts at once.
    pub async fn observe(&self, events: &Events) -> (Vec<ObservedHost>, Vec<Failure>) {
        let results = self
            .stage(HostStage::Probe, events, |member| async move {
                Ok((false, member.host.observe().await?))
            })
            .await;
        split(results)
    }

    /// Ends all connections.
    pub async fn close(self) {
        futures::stream::iter(self.members)
            .for_each_concurrent(HOSTS_AT_ONCE, |member| async move { member.host.close().await })
            .await;
    }
}

/// Results in order and failures, apart.
pub(super) fn split<T>(
    results: Vec<(HostName, Result<T, crate::host::HostError>)>,
) -> (Vec<T>, Vec<Failure>) {
    let mut good = Vec::new();
    let mut failures = Vec::new();
    for (name, result) in results {
        match result {
            Ok(value) => good.push(value),
            Err(error) => failures.push(Failure::of_host(name, error)),
        }
    }
    (good, failures)
}

async fn on_all<I, T, F>(
    items: Vec<I>,
    name: impl Fn(&I) -> HostName,
    stage: HostStage,
    events: &Events,
    work: impl Fn(I) -> F,
) -> Vec<(HostName, Result<T, crate::host::HostError>)>
where
    F: Future<Output = Result<(bool, T), crate::host::HostError>>,
{
    futures::stream::iter(items)
        .map(|item| {
            let host = name(&item);
            let future = work(item);
            async move {
                let emit = |progress| {
                    events.emit(Event::Host {
                        host: host.clone(),
                        stage,
                        progress,
                    });
                };
                emit(Progress::Begun);
                let began = Instant::now();
                let result = future.await;
                match &result {
                    Ok((changed, _)) => emit(Progress::Done {
                        changed: *changed,
                        took: began.elapsed(),
                    }),
                    Err(error) => emit(Progress::Failed {
                        error: explain(error),
                    }),
                }
                (host, result.map(|(_, value)| value))
            }
        })
        .buffered(HOSTS_AT_ONCE)
        .collect()
        .await
}
