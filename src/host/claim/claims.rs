//! The calls for the claims and the locks on a host.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::lock::{HostLock, keep_alive};
use super::request::{HEARTBEAT_INTERVAL, LOCK_TIMEOUT, LockRequest, LockState};
use super::script::{self, hold_script, myself, read_answer, rewrite_script, unclaim_script};
use crate::base::crash_point;
use crate::base::name::HostName;
use crate::host::connect::{ConnectOptions, Host};
use crate::host::error::{Cause, HostError};
use crate::host::layout::{CLAIM_FILE, directory};
use crate::host::transport::link::HostLink;
use crate::inventory::claim::LIMIT;
use crate::inventory::{Claim, ClusterRef};
use crate::ssh::Session;

/// The pause while a lock of this same command has not expired yet.
const PAUSE: Duration = Duration::from_secs(1);

/// The claims and the locks of clusters on a host.
#[async_trait]
pub trait Claims: Send + Sync {
    /// Locks a cluster until this host is closed, and writes its claim if the request has one.
    async fn hold(&self, request: &LockRequest<'_>) -> Result<LockState, HostError>;

    /// Reverts a claim that was just made: restores `before`, or without it removes the directory if nothing else is in
    /// it. The cluster must be locked.
    async fn unclaim(&self, cluster: &ClusterRef, before: Option<&Claim>) -> Result<(), HostError>;

    /// Overwrites an existing claim. The cluster must be locked.
    async fn rewrite_claim(&self, claim: &Claim) -> Result<(), HostError>;

    /// The claim of a cluster, if the host has one.
    async fn claim_of(&self, cluster: &ClusterRef) -> Result<Option<Claim>, HostError>;

    /// Whether a lock that we took here was lost because this process was suspended.
    async fn suspended(&self) -> bool;
}

#[async_trait]
impl Claims for Host {
    async fn hold(&self, request: &LockRequest<'_>) -> Result<LockState, HostError> {
        let doing = format!("lock `{}`", request.cluster.name);
        let allowed = self.inner.options.call_timeout;
        let mut holds = self.inner.holds.lock().await;
        // Another claim of the same command: it keeps its lock.
        if let Some(held) = own(&holds, request.cluster).filter(|held| !held.is_lost()) {
            let script = hold_script(request, &held.holder, true);
            crash_point::point!("hold again before");
            let answer = self.inner.link.query(&script, allowed).await;
            crash_point::point!("hold again after");
            let state = answer
                .and_then(|answer| read_answer(request, &answer))
                .map_err(self.failed(&doing))?;
            if state != LockState::Nothing {
                return Ok(state);
            }
        }
        for held in holds.extract_if(.., |held| held.cluster == *request.cluster) {
            held.release().await;
        }
        let began = std::time::Instant::now();
        let (state, held) = loop {
            let answer = take(&self.inner.link, request, allowed).await;
            match answer {
                // A lost connection of this same command: its lock expires without heartbeats.
                Ok((LockState::Busy { holder }, _))
                    if holder.starts_with(&myself(request.verb))
                        && began.elapsed() < LOCK_TIMEOUT + HEARTBEAT_INTERVAL =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                answer => break answer.map_err(self.failed(doing))?,
            }
        };
        holds.extend(held);
        Ok(state)
    }

    async fn unclaim(&self, cluster: &ClusterRef, before: Option<&Claim>) -> Result<(), HostError> {
        let doing = format!("revert the claim of `{}`", cluster.name);
        let script = match before {
            Some(claim) => rewrite_script(claim),
            None => unclaim_script(cluster),
        };
        self.script(&script).await.map_err(self.failed(doing))?;
        Ok(())
    }

    async fn rewrite_claim(&self, claim: &Claim) -> Result<(), HostError> {
        let doing = format!("write the claim of `{}`", claim.cluster);
        self.script(&rewrite_script(claim))
            .await
            .map_err(self.failed(doing))?;
        Ok(())
    }

    async fn claim_of(&self, cluster: &ClusterRef) -> Result<Option<Claim>, HostError> {
        let directory = directory(cluster);
        let json = self
            .query(&format!(
                "head -c {LIMIT} {directory}/{CLAIM_FILE} 2>/dev/null || :"
            ))
            .await
            .map_err(self.failed(format!("read the claim of `{}`", cluster.name)))?;
        Ok(Claim::read(&cluster.directory_name(), json.trim()))
    }

    async fn suspended(&self) -> bool {
        self.inner.holds.lock().await.iter().any(HostLock::suspended)
    }
}

/// The lock on a cluster, if this command holds it.
fn own<'h>(holds: &'h [HostLock], cluster: &ClusterRef) -> Option<&'h HostLock> {
    holds.iter().find(|held| held.cluster == *cluster)
}

/// Like [`Claims::hold`], but only over SSH, or on this machine: for commands that do not need libvirt.
pub async fn hold_by_session(
    host: &HostName,
    session: Option<Arc<Session>>,
    options: &ConnectOptions,
    request: &LockRequest<'_>,
) -> Result<(LockState, Option<HostLock>), HostError> {
    let link = session.map_or_else(HostLink::local, HostLink::ssh);
    take(&link, request, options.call_timeout)
        .await
        .map_err(|cause| HostError::new(host, format!("lock `{}`", request.cluster.name), cause))
}

/// Frees a lock whose connection was lost, over another connection.
pub async fn free_lost(
    host: &HostName,
    session: Option<Arc<Session>>,
    options: &ConnectOptions,
    held: HostLock,
) -> Result<(), HostError> {
    let link = session.map_or_else(HostLink::local, HostLink::ssh);
    let script = script::free_script(&held.cluster, &held.holder);
    let doing = format!("free the lock of `{}`", held.cluster.name);
    drop(held);
    let freed = link.script(&script, options.call_timeout).await;
    freed
        .map(drop)
        .map_err(|cause| HostError::new(host, doing, cause))
}

async fn take(
    link: &HostLink,
    request: &LockRequest<'_>,
    allowed: Duration,
) -> Result<(LockState, Option<HostLock>), Cause> {
    let holder = script::holder(request.verb);
    crash_point::point!("hold before");
    let answer = keep_alive(
        link,
        request,
        &holder,
        &hold_script(request, &holder, false),
        allowed,
    )
    .await;
    crash_point::point!("hold after");
    answer
}

#[cfg(test)]
mod tests;
