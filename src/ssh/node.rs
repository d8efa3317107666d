//! Connects to a node: the pinned host key, the cluster's client key, and retries while it boots.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::dial;
use super::error::SshError;
use super::login;
use super::request::NodeTarget;
use super::session::Session;
use super::transport::{self, KeyCheck, Peer};
use crate::base::backoff::Pauses;

impl Session {
    /// Connects to a node, through a host's session (direct-tcpip) or directly with `None`.
    pub async fn connect_node(via: Option<&Self>, target: &NodeTarget) -> Result<Self, SshError> {
        connect(via, target).await
    }
}

/// Connects and logs in, once.
async fn connect(via: Option<&Session>, target: &NodeTarget) -> Result<Session, SshError> {
    let Some(allowed) = target.timeout else {
        return once(via, target).await;
    };
    let limited = timeout(allowed, once(via, target)).await;
    limited.unwrap_or_else(|_| {
        Err(SshError::Timeout {
            target: target.name.clone(),
            after: allowed,
        })
    })
}

async fn once(via: Option<&Session>, target: &NodeTarget) -> Result<Session, SshError> {
    let check = KeyCheck::Pinned {
        node: target.name.clone(),
        key: target.host_key.clone(),
    };
    let (mut handle, shared) = if let Some(host) = via {
        let stream = host.tcp(target.address).await?;
        transport::handshake(stream, &target.name, Peer::Node, check).await?
    } else {
        let source = dial::Source::default();
        let stream = dial::socket(&target.name, &[target.address], &source, Peer::Node, None).await?;
        transport::handshake(stream, &target.name, Peer::Node, check).await?
    };
    login::with_key(&mut handle, &target.name, &target.user, &target.key).await?;
    Ok(Session::new(handle, shared, target.name.clone()))
}

/// How a login is retried.
#[derive(Clone, Copy, Debug)]
pub struct LoginRetry {
    /// The first pause; the pauses grow by half each time, with a random part so that nodes do not retry in step.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// When to give up, counted from the start.
    pub deadline: Duration,
}

impl Default for LoginRetry {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            // A failed login costs an emulated node up to half a second of CPU time.
            longest: Duration::from_secs(3),
            deadline: Duration::from_mins(2),
        }
    }
}

/// Tries real logins until one succeeds, the deadline expires, or `stop` returns a reason to stop (the VM
/// has died). Returns the last real error. Newer sshd would penalise probes without a login
/// (`PerSourcePenalties`).
pub async fn login_with_retry(
    via: Option<&Session>,
    target: &NodeTarget,
    retry: LoginRetry,
    mut stop: impl FnMut() -> Option<String>,
) -> Result<Session, SshError> {
    const LOOK: Duration = Duration::from_millis(250);
    let end = Instant::now() + retry.deadline;
    let mut pauses = Pauses::new(retry.first, retry.longest, 150);
    let mut last = None;
    loop {
        let mut target = target.clone();
        let left = end.saturating_duration_since(Instant::now());
        target.timeout = Some(target.timeout.map_or(left, |own| own.min(left)));
        let attempt = connect(via, &target);
        tokio::pin!(attempt);
        let error = loop {
            if let Some(reason) = stop() {
                return Err(SshError::Stopped(reason));
            }
            match timeout(LOOK, &mut attempt).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(error)) => break error,
                Err(_) => {}
            }
        };
        // A wrong host key does not change; a rejected client key may be accepted later (cloud-init still runs).
        let hopeless = matches!(error, SshError::HostKey(_)) || via.is_some_and(Session::is_closed);
        // If the deadline cut the last attempt short, its timeout is less useful than the previous error.
        let cut = matches!(&error, SshError::Timeout { .. }) && last.is_some();
        if !cut {
            last = Some(error);
        }
        let next = Instant::now() + pauses.next_with_jitter();
        if hopeless || next >= end {
            let nothing = || SshError::Timeout {
                target: target.name.clone(),
                after: retry.deadline,
            };
            return Err(last.unwrap_or_else(nothing));
        }
        while Instant::now() < next {
            if let Some(reason) = stop() {
                return Err(SshError::Stopped(reason));
            }
            sleep_until(next.min(Instant::now() + LOOK)).await;
        }
    }
}
