//! Connects to a bare-metal host: over the network, through jump hosts or a command, with the login.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::config::SshConfig;
use super::dial;
use super::error::SshError;
use super::login;
use super::proxy;
use super::reason::UnsupportedSetting;
use super::request::HostTarget;
use super::route::{Proxy, Route, route};
use super::session::Session;
use super::transport::{self, Client, KeyCheck, Peer, Shared};
use crate::base::backoff::Pauses;

/// Concurrent logins to one address: sshd starts to refuse at 10 (`MaxStartups 10:30:100`), and other
/// users log in there as well.
const LOGINS_AT_ONCE: usize = 6;

/// The most attempts at a login that is temporarily refused, within the time allowed.
const ATTEMPTS: u32 = 6;

/// The most jump hosts of which each one names another one; a config may lead in a circle.
const JUMPS: usize = 8;

/// How long before the end of the time allowed an attempt to connect ends, so that its error names the addresses.
const BEFORE_THE_END: Duration = Duration::from_millis(20);

impl Session {
    /// Connects to a bare-metal host as the user's `ssh` does: its config, agent, identity files and known hosts.
    pub async fn connect_host(target: &HostTarget) -> Result<Self, SshError> {
        connect(target, &SshConfig::of_the_user()).await
    }

    /// Like [`Session::connect_host`], with another ssh config than the user's.
    pub async fn connect_host_with(target: &HostTarget, config: &SshConfig) -> Result<Self, SshError> {
        connect(target, config).await
    }
}

/// What a connection is opened through.
#[derive(Clone, Copy)]
enum Through<'a> {
    Network,
    Host(&'a Session),
    Command(&'a str),
}

async fn connect(target: &HostTarget, config: &SshConfig) -> Result<Session, SshError> {
    let until = Instant::now() + target.timeout;
    let limited = tokio::time::timeout_at(until, reach(target, config, until, JUMPS)).await;
    limited.unwrap_or_else(|_| {
        Err(SshError::Timeout {
            target: target.host.clone(),
            after: target.timeout,
        })
    })
}

async fn reach(
    target: &HostTarget,
    config: &SshConfig,
    until: Instant,
    jumps: usize,
) -> Result<Session, SshError> {
    let route = route(target, config).await?;
    let hops = match &route.proxy {
        Proxy::None => return connect_with_retry(&route, Through::Network, until).await,
        Proxy::Command(command) => {
            return connect_with_retry(&route, Through::Command(command), until).await;
        }
        Proxy::Jump(hops) => hops,
    };
    if jumps == 0 {
        return Err(SshError::Unsupported {
            target: route.label,
            what: UnsupportedSetting::ProxyJump(format!(
                "over more than {JUMPS} hosts that each need another one"
            )),
        });
    }
    // The first one is reached as its own settings say, each other one through the one before it. The connection to a
    // jump host lives as long as the stream through it.
    let mut through: Option<Session> = None;
    for hop in hops {
        let hop = hop.target(target.timeout);
        let next = match &through {
            None => Box::pin(reach(&hop, config, until, jumps - 1)).await?,
            Some(session) => {
                let route = super::route::route(&hop, config).await?;
                connect_with_retry(&route, Through::Host(session), until).await?
            }
        };
        through = Some(next);
    }
    let through = through.as_ref().map_or(Through::Network, Through::Host);
    connect_with_retry(&route, through, until).await
}

/// Retries while the refusals look temporary.
async fn connect_with_retry(
    route: &Route,
    through: Through<'_>,
    until: Instant,
) -> Result<Session, SshError> {
    let slots = login_slots(&format!("{}:{}", route.address, route.port));
    let mut pauses = Pauses::new(Duration::from_millis(150), Duration::MAX, 200);
    let mut attempt = 1;
    loop {
        let error = {
            let _turn = slots
                .acquire()
                .await
                .map_err(|error| SshError::Other(error.to_string()))?;
            match once(route, through, until).await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            }
        };
        // A closed port does not open by itself; a refusal by MaxStartups is temporary.
        if attempt >= ATTEMPTS || !matches!(error, SshError::Handshake { transient: true, .. }) {
            return Err(error);
        }
        tracing::debug!("{}: {error}; retrying", route.label);
        tokio::time::sleep(pauses.next_with_jitter()).await;
        attempt += 1;
    }
}

async fn once(route: &Route, through: Through<'_>, until: Instant) -> Result<Session, SshError> {
    let begun = Instant::now();
    let mut asked = None;
    let (mut handle, shared) = match through {
        Through::Network => {
            let addresses = addresses(route).await?;
            let end = route.connect_timeout.map_or(until, |own| until.min(begun + own));
            let end = end.checked_sub(BEFORE_THE_END).unwrap_or(end);
            let stream = dial::socket(&route.label, &addresses, &route.source, Peer::Host, Some(end)).await?;
            asked = stream.peer_addr().ok();
            transport::handshake(stream, &route.label, Peer::Host, check(route)).await?
        }
        Through::Host(jump) => {
            let stream = jump.tcp_by_name(&route.address, route.port).await?;
            transport::handshake(stream, &route.label, Peer::Host, check(route)).await?
        }
        Through::Command(command) => through_command(route, command).await?,
    };
    login::with_keys(&mut handle, &route.label, &route.user, &route.keys).await?;
    tracing::debug!("{}: logged in after {:?}", route.label, begun.elapsed());
    Ok(Session::watched(handle, shared, route.label.clone(), asked))
}

fn check(route: &Route) -> KeyCheck {
    KeyCheck::Known {
        known: route.known.clone(),
        algorithms: route.host_key_algorithms.clone(),
    }
}

async fn addresses(route: &Route) -> Result<Vec<SocketAddr>, SshError> {
    let found = tokio::net::lookup_host((route.address.as_str(), route.port)).await;
    let found = found.map_err(|source| SshError::Connect {
        target: route.label.clone(),
        source,
    })?;
    Ok(found.filter(|address| route.family.has(address)).collect())
}

/// Performs the handshake through a `ProxyCommand`; its error has what the command printed.
async fn through_command(route: &Route, command: &str) -> Result<(Handle<Client>, Arc<Shared>), SshError> {
    let (stream, printed) = proxy::start(command).map_err(|source| SshError::Connect {
        target: route.label.clone(),
        source,
    })?;
    let shaken = transport::handshake(stream, &route.label, Peer::Host, check(route)).await;
    match shaken {
        Err(SshError::Handshake {
            target,
            message,
            transient,
        }) => {
            let words = printed.read().await;
            let message = if words.is_empty() {
                message
            } else {
                format!("its ProxyCommand printed: {words}")
            };
            Err(SshError::Handshake {
                target,
                message,
                transient,
            })
        }
        other => other,
    }
}

/// One semaphore for all connections of this process to an address.
fn login_slots(address: &str) -> Arc<Semaphore> {
    static SLOTS: Mutex<Option<HashMap<String, Arc<Semaphore>>>> = Mutex::new(None);
    let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    let slots = slots.get_or_insert_with(HashMap::new);
    slots
        .entry(address.to_owned())
        .or_insert_with(|| Arc::new(Semaphore::new(LOGINS_AT_ONCE)))
        .clone()
}
