//! What a cluster is promised on a host, and who works on it: the file `claim.json` beside `owner.json`, and a lock
//! that lives exactly as long as its holder's connection. Chooses nothing: what is claimed comes from the plan.
//!
//! Whoever claims does so under a lock on the whole host, held for a moment, and only if the claims there are still
//! those that he planned with. So two controllers may plan at once, and one of them plans again.

mod lock;
mod script;

use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use lock::Held;
pub(super) use script::token;

use super::connect::{ConnectOptions, Host};
use super::error::{Cause, HostError, Leftovers};
use super::link::HostLink;
use crate::fault;
use crate::name::{ClusterName, HostName};
use crate::network::is_short_id;
use crate::plan::Plan;
use crate::ssh::Session;
use crate::units::{MiB, Moment};
use lock::{BEAT, SILENCE, attend};
use script::{hold_script, myself, read_answer, rewrite_script, unclaim_script};

/// Version of the claim's JSON form.
pub const CLAIM_VERSION: u32 = 1;
/// The most of a claim or of a holder's name that is read.
const LIMIT: usize = 4096;

/// What a cluster is promised on one host, and until when. The order of the fields is part of the file's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// [`CLAIM_VERSION`].
    pub version: u32,
    /// The cluster.
    pub cluster: ClusterName,
    /// Its id.
    pub id: Uuid,
    /// The machine that it was raised from, for people.
    pub controller: String,
    /// When it was first claimed.
    pub made: Moment,
    /// End of the lease; `None` is never.
    pub expires: Option<Moment>,
    /// Its subnet; `None` where it joins an existing bridge.
    pub subnet: Option<Ipv4Net>,
    /// Its VXLAN identifier.
    pub vni: Option<u32>,
    /// Nodes on this host.
    pub nodes: u32,
    /// Their memory.
    pub memory: MiB,
    /// Their vCPUs.
    pub vcpus: u32,
    /// Their disk.
    pub disk: MiB,
}

impl Claim {
    /// Whether the lease has ended.
    pub fn expired(&self, now: Moment) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Short id of the cluster.
    pub fn short_id(&self) -> String {
        Plan::short_id(self.id)
    }

    /// Reads what is in a directory of this name; `None` if that is not a claim of ours.
    pub(super) fn read(directory: &str, json: &str) -> Option<Self> {
        let claim: Self = serde_json::from_str(json).ok().filter(|_| json.len() <= LIMIT)?;
        (directory == super::pool::directory_name(&claim.cluster, &claim.short_id())).then_some(claim)
    }
}

/// A claim that was seen on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedClaim {
    /// The claim.
    pub claim: Claim,
    /// Who works on the cluster right now, in his own words.
    pub holder: Option<String>,
}

/// How a cluster is held on a host while a command works on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// By one command that changes it.
    Alone,
    /// By commands that need it to stay.
    Shared,
}

/// What is asked of a host.
#[derive(Clone, Debug)]
pub struct HoldRequest<'a> {
    /// The cluster.
    pub cluster: &'a ClusterName,
    /// Its short id.
    pub short_id: &'a str,
    /// The verb that works on it.
    pub verb: &'a str,
    /// How it is held.
    pub how: Hold,
    /// A claim to make or to rewrite, and the host's [token](super::ObservedHost::token) that it was planned with.
    pub claim: Option<(&'a Claim, &'a str)>,
}

/// What a host answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The cluster is held.
    Held {
        /// Whether its directory was made for that.
        made: bool,
        /// Its claim as it is now.
        claim: Option<Claim>,
    },
    /// There is nothing of it to hold.
    Nothing,
    /// Somebody else holds it.
    Busy {
        /// Who, and since when, in his own words.
        holder: String,
    },
    /// The claims on the host are not those that were planned with.
    Changed {
        /// Who claimed last, for people.
        by: Option<String>,
    },
}

impl Host {
    /// Holds a cluster until this host is closed, claiming for it where that is asked for.
    pub async fn hold(&self, request: &HoldRequest<'_>) -> Result<Standing, HostError> {
        let doing = format!("hold `{}`", request.cluster);
        let allowed = self.inner.options.call_timeout;
        let mut holds = self.inner.holds.lock().await;
        // A further claim of the same command: the lock is not let go for it.
        if let Some(held) = own(&holds, request.short_id).filter(|held| !held.is_lost()) {
            let script = hold_script(request, &held.holder, true);
            fault::point!("hold again before");
            let said = self.inner.link.ask(&script, allowed).await;
            fault::point!("hold again after");
            let standing = said
                .and_then(|said| read_answer(request, &said))
                .map_err(self.failed(&doing))?;
            if standing != Standing::Nothing {
                return Ok(standing);
            }
        }
        for held in holds.extract_if(.., |held| held.short_id == request.short_id) {
            held.release().await;
        }
        let began = std::time::Instant::now();
        let (standing, held) = loop {
            let answer = take(&self.inner.link, request, allowed).await;
            match answer {
                // A connection of this very command that was lost: once it is silent for long enough, it is free.
                Ok((Standing::Busy { holder }, _))
                    if holder.starts_with(&myself(request.verb)) && began.elapsed() < SILENCE + BEAT =>
                {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                answer => break answer.map_err(self.failed(doing))?,
            }
        };
        holds.extend(held);
        Ok(standing)
    }

    /// Takes a claim back that was just made: with `before` the old one is written again, without it the directory
    /// goes if nothing else is in it. Only for who holds the cluster here.
    pub async fn unclaim(
        &self,
        cluster: &ClusterName,
        short_id: &str,
        before: Option<&Claim>,
    ) -> Result<(), HostError> {
        let doing = format!("take back the claim of `{cluster}`");
        let script = match before {
            Some(claim) => rewrite_script(claim),
            None => unclaim_script(cluster, short_id),
        };
        self.script(&script).await.map_err(self.failed(doing))?;
        Ok(())
    }

    /// Writes a claim anew where there is one. Only for who holds the cluster here.
    pub async fn rewrite_claim(&self, claim: &Claim) -> Result<(), HostError> {
        let doing = format!("write the claim of `{}`", claim.cluster);
        self.script(&rewrite_script(claim))
            .await
            .map_err(self.failed(doing))?;
        Ok(())
    }

    /// The claim of a cluster, if the host has one.
    pub async fn claim_of(&self, cluster: &ClusterName, short_id: &str) -> Result<Option<Claim>, HostError> {
        let directory = super::pool::directory(cluster, short_id);
        let said = self
            .ask(&format!(
                "head -c {LIMIT} {directory}/claim.json 2>/dev/null || :"
            ))
            .await
            .map_err(self.failed(format!("read the claim of `{cluster}`")))?;
        Ok(Claim::read(
            &super::pool::directory_name(cluster, short_id),
            said.trim(),
        ))
    }
}

/// The lock on a cluster among those held.
fn own<'h>(holds: &'h [Held], short_id: &str) -> Option<&'h Held> {
    holds.iter().find(|held| held.short_id == short_id)
}

/// As [`Host::hold`] over a session alone, or on this machine: for verbs that do not need libvirt.
pub async fn hold_by_session(
    host: &HostName,
    session: Option<Arc<Session>>,
    options: &ConnectOptions,
    request: &HoldRequest<'_>,
) -> Result<(Standing, Option<Held>), HostError> {
    let link = session.map_or_else(HostLink::local, HostLink::ssh);
    take(&link, request, options.call_timeout)
        .await
        .map_err(|cause| HostError {
            host: host.clone(),
            doing: format!("hold `{}`", request.cluster),
            cause,
            leaves: Leftovers::Nothing,
        })
}

/// Frees a lock on a host whose connection was lost, over another one.
pub async fn free_lost(
    host: &HostName,
    session: Option<Arc<Session>>,
    options: &ConnectOptions,
    cluster: &ClusterName,
    held: Held,
) -> Result<(), HostError> {
    let link = session.map_or_else(HostLink::local, HostLink::ssh);
    let script = script::free_script(cluster, &held.short_id, &held.holder);
    drop(held);
    let freed = link.script(&script, options.call_timeout).await;
    freed.map(drop).map_err(|cause| HostError {
        host: host.clone(),
        doing: format!("free the lock of `{cluster}`"),
        cause,
        leaves: Leftovers::Nothing,
    })
}

async fn take(
    link: &HostLink,
    request: &HoldRequest<'_>,
    allowed: Duration,
) -> Result<(Standing, Option<Held>), Cause> {
    if !is_short_id(request.short_id) {
        return Err(Cause::Other(format!(
            "`{}` is not the short id of a cluster",
            request.short_id.escape_debug()
        )));
    }
    let holder = script::holder(request.verb);
    fault::point!("hold before");
    let answer = attend(
        link,
        request,
        &holder,
        &hold_script(request, &holder, false),
        allowed,
    )
    .await;
    fault::point!("hold after");
    answer
}

#[cfg(test)]
mod tests;
